"""The overview, a queue's page, its configuration, and what can be done there; through forms, as people do it."""

import json
from typing import Any

import pytest

from ..process import ServerProcess
from .web import Web


def _attributes(sqs: Any, name: str) -> dict[str, str]:
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def test_a_queue_is_created_as_its_form_says(web: Web, sqs: Any, name: str) -> None:
    web.post("/ui/queues-new", {"name": f"{name}-dead"})
    form = {"name": name, "VisibilityTimeout": "77", "DelaySeconds": "0", "dead_letter_queue": f"{name}-dead"}
    answer = web.post("/ui/queues-new", {**form, "max_receives": "3"})
    assert answer.url == f"/ui/queues/{name}"
    assert f"{name} was created" in answer.words
    found = _attributes(sqs, name)
    assert found["VisibilityTimeout"] == "77"
    rule = json.loads(found["RedrivePolicy"])
    assert rule["deadLetterTargetArn"].endswith(f":{name}-dead")
    assert int(rule["maxReceiveCount"]) == 3


def test_a_fifo_queue_gets_its_suffix(web: Web, sqs: Any, name: str) -> None:
    web.post("/ui/queues-new", {"name": name, "fifo": "1", "ContentBasedDeduplication": "true"})
    found = _attributes(sqs, f"{name}.fifo")
    assert (found["FifoQueue"], found["ContentBasedDeduplication"]) == ("true", "true")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b<script>"}, "alphanumeric"),
        ({"name": "fine", "VisibilityTimeout": "a lot"}, "VisibilityTimeout"),
        ({"name": "fine", "DelaySeconds": "901"}, "DelaySeconds"),
        ({"name": "fine", "Policy": "{"}, "Policy"),
        ({"name": "fine", "dead_letter_queue": "nowhere", "max_receives": "3"}, "Dead letter target does not exist"),
        ({"name": "fine", "dead_letter_queue": "nowhere", "max_receives": "x"}, "maxReceiveCount"),
    ],
)
def test_a_form_with_mistakes_comes_back_with_what_was_typed(web: Web, fields: dict[str, str], said: str) -> None:
    answer = web.post("/ui/queues-new", fields)
    assert answer.status == 400
    assert said.lower() in answer.words.lower()
    assert "<script>alert" not in answer.text
    for value in fields.values():
        if value.isalnum():
            assert f'value="{value}"' in answer.text or f">{value}<" in answer.text
    assert "a b<script>" not in answer.text


def test_attributes_are_changed_and_only_those_that_differ(web: Web, sqs: Any, name: str) -> None:
    sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "11"})
    page = f"/ui/queues/{name}/configuration"
    answer = web.post(page, {"VisibilityTimeout": "12", "DelaySeconds": "0"}, page=page)
    assert "Changed: VisibilityTimeout." in answer.words
    assert _attributes(sqs, name)["VisibilityTimeout"] == "12"
    assert "Nothing was changed" in web.post(page, {"VisibilityTimeout": "12"}, page=page).words
    refused = web.post(page, {"VisibilityTimeout": "43201"}, page=page)
    assert refused.status == 400
    assert 'value="43201"' in refused.text
    noted = [one for one in web.twin("/ui/audit")["entries"] if one["on"].startswith(name)]
    assert [(one["what"], one["outcome"] == "done") for one in noted] == [
        ("queues/{queue}/configuration", False),
        ("SetQueueAttributes", True),
    ]


def test_a_message_is_sent_with_attributes(web: Web, sqs: Any, name: str) -> None:
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    page = f"/ui/queues/{name}/send"
    body = '{"a": "<b>é</b>"}\nsecond line'
    answer = web.post(page, {"body": body, "attributes": '{"tenant": "blue", "n": 3}'}, page=page)
    assert "Sent, as" in answer.words
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == body
    assert message["MessageAttributes"]["tenant"] == {"StringValue": "blue", "DataType": "String"}
    assert message["MessageAttributes"]["n"] == {"StringValue": "3", "DataType": "Number"}


@pytest.mark.parametrize(
    "fields",
    [
        {"body": ""},
        {"body": "x", "delay": "-1"},
        {"body": "x", "delay": "901"},
        {"body": "x", "attributes": "{"},
        {"body": "x", "attributes": "[1]"},
        {"body": "x", "attributes": '{"a": null}'},
        {"body": "x" * 1_048_577},
        {"body": "\x00"},
    ],
)
def test_a_message_that_sqs_would_refuse_is_refused(web: Web, sqs: Any, name: str, fields: dict[str, str]) -> None:
    sqs.create_queue(QueueName=name)
    answer = web.post(f"/ui/queues/{name}/send", fields, page=f"/ui/queues/{name}/send")
    assert answer.status == 400
    assert 'role="alert"' in answer.text
    assert _attributes(sqs, name)["ApproximateNumberOfMessages"] == "0"


