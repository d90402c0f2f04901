"""Whatever comes from producers has one outcome, and the next job runs. See docs/bad-messages.md."""

import asyncio
import functools
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import get_args

import pytest

import encola
from encola.consumers import message, runner, verdicts
from encola.consumers.retry import Backoff
from encola.consumers.runner import Runner
from encola.consumers.worker import Worker
from encola.consumers.workflow import TIMEOUT_TASK

from .bench import ROOT, Queues, until, working
from .desk import Desk, body

PAGE = ROOT / "docs" / "bad-messages.md"
SOON = Backoff(base=0.0)
NEW_VERSION = message.VERSION + 1


@pytest.fixture
def desk(app: encola.App, queue: str, queues: Queues) -> Desk:
    return Desk(app, queue, queues)


@pytest.fixture
async def worker(desk: Desk) -> AsyncIterator[Worker]:
    """For tests that declare no task of their own."""
    async with working(desk.app) as worker:
        yield worker


# Messages of producers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason", "explained"),
    [
        ("hello", "bad-message", "no message of a job"),
        ("{", "bad-message", "no message of a job"),
        ("null", "bad-message", "no message of a job"),
        ("[1, 2]", "bad-message", "no message of a job"),
        ("{}", "bad-message", "missing required field `task`"),
        ('{"task": 1}', "bad-message", "$.task"),
        (body(then="later"), "bad-message", "$.then"),
        (body(join={"group": "g"}), "bad-message", "$.join"),
        (body(v="one"), "bad-message", "$.v"),
        (body(v=NEW_VERSION), "unsupported-version", f"version {NEW_VERSION}"),
        ("\t" + "\u00ff\ufffd\U0001f980" * 50, "bad-message", "no message of a job"),
        ("[" * 100_000, "bad-message", "no message of a job"),
        ("x" * 1_048_000, "bad-message", "no message of a job"),
        (body(args="[" * 1000), "bad-payload", "file"),
        (body(args=[1]), "bad-payload", "file"),
        (body(args={}), "bad-payload", "missing required field `number`"),
        (body(args={"number": "one"}), "bad-payload", "$.number"),
        (body(args={"number": 1, "unheard": 2}), "bad-payload", "unheard"),
        ('{"task": "file", "args": {"number": ' + "[" * 50_000 + "]" * 50_000 + "}}", "bad-message", "no message"),
        (body(job="other/1"), "bad-message", "does not belong"),
        (body(job="file"), "bad-message", "does not belong"),
        (body(job="file/" + "x" * 1020), "bad-message", "no record can have"),
        (body(job="file/\0"), "bad-message", "no record can have"),
        (body(task=TIMEOUT_TASK), "bad-message", "group"),
    ],
)
async def test_a_message_that_no_task_can_be_run_with_goes_to_the_dead_letter_queue_with_the_reason(
    desk: Desk, worker: Worker, caplog: pytest.LogCaptureFixture, text: str, reason: str, explained: str
) -> None:
    message_id = await desk.send(text)
    told, error = await desk.dead()
    assert told == reason
    assert explained in error
    assert any(message_id in line and reason in line for line in caplog.messages)
    await desk.still_works()


async def test_what_a_newer_runtime_adds_to_a_message_is_passed_over(desk: Desk, worker: Worker) -> None:
    await desk.send(body(hint="something of tomorrow"))
    await until(lambda: desk.filed == [1], "it ran")
    await desk.is_empty()


async def test_a_foreign_message_and_ours_of_the_same_key_and_arguments_are_one_job(desk: Desk, worker: Worker) -> None:
    job = await desk.file.asend(1)
    await job.aresult(30)
    await desk.send(body())
    await desk.is_empty()
    assert desk.filed == [1]
    await desk.send(json.dumps({"task": "file", "args": {"number": 1, "note": "other"}}))
    reason, error = await desk.dead()
    assert (reason, error) == ("mismatch", "file/1: another job has the same key and other arguments")


async def test_a_key_that_cannot_be_made_of_a_foreign_message_is_a_bad_payload(
    app: encola.App, queue: str, desk: Desk
) -> None:
    def key(number: int) -> str:
        return f"{100 // number}"

    @app.task(queue=queue, key=key)
    async def share(number: int) -> None: ...

    async with working(app):
        await desk.send('{"task": "share", "args": {"number": 0}}')
        reason, error = await desk.dead()
        assert reason == "bad-payload"
        assert "integer division or modulo by zero" in error
        await desk.still_works()


