"""The pages of event source mappings, with a real function behind them."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from ..consumers.bench import wait_until
from ..process import ServerProcess, client
from .web import Web

ACCOUNT = "000000000000"
FUNCTION = """
def handler(event, context):
    for record in event["Records"]:
        if record["body"].startswith("bad"):
            raise ValueError("refused: <script>" + record["body"])
"""
CONFIGURATION = """
[[functions]]
name = "charge"
target = "python:pushed_by_pages:handler"
timeout = 1
directory = "{directory}"

[[functions]]
name = "patient"
target = "python:pushed_by_pages:handler"
timeout = 300
directory = "{directory}"

[[queues]]
name = "declared"

[[mappings]]
queue = "declared"
function = "charge"

[[credentials]]
access_key = "AKIDALL"
secret_key = "the-secret-of-all"

[[credentials]]
access_key = "AKIDLIMITED"
secret_key = "the-secret-of-some"
queues = ["mine-*"]

[[credentials]]
access_key = "AKIDLOOKS"
secret_key = "the-secret-of-looks"
actions = ["Get*", "List*"]
"""
KEYS = {"aws_access_key_id": "AKIDALL", "aws_secret_access_key": "the-secret-of-all"}


@pytest.fixture(scope="module")
def pushing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("pushing")
    (directory / "pushed_by_pages.py").write_text(FUNCTION)
    configuration = directory / "encola.toml"
    configuration.write_text(CONFIGURATION.format(directory=directory))
    with ServerProcess(directory / "server", "--config", str(configuration), "--relaxed") as process:
        yield process
        assert process.stop() == 0
        assert "Traceback" not in process.logged()


def signed_in(server: ServerProcess, key: str, secret: str) -> Web:
    web = Web(server.url)
    web.sign_in(key, secret)
    return web


@pytest.fixture
def web(pushing: ServerProcess) -> Web:
    return signed_in(pushing, "AKIDALL", "the-secret-of-all")


class Mapped:
    """A queue that is mapped to the function ``charge``."""

    def __init__(self, server: ServerProcess, queue: str) -> None:
        self.sqs = client(server.url, **KEYS)
        self.url = self.sqs.create_queue(QueueName=queue, Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
        api: Any = boto3.client("lambda", endpoint_url=server.url, region_name="us-east-1", **KEYS)
        made = api.create_event_source_mapping(
            FunctionName="charge", EventSourceArn=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}", BatchSize=1
        )
        self.uuid = made["UUID"]
        self.path = f"/ui/mappings/{self.uuid}"

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def look(self, web: Web) -> dict[str, Any]:
        found: dict[str, Any] = web.twin(self.path)["mapping"]
        return found

    def is_in(self, web: Web, state: str) -> None:
        wait_until(lambda: self.look(web)["state"] == state, f"the state {state}")


@pytest.fixture
def mapped(pushing: ServerProcess, name: str, web: Web) -> Mapped:
    made = Mapped(pushing, f"mine-{name}")
    made.is_in(web, "Enabled")
    return made


def test_a_page_tells_what_a_function_did_and_what_went_wrong(web: Web, mapped: Mapped, name: str) -> None:
    mapped.send("good")
    wait_until(lambda: mapped.look(web)["done"] == 1, "a message that is done")
    assert mapped.look(web)["last_result"] == "OK"
    mapped.send("bad card")
    row = wait_until(lambda: [one for one in [mapped.look(web)] if one["problems"]], "a problem")[0]
    assert row["problems"][0]["text"] == "ValueError: refused: <script>bad card"
    assert (row["queue"], row["function"], row["state"]) == (f"mine-{name}", "charge", "Enabled")
    assert row["failures"] >= 1
    assert row["invocations"] > row["failures"]
    assert row["last_invoked_at"]
    page = web.get(mapped.path)
    assert "<script>bad" not in page.text
    assert "ValueError: refused: <script>bad card" in page.words
    assert f"/ui/queues/mine-{name}" in page.text
    listed = web.twin(f"/ui/mappings?search=mine-{name}")["rows"]
    assert [one["uuid"] for one in listed] == [mapped.uuid]
    assert mapped.path in web.get("/ui/mappings").text
    assert web.twin(f"/ui/mappings?queue=mine-{name}")["rows"][0]["uuid"] == mapped.uuid
    assert web.twin("/ui/mappings?search=nothing")["rows"] == []


def test_a_mapping_is_disabled_enabled_and_deleted(web: Web, mapped: Mapped, name: str) -> None:
    answer = web.post(mapped.path, {"act": "disable"}, page=mapped.path)
    assert answer.status == 200
    mapped.is_in(web, "Disabled")
    mapped.send("good")
    assert mapped.look(web)["invocations"] == 0
    web.post(mapped.path, {"act": "enable"}, page=mapped.path)
    wait_until(lambda: mapped.look(web)["done"] == 1, "the message that waited")
    mapped.is_in(web, "Enabled")
    question = web.get(f"{mapped.path}/delete")
    assert f"The mapping of the queue mine-{name} to charge will be deleted." in question.words
    answer = web.post(f"{mapped.path}/delete", page=f"{mapped.path}/delete")
    assert answer.url == "/ui/mappings"
    wait_until(lambda: web.get(mapped.path).status == 404, "its end")
    noted = [(one["what"], one["detail"]) for one in web.twin(f"/ui/audit?search=mine-{name}")["entries"]]
    assert noted == [
        ("DeleteEventSourceMapping", mapped.uuid),
        ("UpdateEventSourceMapping", "enabled=True"),
        ("UpdateEventSourceMapping", "enabled=False"),
    ]


def test_settings_are_changed_and_what_lambda_would_refuse_is_refused_in_its_words(web: Web, mapped: Mapped) -> None:
    form = {"act": "change", "batch_size": "50", "window": "3", "concurrency": "7"}
    assert "Changed." in web.post(mapped.path, form, page=mapped.path).words
    mapped.is_in(web, "Enabled")
    row = mapped.look(web)
    assert (row["batch_size"], row["window_seconds"], row["maximum_concurrency"]) == (50, 3, 7)
    assert "Nothing was changed." in web.post(mapped.path, form, page=mapped.path).words
    for change, said in (
        ({"window": "0"}, "Maximum batch window in seconds must be greater than 0"),
        ({"batch_size": "10001"}, "less than or equal to 10000"),
        ({"concurrency": "1"}, "greater than or equal to 2"),
        ({"concurrency": "many"}, "The concurrency must be a whole number."),
        ({"batch_size": ""}, "The batch size must be a whole number."),
        ({"window": "9" * 400}, "The window must be a whole number."),
    ):
        answer = web.post(mapped.path, {**form, **change}, page=mapped.path)
        assert answer.status == 400
        assert said in answer.words
        ((name, value),) = change.items()
        assert f'name="{name}" value="{value}"' in answer.text  # what was typed is still there
    assert web.post(mapped.path, {"act": "explode"}, page=mapped.path).status == 404
    web.post(mapped.path, {**form, "batch_size": "5", "window": "0", "concurrency": ""}, page=mapped.path)
    assert mapped.look(web)["maximum_concurrency"] is None


def test_a_declared_mapping_says_why_it_is_not_changed(web: Web) -> None:
    (row,) = web.twin("/ui/mappings?queue=declared")["rows"]
    assert row["declared"]
    path = f"/ui/mappings/{row['uuid']}"
    page = web.get(path)
    assert "It is declared in the server's configuration: change it there." in page.words
    assert ">Disable<" not in page.text
    for answer in (
        web.post(path, {"act": "disable"}),
        web.post(path, {"act": "change", "batch_size": "2", "window": "0"}),
        web.post(f"{path}/delete"),
    ):
        assert answer.status == 400
        assert "it is declared in the server's configuration" in answer.words
    assert web.get("/ui/mappings/nothing").status == 404


def test_who_is_limited_sees_and_changes_only_what_he_may(
    pushing: ServerProcess, mapped: Mapped, web: Web, name: str
) -> None:
    other = Mapped(pushing, f"other-{name}")
    some = signed_in(pushing, "AKIDLIMITED", "the-secret-of-some")
    assert {one["queue"][:5] for one in some.twin("/ui/mappings")["rows"]} == {"mine-"}
    for path in (other.path, f"{other.path}/delete"):
        assert some.get(path).status == 403
        assert some.post(path, {"act": "disable"}, page=mapped.path).status == 403
    assert some.post(mapped.path, {"act": "disable"}, page=mapped.path).status == 200
    looks = signed_in(pushing, "AKIDLOOKS", "the-secret-of-looks")
    page = looks.get(mapped.path)
    assert page.status == 200
    assert not any(word in page.text for word in (">Disable<", ">Enable<", "Delete…", "Change it"))
    for answer in (
        looks.post(mapped.path, {"act": "enable"}, page=mapped.path),
        looks.post(f"{mapped.path}/delete", page=mapped.path),
    ):
        assert answer.status == 403
    assert other.look(web)["state"] == "Enabled"


def test_jobs_and_workers_are_for_those_who_may_see_them(pushing: ServerProcess) -> None:
    """Rights as their endpoints have them: some queues, and nothing named, is nothing of the account's."""
    some = signed_in(pushing, "AKIDLIMITED", "the-secret-of-some")
    looks = signed_in(pushing, "AKIDLOOKS", "the-secret-of-looks")
    for path in ("/ui/jobs", "/ui/jobs-retry", "/ui/jobs/a%2Fb", "/ui/workers", "/ui/workers/w", "/ui/workers/w/stop"):
        assert some.get(path).status == 403
    assert looks.get("/ui/workers").status == 200
    assert looks.get("/ui/jobs").status == 403  # FindJobs was not given
    assert looks.get("/ui/jobs/a%2Fb").status == 404  # GetJobs was
    mine = "/ui/mappings"
    assert looks.post("/ui/workers/w/stop", page=mine).status == 403
    assert some.post("/ui/jobs/a%2Fb", {"act": "cancel"}, page=mine).status == 403
