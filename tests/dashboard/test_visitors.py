"""Who looks, and what he may do: sessions, proxies, read-only people, forms of others."""

from collections.abc import Iterator

import pytest

from encola.dashboard.config import DashboardConfig
from encola.dashboard.visitors import ATTEMPTS_MAX, ATTEMPTS_SECONDS, SESSION, Visitors
from encola.protocols.aws.credentials import Credential
from encola.protocols.http.message import Request

from ..process import CREDENTIALS, KEY, KEY_OPTIONS, SECRET, ServerProcess, client
from .web import Web

READER = ("AKIDREADER", "the-secret-of-the-reader")
LIMITED = ("AKIDLIMITED", "the-secret-of-one-queue")


def _request(**headers: str) -> Request:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", "/", names, b"", peer="127.0.0.1")


# Rules ------------------------------------------------------------------------------------------------


class Wall:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def _visitors(*credentials: Credential, wall: Wall | None = None, **config: object) -> Visitors:
    visitors = Visitors(DashboardConfig(**config), credentials, wall or Wall())  # type: ignore[arg-type]
    visitors.key = b"k" * 32
    return visitors


def test_a_session_ends_with_its_time_its_credential_or_its_secret() -> None:
    wall, credential = Wall(), Credential(KEY, SECRET, name="ann")
    visitors = _visitors(credential, wall=wall, session_hours=1)
    token = visitors.sign_in(KEY, SECRET, "peer")
    assert token is not None
    cookie = {"cookie": f"{SESSION}={token}"}
    visitor = visitors.of(_request(**cookie), "")
    assert visitor is not None
    assert (visitor.name, visitor.signed_in, visitor.read_only) == ("ann", True, False)
    assert _visitors(Credential(KEY, "changed")).of(_request(**cookie), "") is None
    assert _visitors(Credential("AKIDOTHER", SECRET)).of(_request(**cookie), "") is None
    again = _visitors(credential, wall=wall)  # a restart: the key is kept in the store
    assert again.of(_request(**cookie), "") is not None
    wall.now += 3601
    assert visitors.of(_request(**cookie), "") is None


def test_a_form_of_one_visitor_is_no_form_of_another() -> None:
    visitors = _visitors(Credential(KEY, SECRET))
    one, other = (visitors.sign_in(KEY, SECRET, "peer") for _ in range(2))
    first = visitors.of(_request(cookie=f"{SESSION}={one}"), "")
    second = visitors.of(_request(cookie=f"{SESSION}={other}"), "")
    assert first is not None
    assert second is not None
    assert visitors.admits(first, first.csrf)
    assert not visitors.admits(first, second.csrf)
    assert not visitors.admits(first, "")


def test_who_fails_too_often_has_to_wait() -> None:
    wall = Wall()
    visitors = _visitors(Credential(KEY, SECRET), wall=wall)
    for _ in range(ATTEMPTS_MAX):
        assert not visitors.blocked("peer")
        assert visitors.sign_in(KEY, "wrong", "peer") is None
    assert visitors.blocked("peer")
    assert not visitors.blocked("another")
    wall.now += ATTEMPTS_SECONDS + 1
    assert not visitors.blocked("peer")


def test_the_proxys_header_is_believed_of_the_proxy_only() -> None:
    config = {"proxy_header": "X-User", "proxy_peers": ("127.0.0.1",), "proxy_operators": ("ann*",)}
    visitors = _visitors(Credential(KEY, SECRET), **config)
    ann, bob = (visitors.of(_request(x_user=name), "") for name in ("anna", "bob"))
    assert ann is not None
    assert bob is not None
    assert (ann.name, ann.read_only, ann.identity.allows("PurgeQueue", "x")) == ("anna", False, True)
    assert (bob.name, bob.read_only, bob.identity.allows("PurgeQueue", "x")) == ("bob", True, False)
    assert bob.identity.allows("GetQueueAttributes", "x")
    assert bob.identity.allows("ListQueues", "")
    elsewhere = Request("GET", "/", {"x-user": "anna"}, b"", peer="10.0.0.9")
    assert visitors.of(elsewhere, "") is None