async def test_a_limit_key_that_cannot_be_made_of_a_foreign_message_is_a_bad_payload(
    app: encola.App, queue: str, desk: Desk
) -> None:
    @app.task(queue=queue, limit_per_key=1, limit_key=lambda number: f"{100 // number}", retries=0)
    async def share(number: int) -> None: ...

    async with working(app):
        await desk.send('{"task": "share", "args": {"number": 0}, "job": "share/1"}')
        reason, error = await desk.dead()
        assert reason == "bad-payload"
        assert await app.job("share/1").astatus() == "dead"
        assert "integer division or modulo by zero" in error
        await desk.still_works()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encola_due", "soon"),
        ("encola_due", "-5"),
        ("encola_due", "\u0663\u0664"),
        ("encola_due", "9" * 5000),
        ("encola_receives", "many"),
        ("encola_receives", "9" * 30),
        ("encola_sent", "9" * 30),
        ("encola_task", "another"),
        ("traceparent", "00-nonsense-00"),
    ],
)
async def test_attributes_called_like_ours_with_wrong_values_are_passed_over(
    desk: Desk, worker: Worker, name: str, value: str
) -> None:
    await desk.send(body(), **{name: value})
    await until(lambda: desk.filed == [1], "it ran")
    await desk.is_empty()


async def test_a_message_that_is_due_later_than_any_can_be_is_a_bad_one(desk: Desk, worker: Worker) -> None:
    await desk.send(body(), encola_due="99999999999999999999")
    reason, error = await desk.dead()
    assert reason == "bad-message"
    assert "later than any message is" in error


async def test_an_unknown_task_waits_for_workers_that_know_it(
    make_app: Callable[..., encola.App],
    queue: str,
    queues: Queues,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(runner, "UNKNOWN_BACKOFF", SOON)
    monkeypatch.setattr(runner, "UNKNOWN_RETRIES", 1000)
    old, new = Desk(make_app(), queue, queues), make_app()
    ran: list[int] = []

    @new.task(queue=queue, retries=0)
    async def newest(number: int) -> None:
        ran.append(number)

    async with working(old.app):
        job = await newest.asend(1)
        await until(lambda: caplog.text.count("for a worker that knows it") >= 3, "it came three times")
    async with working(new):
        await job.aresult(30)  # although it was received more often than its task has attempts
    assert ran == [1]


async def test_a_task_that_stays_unknown_ends_on_the_dead_letter_queue(
    desk: Desk, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runner, "UNKNOWN_BACKOFF", SOON)
    await desk.send(body(task="forgotten"))
    assert await desk.dead() == ("unknown-task", "no task is called 'forgotten'")
    waits = [line for line in caplog.messages if "waits" in line and "for a worker that knows it" in line]
    assert len(waits) == runner.UNKNOWN_RETRIES
    await desk.still_works()


# Clocks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_worker_whose_clock_is_wrong_runs_delays_and_repeats_by_the_servers(
    app: encola.App, queue: str, desk: Desk, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    def wall() -> float:
        return time.time() + hours * 3600

    monkeypatch.setattr("encola.consumers.worker.Runner", functools.partial(Runner, wall=wall))
    monkeypatch.setattr(runner, "BUSY_SECONDS_MAX", runner.BUSY_SECONDS_MIN)
    gate, entered = asyncio.Event(), asyncio.Event()

    @app.task(queue=queue, key="only", retries=1, backoff=SOON)
    async def once() -> int:
        if encola.current_job().attempt == 1:
            raise ValueError("again")
        entered.set()
        await gate.wait()
        return 7

    async with working(app, concurrency=4):
        delayed = await desk.file.options(delay=1).asend(5)
        first = await once.asend()
        await asyncio.wait_for(entered.wait(), 30)
        second = await once.asend()  # busy: it goes back, and comes again
        assert first.id == second.id
        await delayed.aresult(30)
        gate.set()
        assert await first.aresult(30) == 7
        await desk.is_empty()
    record = await first.arecord()
    assert record is not None
    assert abs(record.finished_at / 1000 - time.time()) < 600  # the server's time


async def test_a_duplicate_of_what_runs_does_not_come_again_at_once_whatever_the_clock_says(
    app: encola.App, queue: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = functools.partial(Runner, wall=lambda: time.time() + 36_000)  # every lease seems to be over
    monkeypatch.setattr("encola.consumers.worker.Runner", fast)
    gate, entered = asyncio.Event(), asyncio.Event()

    @app.task(queue=queue, key="only")
    async def once() -> None:
        entered.set()
        await gate.wait()

    async with working(app):
        await once.asend()
        await asyncio.wait_for(entered.wait(), 30)
        await once.asend()
        async with asyncio.timeout(30):
            while (await asyncio.to_thread(desk.queues.counts, queue))[2] == 0:  # it is given back with a delay
                await asyncio.sleep(0.01)
        gate.set()
        await desk.is_empty()


# The page --------------------------------------------------------------------------------------------


def test_the_page_has_each_reason_and_no_other() -> None:
    reasons = {message.BAD_MESSAGE, message.OTHER_VERSION, runner.UNKNOWN_TASK, *get_args(verdicts.Reason)}
    told = set(re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert told == reasons
