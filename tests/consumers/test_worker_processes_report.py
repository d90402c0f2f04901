"""Worker processes in the list of their server: they come, go, die and are stopped; and the server learns anew."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from encola.cli.client import call
from encola.engine.workers import SILENCE_MAX
from encola.testing import EncolaServer

from ..broker.conftest import TestClock
from ..cli.conftest import Cli
from ..process import ServerProcess, client
from .bench import KEYS, Queues, WorkProcess, wait_until

pytestmark = pytest.mark.crash

Work = Callable[..., WorkProcess]

TILL = """
import os, pathlib, time
import encola

app = encola.App("till")
here = pathlib.Path(__file__).parent

@app.task(queue="sales", key="n{number}")
def sell(number: int) -> str:
    while not (here / "go on").exists():
        time.sleep(0.01)
    return f"sold {number}"
"""


class Till:
    """The application in a file, its server, and the workers that this knows of."""

    def __init__(self, directory: Path, url: str, work: Work) -> None:
        self.directory = directory
        self.url = url
        self._work = work
        self._sqs = client(url, retries=3, **KEYS)
        environment = {**EncolaServer().environment, "ENCOLA_ENDPOINT": url}
        environment.pop("AWS_ENDPOINT_URL_SQS")
        self.encola = Cli(**environment)
        (directory / "till.py").write_text(TILL)

    def start(self, *arguments: str) -> WorkProcess:
        return self._work("till:app", *arguments, url=self.url)

    def workers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = call(self._sqs, "List", {}, of="EncolaWorkers")["Workers"]
        return found

    def has(self, number: int) -> list[dict[str, Any]]:
        """So many workers, as soon as they are in the list."""
        found: list[dict[str, Any]] = wait_until(
            lambda: [one for one in [self.workers()] if len(one) == number], f"{number} workers"
        )[0]
        return found

    def sell(self, number: int) -> None:
        Queues(self.url).send("sales", f'{{"task": "sell", "job": "sell/n{number}", "args": {{"number": {number}}}}}')

    def go_on(self) -> None:
        (self.directory / "go on").touch()

    def runs(self) -> dict[str, Any]:
        """The worker that runs a job, as soon as it has told of that."""
        found: list[dict[str, Any]] = wait_until(
            lambda: [one for one in self.workers() if one["running"]], "a worker that runs something"
        )
        return found[0]


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def till(tmp_path: Path, work: Work, clock: TestClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    monkeypatch.setattr("encola.server.compose.Clock", lambda: clock)
    with EncolaServer(queues=["sales"]) as server:
        yield Till(tmp_path, server.url, work)


@pytest.mark.slow
def test_a_worker_is_stopped_gently_by_a_command_while_it_runs_a_job(till: Till) -> None:
    """The way of the wish: command, server, the worker's next report. The job ends, and its result is there."""
    process = till.start()
    till.has(1)
    till.sell(7)
    worker = till.runs()
    assert (worker["pid"], worker["app"], worker["host"]) == (process.pid, "till", socket.gethostname())
    assert worker["running"][0]["key"] == "till/sell/n7"
    assert "till/sell/n7 for " in till.encola("workers", COLUMNS="300")
    assert till.encola.json("workers")[0]["id"] == worker["id"]
    till.encola("workers", "stop", worker["id"])
    process.logs("was asked to stop")
    assert till.has(1)[0]["stop_asked"]
    till.go_on()
    assert process.wait() == 0
    assert till.workers() == []
    assert till.encola.json("jobs", "show", "till/sell/n7")["result"] == "sold 7"
    assert till.encola("workers") == "no workers\n"


def test_one_that_ends_is_gone_at_once_and_one_that_was_killed_when_its_time_is_over(
    till: Till, clock: TestClock
) -> None:
    stopped, killed = till.start(), till.start()
    till.has(2)
    assert stopped.stop() == 0
    (left,) = till.workers()
    assert left["pid"] == killed.pid
    killed.process.kill()
    killed.wait()
    clock.turn(SILENCE_MAX // 2)
    assert [one["id"] for one in till.workers()] == [left["id"]]
    clock.turn(SILENCE_MAX // 2)
    assert till.workers() == []


@pytest.mark.slow
def test_a_process_that_was_stopped_is_not_replaced_and_without_any_the_supervisor_ends(till: Till) -> None:
    supervisor = till.start("--processes", "2")
    first, second = till.has(2)
    till.encola("workers", "stop", first["id"])
    wait_until(lambda: not _lives(first["pid"]), "its end")
    os.kill(second["pid"], signal.SIGKILL)  # the other place is still taken by somebody
    supervisor.ready(3)
    (third,) = wait_until(lambda: [one for one in till.workers() if one["id"] not in (first["id"], second["id"])], "it")
    assert [one["id"] for one in till.workers() if one["id"] == first["id"]] == []
    till.encola("workers", "stop", third["id"])
    assert supervisor.wait() == 0
    assert supervisor.logged.count(" polls ") == 3
    assert "all workers were stopped" in supervisor.logged


def test_a_server_that_was_restarted_knows_its_workers_again(tmp_path: Path, work: Work) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ServerProcess(tmp_path / "server", port=port) as server:
        till = Till(tmp_path, server.url, work)
        process = till.start()
        (before,) = till.has(1)
        server.kill()
        server.start()
        assert till.workers() == [] or till.workers()[0]["id"] == before["id"]
        (after,) = till.has(1)
        assert (after["id"], after["started_at"], after["pid"]) == (before["id"], before["started_at"], process.pid)
        assert process.stop() == 0
        assert till.workers() == []


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