# A real server ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One that lets in an owner, somebody who may look only, and somebody who has one queue."""
    more = (
        f', {{"access_key": "{READER[0]}", "secret_key": "{READER[1]}", "account": "111122223333", "name": "rita",'
        ' "actions": ["Get*", "List*", "Peek*", "Find*"]}'
        f', {{"access_key": "{LIMITED[0]}", "secret_key": "{LIMITED[1]}", "account": "111122223333", "name": "leo",'
        ' "queues": ["mine*"]}]'
    )
    environment = {"ENCOLA_CREDENTIALS": CREDENTIALS[:-1] + more}
    with ServerProcess(tmp_path_factory.mktemp("guarded"), environment=environment) as process:
        sqs = client(process.url, **KEY_OPTIONS)
        for name in ("mine-1", "theirs"):
            sqs.create_queue(QueueName=name)
        yield process
        assert process.stop() == 0
        log = process.logged()
        assert SECRET not in log
        assert READER[1] not in log
        assert "Traceback" not in log


def test_nobody_sees_a_page_before_he_signed_in(guarded: ServerProcess) -> None:
    web = Web(guarded.url)
    answer = web.get("/ui/queues/theirs", follow=False)
    assert answer.status == 303
    assert answer.headers["location"] == "/ui/sign-in?next=%2Fui%2Fqueues%2Ftheirs"
    assert web.get("/?format=json").status == 401
    assert web.get("/?format=events").status == 401
    assert web.post_raw("/ui/queues/theirs/pause", {}, follow=False).status == 303
    assert "theirs" not in web.get("/").text


def test_signing_in_leads_to_the_page_that_was_asked_for_and_out_again(guarded: ServerProcess) -> None:
    web = Web(guarded.url)
    wrong = web.sign_in(KEY, "not-it")
    assert wrong.status == 401
    assert "do not belong together" in wrong.words
    answer = web.sign_in(KEY, SECRET, next="/ui/queues/theirs")
    assert answer.url == "/ui/queues/theirs"
    assert "theirs" in answer.words
    assert web.get("/").status == 200
    web.post("/ui/sign-out", page="/")
    assert SESSION not in web.cookies
    assert web.get("/", follow=False).status == 303


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/ui/", "/\\evil.example", "/ui\\x"])
def test_signing_in_leads_nowhere_else(guarded: ServerProcess, elsewhere: str) -> None:
    web = Web(guarded.url)
    assert web.sign_in(KEY, SECRET, next=elsewhere).url == "/"


def test_scripts_read_with_http_basic_and_act_not(guarded: ServerProcess) -> None:
    import base64

    basic = {"Authorization": "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()}
    web = Web(guarded.url, basic)
    assert [row["standing"]["name"] for row in web.twin("/")["rows"]] == ["mine-1", "theirs"]
    refused = web.post_raw("/ui/queues/theirs/pause", {"csrf": ""}, headers={"Accept": "application/json"})
    assert refused.status == 403
    assert Web(guarded.url, {"Authorization": "Basic eDp5"}).get("/?format=json").status == 401


def test_who_may_look_only_sees_no_buttons_and_cannot_act(guarded: ServerProcess) -> None:
    web = Web(guarded.url)
    web.sign_in(*READER)
    page = web.get("/ui/queues/theirs")
    assert "Purge" not in page.text
    assert "Pause" not in page.text
    token = page.text.split('name="csrf" value="')[1].split('"')[0]  # that of the button to sign out
    for path in ("pause", "confirm/purge", "confirm/delete", "configuration", "send"):
        answer = web.post_raw(f"/ui/queues/theirs/{path}", {"csrf": token, "name": "theirs", "body": "x"})
        assert answer.status == 403, path
    assert web.post_raw("/ui/queues-new", {"csrf": token, "name": "new"}).status == 403
    assert client(guarded.url, **KEY_OPTIONS).list_queues()["QueueUrls"][-1].endswith("/theirs")


def test_who_has_some_queues_sees_those_only(guarded: ServerProcess) -> None:
    web = Web(guarded.url)
    web.sign_in(*LIMITED)
    assert [row["standing"]["name"] for row in web.twin("/")["rows"]] == ["mine-1"]
    assert web.get("/ui/queues/mine-1").status == 200
    assert web.get("/ui/queues/theirs").status == 403
    assert web.post("/ui/queues/mine-1/pause", page="/ui/queues/mine-1").status == 200
    web.post("/ui/queues/mine-1/resume", page="/ui/queues/mine-1")
    assert web.post("/ui/queues/theirs/pause", page="/ui/queues/mine-1").status == 403


def test_who_has_some_queues_is_not_told_of_others(guarded: ServerProcess) -> None:
    sqs = client(guarded.url, **KEY_OPTIONS)
    dead = sqs.create_queue(QueueName="secret-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "3"}}'
    url = sqs.create_queue(QueueName="mine-2", Attributes={"RedrivePolicy": rule})["QueueUrl"]
    sqs.tag_queue(QueueUrl=url, Tags={"team": "blue"})
    for _ in range(3):
        sqs.send_message(QueueUrl=dead, MessageBody="x")
    web = Web(guarded.url)
    web.sign_in(*LIMITED)
    for path in ("/ui/queues-new", "/", "/ui/queues/mine-2"):
        assert "theirs" not in web.get(path).text
        assert "secret-dead" not in web.get(path).text
    standing = web.twin("/ui/queues/mine-2")["standing"]
    assert (standing["dead_letter_queue"], standing["dead_letters"]) == ("", 0)
    web.sign_in(*READER)
    assert web.get("/ui/queues-new").status == 403


def test_a_work_is_ended_by_who_began_it_or_may_end_it(guarded: ServerProcess) -> None:
    for key in (READER, LIMITED):
        web = Web(guarded.url)
        web.sign_in(*key)
        assert web.post("/ui/works/w1-1/cancel", page="/").status == 403


def test_signing_in_from_a_page_of_another_site_is_refused(guarded: ServerProcess) -> None:
    fields = {"access_key": KEY, "secret_key": SECRET}
    web = Web(guarded.url)
    answer = web.post_raw("/ui/sign-in", fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403
    assert SESSION not in web.cookies


def test_streams_that_nobody_reads_take_no_place(guarded: ServerProcess) -> None:
    import http.client

    web = Web(guarded.url)
    web.sign_in(KEY, SECRET)
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in web.cookies.items())}
    for number in range(230):
        connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=30)
        connection.request("HEAD", f"/?format=events&i={number}", headers=cookie)
        assert connection.getresponse().status == 200
        connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=30)
    connection.request("GET", "/?format=events", headers=cookie)
    response = connection.getresponse()
    assert response.status == 200
    assert response.readline().startswith(b"retry:")
    connection.close()