def test_a_paused_queue_gives_nothing_until_it_is_resumed(web: Web, sqs: Any, name: str) -> None:
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    page = f"/ui/queues/{name}"
    assert "is paused" in web.post(f"{page}/pause", page=page).words
    assert web.twin(page)["standing"]["paused"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    web.post(f"{page}/resume", page=page)
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


@pytest.mark.parametrize("act", ["purge", "delete"])
def test_what_cannot_be_undone_asks_for_the_queues_name(web: Web, sqs: Any, name: str, act: str) -> None:
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    page = f"/ui/queues/{name}/confirm/{act}"
    refused = web.post(page, {"name": name[:-1]}, page=page)
    assert refused.status == 400
    assert f"type its name, {name}" in refused.words
    assert _attributes(sqs, name)["ApproximateNumberOfMessages"] == "1"
    done = web.post(page, {"name": name}, page=page)
    assert done.status == 200
    if act == "purge":
        assert _attributes(sqs, name)["ApproximateNumberOfMessages"] == "0"
    else:
        assert web.get(f"/ui/queues/{name}").status == 404


def test_the_overview_finds_sorts_and_pages(web: Web, sqs: Any, name: str) -> None:
    names = [f"{name}-{number:03d}" for number in range(60)]
    for one in names:
        sqs.create_queue(QueueName=one)
    url = sqs.get_queue_url(QueueName=names[30])["QueueUrl"]
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "x"} for n in range(7)])
    found = web.twin(f"/?search={name.upper()}-")
    assert [row["standing"]["name"] for row in found["rows"]] == names[:50]
    assert found["paging"] == {"found": 60, "page": 1, "pages": 2, "first": 0}
    second = web.twin(f"/?search={name}-&page=2")
    assert [row["standing"]["name"] for row in second["rows"]] == names[50:]

    def most() -> tuple[str, int]:
        first = web.twin(f"/?search={name}-&sort=visible")["rows"][0]["standing"]
        return first["name"], first["visible"]

    import time

    end = time.monotonic() + 20
    while most() != (names[30], 7) and time.monotonic() < end:  # the figures are of the last second
        time.sleep(0.1)
    assert most() == (names[30], 7)
    assert "No queue is called like that" in web.get("/?search=%3Cscript%3E").words


def test_every_page_has_a_twin_and_says_no_clearly(web: Web, sqs: Any, name: str) -> None:
    sqs.create_queue(QueueName=name)
    for path in ("/", "/ui/queues-new", f"/ui/queues/{name}", f"/ui/queues/{name}/configuration", "/ui/server"):
        page = web.get(path)
        assert page.status == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert isinstance(web.twin(path), dict)
        joiner = "&" if "?" in path else "?"
        assert web.get(f"{path}{joiner}format=json").headers["content-type"] == "application/json"
    for path in ("/ui/nothing", "/ui/queues/none", "/ui/queues/none?format=json", "/ui/queues/%00", "/ui/static/x/y"):
        assert web.get(path).status == 404
    assert web.post("/ui/queues/none/pause").status == 404
    assert web.post("/ui/server").status == 405
    assert web.get("/?a=%ff").status == 400


def test_a_static_file_may_be_kept_for_ever_and_all_are_small(web: Web) -> None:
    from encola.dashboard.assets import Assets

    assets = Assets()
    assert assets.packed_bytes <= 200 * 1024
    answer = web.get(f"/ui/static/{assets.version}/encola.css", {"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert web.get(f"/ui/static/{assets.version}/../app.py").status == 404


def test_the_api_is_where_it_was(server: ServerProcess, web: Web) -> None:
    assert b"ListQueuesResponse" in web.get("/?Action=ListQueues&Version=2012-11-05").body
    link = web.get("/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert link.status == 200  # a link in a chat
    refused = web.get("/?Action=ListQueues&Version=2012-11-05", {"Sec-Fetch-Site": "cross-site"})
    assert refused.status == 403
    assert web.get("/", {"Host": "evil.example"}).status == 403
