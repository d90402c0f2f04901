"""The server's own mappings push to an application, in a process and behind a URL: all comes out as with a worker."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import encola
from encola.consumers.errors import JobDeadError

from ...process import ServerProcess
from ..bench import ROOT, Queues, WorkProcess, wait_until
from . import shop

SECONDS_MAX = 30.0
NAMES = ("pulled", "process", "url")
CONFIGURATION = """
[[functions]]
name = "process"
target = "python:tests.consumers.pushed.shop:handler"
timeout = 20
directory = "{root}"
environment = {{ SHOP_NAME = "process", SHOP_SERVER = "{url}", SHOP_QUEUE = "process" }}

[[functions]]
name = "url"
target = "{hook}/"
timeout = 20

[[mappings]]
queue = "process"
function = "process"
report_batch_item_failures = true

[[mappings]]
queue = "url"
function = "url"
batching_window = 1
report_batch_item_failures = true
"""


class Hook:
    """A web server whose every path is the handler of an application."""

    def __init__(self) -> None:
        self.handler: Callable[[Any], Any] = lambda event: {}
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(hook.handler(event)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class House:
    """A server with one application, three times: pulled by a worker, pushed to a process, pushed to a URL."""

    def __init__(self, server: ServerProcess, apps: dict[str, encola.App]) -> None:
        self.server = server
        self.apps = apps
        self.queues = Queues(server.url)

    def send(self, name: str, task: str, *args: Any) -> Any:
        return self.apps[name].tasks[task].send(*args)

    def settled(self) -> None:
        """Waits until no queue has a message left, but for the dead."""
        wait_until(lambda: not any(self.queues.held(name) for name in NAMES), self.server.logged()[-3000:])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("pushed")
    hook, port = Hook(), free_port()
    url = f"http://127.0.0.1:{port}"
    file = directory / "encola.toml"
    text = CONFIGURATION.format(root=ROOT, url=url, hook=hook.url)
    file.write_text("\n".join([*map(declared, NAMES), text]))
    with ServerProcess(directory, "--config", str(file), port=port) as server:
        apps = {name: shop.build(name, url, name) for name in NAMES}
        hook.handler = apps["url"].lambda_handler()
        worker = start_worker(directory, url)
        yield House(server, apps)
        assert worker.stop() == 0
        for app in apps.values():
            app.close()
    hook.close()


def declared(name: str) -> str:
    """A queue and its dead-letter queue in the configuration."""
    policy = f'{{ deadLetterTargetArn = "{name}-dead", maxReceiveCount = 100 }}'
    attributes = f"{{ VisibilityTimeout = 20, RedrivePolicy = {policy} }}"
    return f'[[queues]]\nname = "{name}-dead"\n[[queues]]\nname = "{name}"\nattributes = {attributes}\n'


def start_worker(directory: Path, url: str) -> WorkProcess:
    environment = {"SHOP_NAME": "pulled", "SHOP_SERVER": url, "SHOP_QUEUE": "pulled"}
    worker = WorkProcess(directory, url, ["tests.consumers.pushed.shop:app"], environment, number=0)
    return worker.ready()


def outcome(job: Any) -> tuple[Any, ...]:
    """All that a job leaves behind, but for times and names."""
    try:
        result = job.result(SECONDS_MAX)
    except JobDeadError as error:
        result = (error.type, str(error).partition(": ")[2])
    record = job.record()
    return record.state, record.attempts, [(one.attempt, one.type, one.message) for one in record.errors], result


def test_pulled_and_pushed_jobs_come_out_the_same(house: House) -> None:
    wishes = [(task, n) for task in ("fine", "flaky", "hopeless", "broken") for n in range(3)]
    jobs = {name: [house.send(name, *wish) for wish in wishes] for name in NAMES}
    outcomes = {name: [outcome(job) for job in jobs[name]] for name in NAMES}
    by_task = dict(zip([wish[0] for wish in wishes], outcomes["pulled"], strict=True))
    assert [(by_task[task][:2]) for task in ("fine", "flaky", "hopeless", "broken")] == [
        ("completed", 1),
        ("completed", 3),
        ("dead", 1),
        ("dead", 2),
    ]
    assert by_task["flaky"][3] == 4
    assert outcomes["process"] == outcomes["pulled"]
    assert outcomes["url"] == outcomes["pulled"]
    house.settled()
    dead = {name: sorted(taken(house.queues, f"{name}-dead")) for name in NAMES}
    assert len(dead["pulled"]) == 6
    assert dead["process"] == dead["url"] == dead["pulled"]


def taken(queues: Queues, queue: str) -> list[tuple[str, str, str]]:
    """All messages of a dead-letter queue: bodies without ids, reasons and errors. They are gone then."""
    found: dict[str, tuple[str, str, str]] = {}
    while messages := queues.receive(queue, seconds=1):
        for message in messages:
            body, attributes = json.loads(message["Body"]), message["MessageAttributes"]
            assert message["MessageId"] not in found
            found[message["MessageId"]] = (
                json.dumps([body["task"], body["args"]]),
                attributes["encola.reason"]["StringValue"],
                attributes["encola.error"]["StringValue"],
            )
            queues.sqs.delete_message(QueueUrl=queues.url(queue), ReceiptHandle=message["ReceiptHandle"])
    return list(found.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_wish_that_is_sent_twice_is_one_job_and_runs_once(house: House, name: str) -> None:
    job = house.send(name, "report", "2026-10")
    assert job.result(SECONDS_MAX) == "pages of 2026-10"
    again = house.send(name, "report", "2026-10")
    assert again.id == job.id
    house.settled()
    assert job.record().attempts == 1


@pytest.mark.parametrize("name", ["process", "url"])
def test_a_retry_comes_at_its_time_and_not_when_the_mappings_lease_is_over(house: House, name: str) -> None:
    """The lease is 20 s, or with a window 1 + 20 + 30 s: two retries at once must not wait for any of it."""
    assert house.send(name, "flaky", 1).result(SECONDS_MAX) == 3
