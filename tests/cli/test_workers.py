"""``encola workers`` and its ``stop``: what they print of workers that have reported, and what they refuse."""

import time
from typing import Any

import pytest

from encola.cli.client import call
from encola.engine.workers import RUNNING_MAX

from ..process import ServerProcess, client
from .conftest import Cli


def tell(server: ServerProcess, worker: str, **changed: Any) -> dict[str, Any]:
    """A worker's report, and what the server answers."""
    now = time.time_ns() // 1_000_000
    report = {"id": worker, "at": now, "state": "running", "started_at": now - 7_200_000, "app": "shop", **changed}
    return call(client(server.url), "Report", report, of="EncolaWorkers")


def job(number: int, minutes: int = 5) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000
    key = f"shop/mail/{number}"
    return {"task": "mail", "queue": "mails", "message": f"m{number}", "since": now - minutes * 60_000, "key": key}


def test_workers_are_shown_with_what_they_do(encola: Cli, server: ServerProcess) -> None:
    tell(server, "host/1", slots=32, busy=7, done=1234, running=[job(number) for number in range(7)])
    tell(server, "host/2", state="stopping")
    shown = encola("workers", COLUMNS="300")
    first = next(line for line in shown.splitlines() if "host/1" in line)
    for text in ("shop", "running", "2 h", "32", "1,234", "shop/mail/0 for 5 min", ", and 4 more"):
        assert text in first
    assert "stopping" in next(line for line in shown.splitlines() if "host/2" in line)
    found = {one["id"]: one for one in encola.json("workers")}
    assert len(found["host/1"]["running"]) == 7
    assert found["host/2"]["stop_asked"] is False


def test_many_workers_are_shown_all(encola: Cli, server: ServerProcess) -> None:
    running = [job(number) for number in range(RUNNING_MAX)]
    for number in range(205):
        tell(server, f"many/{number:03}", running=running)
    names = [one["id"] for one in encola.json("workers") if one["id"].startswith("many/")]
    assert names == [f"many/{number:03}" for number in range(205)]
    for number in range(205):
        tell(server, f"many/{number:03}", state="stopped")


def test_a_worker_that_was_asked_to_stop_is_shown_so_and_hears_of_it(encola: Cli, server: ServerProcess) -> None:
    tell(server, "host/3")
    assert "within seconds" in encola("workers", "stop", "host/3")
    line = next(line for line in encola("workers", COLUMNS="300").splitlines() if "host/3" in line)
    assert "asked to stop" in line
    assert tell(server, "host/3") == {"stop": True}


def test_what_a_worker_says_of_itself_is_no_markup_and_no_control_of_the_terminal(
    encola: Cli, server: ServerProcess
) -> None:
    tell(server, "host/\x1b[2J[red]4", app="[bold]shop[/bold]", running=[{**job(1), "key": "a\x1b]0;b\nc"}])
    shown = encola("workers", COLUMNS="300")
    assert "\x1b[2J" not in shown
    assert "\x1b]0" not in shown
    assert "[red]4" in shown
    assert "[bold]shop[/bold]" in shown


def test_who_is_not_there_cannot_be_stopped(encola: Cli) -> None:
    assert "WorkerNotFound" in encola.refusal("workers", "stop", "nobody")


@pytest.mark.parametrize("command", [("workers",), ("workers", "stop", "w")])
def test_only_an_encola_server_knows_who_works(bare: Cli, command: tuple[str, ...]) -> None:
    assert "Amazon SQS does not know" in bare.refusal(*command, "--endpoint", "aws")
    assert "Could not connect" in bare.refusal(*command, "--endpoint", "http://127.0.0.1:1")
