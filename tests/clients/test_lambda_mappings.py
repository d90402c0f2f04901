"""boto3's Lambda client makes mappings on a real server, and the server pushes messages to real functions."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from ..process import ACCOUNT, CREDENTIALS, KEY, SECRET, ServerProcess, client

pytestmark = pytest.mark.clients

REGION = "us-east-1"
WAIT_SECONDS_MAX = 30.0
HERE = Path(__file__).parent

CONFIGURATION = """
[push]
url_prefixes = ["{hook}"]

[[functions]]
name = "noting"
account = "{account}"
target = "python:tests.clients.pushed_functions:noting"
timeout = 1
directory = "{directory}"
environment = {{ JOURNAL = "{journal}" }}

[[functions]]
name = "patient"
account = "{account}"
target = "python:tests.clients.pushed_functions:noting"
timeout = 30
directory = "{directory}"
environment = {{ JOURNAL = "{journal}" }}

[[functions]]
name = "hook"
account = "{account}"
target = "{hook}/hook"
headers = {{ Authorization = "Bearer token" }}

[[functions]]
name = "unreachable"
account = "{account}"
target = "http://127.0.0.1:1/"

[[queues]]
name = "declared"
account = "{account}"

[[mappings]]
queue = "declared"
function = "patient"
account = "{account}"
batch_size = 5
"""


class Hook:
    """A webhook that answers what the test says, and remembers the events."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.during: Callable[[], None] = lambda: None
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.events.append(json.loads(body))
                hook.tokens.append(self.headers["Authorization"])
                hook.during()
                self.send_response(hook.statuses.pop(0) if hook.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Place:
    """A server with functions, its clients, and the functions' journal."""

    def __init__(self, directory: Path, hook: Hook) -> None:
        self.journal = directory / "journal"
        self.hook = hook
        file = directory / "encola.toml"
        text = CONFIGURATION.format(account=ACCOUNT, directory=HERE.parents[1], journal=self.journal, hook=hook.url)
        file.write_text(text)
        environment = {"ENCOLA_CREDENTIALS": CREDENTIALS, "ENCOLA_SERVER__GRACE_SECONDS": "1"}
        self.server = ServerProcess(directory, "--config", str(file), environment=environment)
        self._numbers = iter(range(10_000))

    @property
    def sqs(self) -> Any:
        return client(self.server.url)

    @property
    def functions(self) -> Any:
        return boto3.client(
            "lambda",
            endpoint_url=self.server.url,
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def queue(self, *, fifo: bool = False, visibility: int = 2) -> tuple[str, str]:
        """A fresh queue: its URL and its ARN."""
        name = f"q{next(self._numbers)}" + (".fifo" if fifo else "")
        attributes = {"VisibilityTimeout": str(visibility)}
        if fifo:
            attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def map(self, arn: str, function: str = "noting", **settings: Any) -> str:
        """A new mapping's UUID, when it is enabled."""
        made = self.functions.create_event_source_mapping(EventSourceArn=arn, FunctionName=function, **settings)
        self.until(lambda: self.state(made["UUID"]) == "Enabled")
        return str(made["UUID"])

    def state(self, uuid: str) -> str:
        return str(self.functions.get_event_source_mapping(UUID=uuid)["State"])

    def events(self, arn: str) -> list[list[tuple[str, int]]]:
        """The events of a queue that the functions noted: bodies, and their receive counts."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [records for line in lines if (records := of_queue(json.loads(line), arn))]

    def bodies(self, arn: str) -> list[str]:
        return [body for event in self.events(arn) for body, _ in event]

    def until(self, condition: Callable[[], Any]) -> None:
        """Waits until it holds."""
        end = time.monotonic() + WAIT_SECONDS_MAX
        while not condition():
            assert time.monotonic() < end, self.server.logged()[-3000:]
            time.sleep(0.02)

    def emptied(self, url: str) -> None:
        """Waits until the queue holds nothing."""
        self.until(lambda: not any(self.counts(url)))

    def counts(self, url: str) -> tuple[int, int]:
        """Visible and invisible messages."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])


def of_queue(event: dict[str, Any], arn: str) -> list[tuple[str, int]]:
    return [
        (record["body"], int(record["attributes"]["ApproximateReceiveCount"]))
        for record in event["Records"]
        if record["eventSourceARN"] == arn
    ]


@pytest.fixture(scope="module")
def module_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    hook = Hook()
    place = Place(tmp_path_factory.mktemp("mappings"), hook)
    with place.server:
        yield place
    hook.close()


@pytest.fixture
def place(module_place: Place) -> Iterator[Place]:
    """The server of all tests of this file; what a test mapped is deleted after it."""
    yield module_place
    for mapping in module_place.functions.list_event_source_mappings()["EventSourceMappings"]:
        if mapping["StateTransitionReason"] == "USER_INITIATED" and mapping["State"] != "Deleting":
            module_place.functions.delete_event_source_mapping(UUID=mapping["UUID"])


@pytest.fixture
def own_place(tmp_path: Path) -> Iterator[Place]:
    """A server of the test's own, which it may stop and kill."""
    hook = Hook()
    place = Place(tmp_path, hook)
    with place.server:
        yield place
    hook.close()


def order(what: str, **more: Any) -> str:
    return json.dumps({"do": what, **more})


# The API -----------------------------------------------------------------------------------------------


def test_a_mapping_lives_from_create_to_delete(place: Place) -> None:
    functions = place.functions
    _, arn = place.queue()
    made = functions.create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName="noting",
        BatchSize=100,
        MaximumBatchingWindowInSeconds=1,
        ScalingConfig={"MaximumConcurrency": 3},
        FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": [{"prefix": "a"}]})}]},
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    uuid = made["UUID"]
    assert (made["State"], made["ResponseMetadata"]["HTTPStatusCode"]) == ("Creating", 202)
    place.until(lambda: place.state(uuid) == "Enabled")
    pages = functions.get_paginator("list_event_source_mappings").paginate(EventSourceArn=arn)
    assert [one["UUID"] for page in pages for one in page["EventSourceMappings"]] == [uuid]
    changed = functions.update_event_source_mapping(UUID=uuid, Enabled=False, BatchSize=5)
    assert (changed["State"], changed["BatchSize"]) == ("Disabling", 5)
    place.until(lambda: place.state(uuid) == "Disabled")
    assert functions.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        place.until(lambda: place.state(uuid) == "gone")


def test_errors_are_the_exceptions_of_the_client(place: Place) -> None:
    functions = place.functions
    raises, create = functions.exceptions, functions.create_event_source_mapping
    _, arn = place.queue()
    place.map(arn)
    with pytest.raises(raises.ResourceConflictException):
        create(EventSourceArn=arn, FunctionName="noting")
    with pytest.raises(raises.ResourceNotFoundException):
        create(EventSourceArn=arn, FunctionName="nobody")
    with pytest.raises(raises.InvalidParameterValueException):
        create(EventSourceArn=arn, FunctionName="hook", BatchSize=100)
    with pytest.raises(raises.InvalidParameterValueException, match="url_prefixes"):
        create(EventSourceArn=arn, FunctionName="http://169.254.169.254/latest/meta-data")


# Functions ---------------------------------------------------------------------------------------------


def test_the_event_says_what_receive_message_says(place: Place) -> None:
    url, arn = place.queue(visibility=30)
    attributes = {
        "text": {"DataType": "String", "StringValue": "é"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    place.sqs.send_message(QueueUrl=url, MessageBody="same", MessageAttributes=attributes)
    seen = place.sqs.receive_message(
        QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"], VisibilityTimeout=0
    )["Messages"][0]
    place.map(arn, "hook")
    place.emptied(url)
    (record,) = next(e["Records"] for e in reversed(place.hook.events) if e["Records"][0]["eventSourceARN"] == arn)
    told = {**seen["Attributes"], "ApproximateReceiveCount": "2"}
    assert record["attributes"] == told
    assert (record["messageId"], record["body"]) == (seen["MessageId"], "same")
    assert (record["md5OfBody"], record["md5OfMessageAttributes"]) == (
        seen["MD5OfBody"],
        seen["MD5OfMessageAttributes"],
    )
    assert record["messageAttributes"]["text"]["stringValue"] == "é"
    assert record["messageAttributes"]["bytes"]["binaryValue"] == "AP8="
    assert place.hook.tokens[-1] == "Bearer token"


def test_a_declared_mapping_pushes_to_a_declared_function(place: Place) -> None:
    url = place.sqs.get_queue_url(QueueName="declared")["QueueUrl"]
    entries = [{"Id": str(n), "MessageBody": f"d{n}"} for n in range(10)]
    place.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:declared"
    place.emptied(url)
    assert sorted(place.bodies(arn)) == sorted(f"d{n}" for n in range(10))
    assert max(map(len, place.events(arn))) <= 5


def test_a_url_below_an_allowed_prefix_is_a_function(place: Place) -> None:
    url, arn = place.queue(visibility=30)
    uuid = place.map(arn, f"{place.hook.url}/given")
    place.sqs.send_message(QueueUrl=url, MessageBody="to a url")
    place.emptied(url)
    assert any(record["body"] == "to a url" for event in place.hook.events for record in event["Records"])
    assert place.functions.get_event_source_mapping(UUID=uuid)["LastProcessingResult"] == "OK"


@pytest.mark.parametrize("what", ["raise", "crash", "sleep"])
def test_a_function_that_fails_gets_the_message_again_when_it_becomes_visible(place: Place, what: str) -> None:
    url, arn = place.queue(visibility=1)
    body = order(what, seconds=20)
    place.map(arn)
    sent = time.monotonic()
    place.sqs.send_message(QueueUrl=url, MessageBody=body)
    place.emptied(url)
    assert place.events(arn) == [[(body, 1)], [(body, 2)]]
    assert time.monotonic() - sent >= 1


def test_what_a_function_reports_comes_again_alone(place: Place) -> None:
    url, arn = place.queue(visibility=1)
    bodies = ["a", order("report"), "c"]
    place.sqs.send_message_batch(
        QueueUrl=url, Entries=[{"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies)]
    )
    place.map(arn, FunctionResponseTypes=["ReportBatchItemFailures"])
    place.emptied(url)
    assert place.events(arn) == [[(body, 1) for body in bodies], [(order("report"), 2)]]


def test_a_fifo_group_stays_in_order_through_failures(place: Place) -> None:
    url, arn = place.queue(fifo=True, visibility=1)
    bodies = [json.dumps({"n": n, **({"do": "raise"} if n == 4 else {})}) for n in range(12)]
    for body in bodies:
        place.sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    place.map(arn, BatchSize=3)
    place.emptied(url)
    numbers = [json.loads(body)["n"] for body in place.bodies(arn)]
    assert numbers == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_what_a_filter_does_not_want_is_deleted(place: Place) -> None:
    url, arn = place.queue()
    for body in ('{"kind": "a"}', '{"kind": "b"}', "plain"):
        place.sqs.send_message(QueueUrl=url, MessageBody=body)
    place.map(arn, FilterCriteria={"Filters": [{"Pattern": '{"body": {"kind": ["a"]}}'}]})
    place.emptied(url)
    assert place.bodies(arn) == ['{"kind": "a"}']


def test_throttling_burns_no_receives(place: Place) -> None:
    url, arn = place.queue(visibility=30)
    place.hook.statuses[:] = [429, 503, 429]
    place.sqs.send_message(QueueUrl=url, MessageBody="throttled")
    place.map(arn, "hook")
    place.emptied(url)
    counts = [count for event in place.hook.events for _, count in of_queue(event, arn)]
    assert counts == [1, 1, 1, 1]


def test_a_function_that_nobody_reaches_burns_no_receives_and_hides_no_messages(place: Place) -> None:
    url, arn = place.queue(visibility=30)
    dead, dead_arn = place.queue()
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    place.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    place.sqs.send_message(QueueUrl=url, MessageBody="kept")
    uuid = place.map(arn, "unreachable")
    place.until(lambda: "not reached" in place.functions.get_event_source_mapping(UUID=uuid)["LastProcessingResult"])
    place.functions.update_event_source_mapping(UUID=uuid, FunctionName="noting")
    place.emptied(url)
    assert place.events(arn) == [[("kept", 1)]]
    assert place.counts(dead) == (0, 0)


# Stops and crashes -------------------------------------------------------------------------------------


def test_mappings_survive_a_crash_of_the_server(own_place: Place) -> None:
    place = own_place
    url, arn = place.queue(visibility=30)
    uuid = place.map(arn, "patient", BatchSize=2)
    place.server.restart()
    assert place.functions.get_event_source_mapping(UUID=uuid)["BatchSize"] == 2
    url = place.sqs.get_queue_url(QueueName=url.rpartition("/")[2])["QueueUrl"]
    place.sqs.send_message(QueueUrl=url, MessageBody="after")
    place.emptied(url)
    assert place.bodies(arn) == ["after"]


def test_a_stop_waits_for_the_running(own_place: Place) -> None:
    place = own_place
    url, arn = place.queue(visibility=60)
    quick = order("sleep", seconds=0.3)
    place.map(arn, "patient")
    place.sqs.send_message(QueueUrl=url, MessageBody=quick)
    place.until(lambda: place.bodies(arn) == [quick])
    assert place.server.stop() == 0
    place.server.start()
    assert place.counts(place.sqs.get_queue_url(QueueName=url.rpartition("/")[2])["QueueUrl"]) == (0, 0)
    assert place.events(arn) == [[(quick, 1)]]


def test_a_function_that_runs_during_a_stop_can_still_send(own_place: Place) -> None:
    place = own_place
    url, arn = place.queue(visibility=60)
    results, _ = place.queue()
    stopping = threading.Event()

    def send_when_it_stops() -> None:
        stopping.wait(WAIT_SECONDS_MAX)
        place.until(lambda: "stopping" in place.server.logged())
        place.sqs.send_message(QueueUrl=results, MessageBody="made")

    place.hook.during = send_when_it_stops
    place.map(arn, "hook")
    place.sqs.send_message(QueueUrl=url, MessageBody="make")
    place.until(lambda: place.hook.events)
    place.server.send_signal(signal.SIGTERM)
    stopping.set()
    assert place.server.wait() == 0
    place.server.start()
    names = (url.rpartition("/")[2], results.rpartition("/")[2])
    urls = [place.sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in names]
    assert [place.counts(one) for one in urls] == [(0, 0), (1, 0)]


def test_an_invocation_that_outlasts_the_grace_period_is_given_back_uncounted(own_place: Place) -> None:
    place = own_place
    url, arn = place.queue(visibility=60)
    place.map(arn, "patient")
    long = order("sleep", seconds=25)
    place.sqs.send_message(QueueUrl=url, MessageBody=long)
    place.until(lambda: place.bodies(arn) == [long])
    assert place.server.stop() == 0
    place.server.start()
    place.until(lambda: len(place.events(arn)) == 2)
    assert place.events(arn)[1] == [(long, 1)]