@pytest.mark.parametrize("token", ["", "wrong", None])
def test_a_form_that_does_not_come_from_our_page_is_refused(guarded: ServerProcess, token: str | None) -> None:
    web, other = Web(guarded.url), Web(guarded.url)
    web.sign_in(KEY, SECRET)
    other.sign_in(KEY, SECRET)
    if token is None:  # that of another session
        token = other.get("/ui/queues-new").text.split('name="csrf" value="')[1].split('"')[0]
    answer = web.post_raw("/ui/queues/theirs/pause", {"csrf": token})
    assert answer.status == 403
    assert not web.twin("/ui/queues/theirs")["standing"]["paused"]


def test_a_form_of_another_site_is_refused_even_with_the_token(guarded: ServerProcess) -> None:
    web = Web(guarded.url)
    web.sign_in(KEY, SECRET)
    answer = web.post("/ui/queues/theirs/pause", page="/ui/queues-new", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403
    assert not web.twin("/ui/queues/theirs")["standing"]["paused"]


def test_a_session_outlives_a_restart_of_the_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("again")
    with ServerProcess(directory, environment={"ENCOLA_CREDENTIALS": CREDENTIALS}) as process:
        web = Web(process.url)
        web.sign_in(KEY, SECRET)
        process.restart()
        later = Web(process.url)
        later.cookies = web.cookies
        assert later.get("/", follow=False).status == 200


def test_whom_the_proxy_names_acts_under_his_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    environment = {
        "ENCOLA_DASHBOARD__PROXY_HEADER": "X-Forwarded-User",
        "ENCOLA_DASHBOARD__PROXY_PEERS": '["127.0.0.1"]',
        "ENCOLA_DASHBOARD__PROXY_OPERATORS": '["ann"]',
        "ENCOLA_DASHBOARD__BASE_PATH": "/encola",
    }
    with ServerProcess(tmp_path_factory.mktemp("proxied"), environment=environment) as process:
        ann, bob = (Web(process.url, {"X-Forwarded-User": name}) for name in ("ann", "bob"))
        created = ann.post("/encola/ui/queues-new", {"name": "orders"}, page="/encola/ui/queues-new")
        assert created.url == "/encola/ui/queues/orders"
        assert created.status == 200
        assert bob.get("/ui/queues/orders").status == 200  # a proxy may take the base path off
        assert bob.post("/encola/ui/queues/orders/pause", page="/encola/ui/queues-new").status == 403
        (noted,) = [one for one in ann.twin("/encola/ui/audit")["entries"] if one["what"] == "CreateQueue"]
        assert (noted["who"], noted["on"], noted["outcome"]) == ("ann", "orders", "done")
        nobody = Web(process.url).get("/encola/")
        assert nobody.status == 401
        assert "names nobody" in nobody.words
