"""Whatever tasks raise, answer or do has one outcome, and the next job runs. See docs/bad-messages.md."""

import asyncio
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import encola
from encola.consumers.watchdog import Watchdog
from encola.consumers.worker import Worker

from .bench import Queues, WorkProcess, wait_until, working
from .desk import Desk


@pytest.fixture
def desk(app: encola.App, queue: str, queues: Queues) -> Desk:
    return Desk(app, queue, queues)


class Odd(BaseException):
    """No ``Exception``."""


class Speechless(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raises(error: BaseException) -> Callable[[], Any]:
    def work() -> None:
        raise error

    return work


def araises(error: BaseException) -> Callable[[], Any]:
    async def work() -> None:
        raise error

    return work


async def acancels() -> None:
    raise asyncio.CancelledError


def answers(result: Any) -> Callable[[], Any]:
    return lambda: result() if callable(result) else result


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


class Rude:
    def model_dump(self, mode: str) -> Any:
        raise ZeroDivisionError("rude")


async def a_coroutine() -> int:
    return 1


@pytest.mark.parametrize(
    ("function", "reason", "error"),
    [
        (raises(SystemExit(3)), "retries-exhausted", "SystemExit: the task called sys.exit(3)"),
        (araises(SystemExit("bye")), "retries-exhausted", "SystemExit: the task called sys.exit('bye')"),
        (raises(KeyboardInterrupt()), "retries-exhausted", "KeyboardInterrupt"),
        (araises(KeyboardInterrupt()), "retries-exhausted", "KeyboardInterrupt"),
        (raises(Odd("odd")), "retries-exhausted", "Odd: odd"),
        (araises(Odd("odd")), "retries-exhausted", "Odd: odd"),
        (raises(GeneratorExit()), "retries-exhausted", "GeneratorExit"),
        (araises(GeneratorExit()), "retries-exhausted", "GeneratorExit"),
        (acancels, "retries-exhausted", "TaskExitError: the task was cancelled from within"),
        (raises(Speechless()), "retries-exhausted", "Speechless: (its text could not be had: RuntimeError)"),
        (araises(Speechless()), "retries-exhausted", "Speechless: (its text could not be had: RuntimeError)"),
        (raises(ValueError("x" * 10_000_000)), "retries-exhausted", "ValueError: xxxx"),
        (raises(ValueError("half \ud800 of a pair")), "retries-exhausted", "ValueError: half ? of a pair"),
        (raises(ValueError("zero \0 byte")), "retries-exhausted", "ValueError: zero \ufffd byte"),
        (raises(type("N" * 600, (Exception,), {})("long")), "retries-exhausted", "NNNN"),
        (answers(object), "bad-result", "BadResultError: the result cannot be made JSON"),
        (answers(endless), "bad-result", "BadResultError: the result cannot be made JSON"),
        (answers(lambda: float("nan")), "bad-result", "BadResultError: the result cannot be made JSON"),
        (answers(lambda: "\ud800"), "bad-result", "BadResultError: the result cannot be made JSON"),
        (answers(Rude), "bad-result", "BadResultError: the result cannot be made JSON: rude"),
        (answers(lambda: a_coroutine()), "bad-result", "BadResultError: the result cannot be made JSON"),
        (answers(lambda: "x" * 300_000), "bad-result", "BadResultError: the result has 300002 bytes"),
    ],
)
async def test_what_a_task_raises_or_answers_ends_the_job_and_never_the_worker(
    app: encola.App, queue: str, desk: Desk, function: Callable[[], Any], reason: str, error: str
) -> None:
    task = app.task(queue=queue, name="odd", retries=0)(function)
    async with working(app):
        job = await task.asend()
        told, explained = await desk.dead()
        assert told == reason
        assert explained.startswith(error)
        assert await job.astatus() == "dead"
        (kept,) = await job.aerrors()
        assert f"{kept.type}: {kept.message}".startswith(error)
        await desk.still_works()


async def test_the_traceback_of_an_error_with_a_huge_message_shows_where_it_was_raised(
    app: encola.App, queue: str, desk: Desk
) -> None:
    @app.task(queue=queue, retries=0)
    def wordy() -> None:
        raise ValueError("x" * 10_000_000)

    async with working(app):
        job = await wordy.asend()
        await desk.dead()
        (kept,) = await job.aerrors()
    assert 'raise ValueError("x" * 10_000_000)' in kept.traceback
    assert len(kept.traceback) <= 4096


async def test_a_task_that_deletes_its_own_message_is_completed(app: encola.App, queue: str, desk: Desk) -> None:
    workers: list[Worker] = []

    @app.task(queue=queue)
    async def eager() -> str:
        (receipt,) = [hold.message.receipt for hold in workers[0]._keeper.holds]
        url = await asyncio.to_thread(desk.queues.url, queue)
        await asyncio.to_thread(desk.queues.sqs.delete_message, QueueUrl=url, ReceiptHandle=receipt)
        return "done"

    async with working(app) as worker:
        workers.append(worker)
        job = await eager.asend()
        assert await job.aresult(30) == "done"
        await desk.still_works()


async def test_progress_may_be_told_in_any_words(app: encola.App, queue: str, desk: Desk) -> None:
    @app.task(queue=queue)
    async def tells() -> str:
        encola.progress(float("nan"), "half \ud800 of a \0 pair")
        return encola.current_job().note

    async with working(app):
        assert await (await tells.asend()).aresult(30) == "half ? of a \ufffd pair"


async def test_a_handler_that_blocks_the_loop_is_told_of_and_its_job_ends_all_the_same(
    make_app: Callable[..., encola.App],
    queue: str,
    queues: Queues,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("encola.consumers.worker.Watchdog", functools.partial(Watchdog, blocked=0.3))
    desk = Desk(make_app(lease=1), queue, queues)
    until_at = 0.0

    @desk.app.task(queue=queue)
    async def rude() -> str:
        nonlocal until_at
        until_at = until_at or time.monotonic() + 2.0  # longer than the lease
        while time.monotonic() < until_at:
            time.sleep(0.01)  # noqa: ASYNC251 - it is rude
        return "late"

    async with working(desk.app):
        job = await rude.asend()
        assert await job.aresult(30) == "late"
        await desk.still_works()
    told = [line for line in caplog.messages if "the event loop has been blocked" in line]
    (line,) = [line for line in told if "in rude" in line]  # a busy machine may block it, too
    assert "time.sleep(0.01)" in line


# What ends the process -------------------------------------------------------------------------------

OFFICE = """
import asyncio, os, pathlib, sys
import encola

app = encola.App(os.environ["NAME"], lease=1)
QUEUE = os.environ["NAME"]
here = pathlib.Path(__file__).parent

def note(text):
    with (here / "notes").open("a") as notes:
        notes.write(f"{text}\\n")

@app.task(queue=QUEUE, retries=1, backoff=encola.Backoff(base=0.0))
def poison():
    note("poison")
    os._exit(7)

@app.task(queue=QUEUE, retries=1, track=False, backoff=encola.Backoff(base=0.0))
async def untracked_poison():
    note("untracked poison")
    os._exit(7)

@app.task(queue=QUEUE)
def forks():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        note(f"parent of {child}")
        return "parent"
    return "child"

@app.task(queue=QUEUE)
async def aforks():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        note(f"parent of {child}")
        return "parent"
    return "child"

@app.task(queue=QUEUE)
def quick():
    note("quick")
"""


@pytest.fixture
def office(tmp_path: Path) -> Path:
    (tmp_path / "office.py").write_text(OFFICE)
    return tmp_path


def noted(office: Path) -> list[str]:
    path = office / "notes"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.crash
@pytest.mark.parametrize("task", ["poison", "untracked_poison"])
def test_a_job_that_kills_its_worker_again_and_again_ends_as_crashed(
    office: Path, work: Callable[..., WorkProcess], queue: str, queues: Queues, task: str
) -> None:
    supervisor = work("office:app", "-p", "2", NAME=queue).ready(2)
    queues.send(queue, json.dumps({"task": task}))
    reason, error = queues.dead(queue)
    assert reason == "crashed"
    assert "it was received 2 times without an end" in error
    assert len(noted(office)) == 2  # its retries, and no more
    supervisor.logs("ended with status 7")
    queues.send(queue, '{"task": "quick"}')
    wait_until(lambda: noted(office)[2:] == ["quick"], "the next job ran")
    assert supervisor.stop() == 0


@pytest.mark.crash
@pytest.mark.parametrize("task", ["forks", "aforks"])
def test_a_child_that_a_task_forked_ends_where_the_task_ends(
    office: Path, work: Callable[..., WorkProcess], queue: str, queues: Queues, make_app: Callable[..., Any], task: str
) -> None:
    worker = work("office:app", NAME=queue).ready()
    queues.send(queue, json.dumps({"task": task, "job": f"{task}/1"}))
    job = make_app(queue).job(f"{task}/1")
    assert job.result(30) == "parent"
    assert len(noted(office)) == 1
    assert worker.children() == []
    queues.send(queue, '{"task": "quick"}')
    wait_until(lambda: noted(office)[1:] == ["quick"], "the next job ran")
    assert worker.stop() == 0
