"""Batch tasks on a real server: sizes and windows, a rate, and what becomes of the items of a batch that fails."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any

import pytest

import encola
from encola.consumers import batching
from encola.consumers.batches import BatchTask
from encola.consumers.errors import ConfigurationError
from encola.consumers.gate import Gate
from encola.testing import EncolaServer

from .bench import Queues, until, working

MakeApp = Callable[..., encola.App]
NOW = encola.Backoff(cap=0.0)


def collector(app: encola.App, queue: str, batches: list[list[int]], **options: Any) -> BatchTask:
    """A task that keeps the batches that it gets."""

    @app.batch(queue=queue, **options)
    async def keep(numbers: list[int]) -> None:
        batches.append(numbers)

    return keep


def count(batches: list[list[int]]) -> int:
    return sum(len(batch) for batch in batches)


async def test_a_batch_has_at_most_its_size_and_each_item_is_in_one(
    app: encola.App, queue: str, queues: Queues
) -> None:
    batches: list[list[int]] = []
    keep = collector(app, queue, batches, size=25, window=0.5)
    async with working(app):
        await keep.asend_many([(number,) for number in range(110)])
        await until(lambda: count(batches) == 110, "all items")
    assert max(len(batch) for batch in batches) <= 25
    assert any(len(batch) > 10 for batch in batches)  # more than one receive
    assert sorted(number for batch in batches for number in batch) == list(range(110))
    assert queues.held(queue) == 0


async def test_a_batch_that_is_not_full_goes_when_its_window_is_over(app: encola.App, queue: str) -> None:
    batches: list[list[int]] = []
    keep = collector(app, queue, batches, size=1000, window=1.0)
    async with working(app):
        began = time.monotonic()
        await keep.asend(1)
        await keep.asend(2)
        await until(lambda: batches, "the first batch")
        assert time.monotonic() - began >= 1.0
    assert batches == [[1, 2]]


async def test_a_rate_counts_items_not_batches(app: encola.App, queue: str) -> None:
    started: list[tuple[float, int]] = []

    @app.batch(queue=queue, size=20, window=0.05, rate="40/s")
    async def keep(numbers: list[int]) -> None:
        started.append((time.monotonic(), len(numbers)))

    async with working(app):
        await keep.asend_many([(number,) for number in range(100)])
        await until(lambda: sum(size for _, size in started) == 100, "all items")
    before_the_last = sum(size for _, size in started[:-1])
    assert started[-1][0] - started[0][0] > before_the_last / 40 - 1


async def test_a_high_rate_is_no_hindrance(app: encola.App, queue: str) -> None:
    batches: list[list[int]] = []
    keep = collector(app, queue, batches, size=500, window=0.1, rate="2000/s")
    async with working(app):
        await keep.asend_many([(number,) for number in range(1000)])
        await until(lambda: count(batches) == 1000, "all items")


async def test_only_the_items_that_a_function_names_are_tried_again(
    app: encola.App, queue: str, queues: Queues
) -> None:
    batches: list[list[int]] = []

    @app.batch(queue=queue, size=10, window=0.3, retries=1, backoff=NOW)
    async def keep(numbers: list[int]) -> list[int]:
        batches.append(numbers)
        return [number for number in numbers if number in (3, 5)]

    async with working(app):
        await keep.asend_many([(number,) for number in range(8)])
        dead = await _dead(queues, queue, 2)
    assert [reason for reason, _ in dead] == ["retries-exhausted"] * 2
    assert "the task answered that this item failed" in dead[0][1]
    seen = [number for batch in batches for number in batch]
    assert {number: seen.count(number) for number in seen} == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1, 5: 2, 6: 1, 7: 1}


async def _dead(queues: Queues, queue: str, number: int) -> list[tuple[str, str]]:
    """Beside the loop, in which a worker runs."""
    return await asyncio.to_thread(queues.all_dead, queue, number)


async def test_one_item_that_spoils_each_batch_is_found_and_the_others_are_done(
    app: encola.App, queue: str, queues: Queues
) -> None:
    kept: list[int] = []

    @app.batch(queue=queue, size=16, window=0.3, retries=1, backoff=NOW)
    def keep(numbers: list[int]) -> None:
        if 11 in numbers:
            raise ValueError(f"one of {len(numbers)} is bad")
        kept.extend(numbers)

    async with working(app):
        await keep.asend_many([(number,) for number in range(16)])
        ((reason, error),) = await _dead(queues, queue, 1)
        await until(lambda: len(kept) == 15, "the others")
    assert (reason, error) == ("retries-exhausted", "ValueError: one of 1 is bad")
    assert sorted(kept) == [number for number in range(16) if number != 11]
    assert queues.held(queue) == 0


async def test_what_is_permanent_is_looked_for_at_once(app: encola.App, queue: str, queues: Queues) -> None:
    kept: list[int] = []

    @app.batch(queue=queue, size=8, window=0.3, retries=5)
    def keep(numbers: list[int]) -> None:
        if 2 in numbers:
            raise encola.Permanent("no such number")
        kept.extend(numbers)

    async with working(app):
        await keep.asend_many([(number,) for number in range(8)])
        assert await _dead(queues, queue, 1) == [("permanent", "Permanent: no such number")]
        await until(lambda: len(kept) == 7, "the others")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (7, "answers a list of the items that failed, or None, not int"),
        ({"batchItemFailures": []}, "or None, not dict"),
        ([99], "answered an item that was not in its batch"),
        ([1, 1], "answered an item that was not in its batch"),
    ],
)
async def test_an_answer_that_is_none_goes_to_the_dead_letter_queue_with_its_items(
    app: encola.App, queue: str, queues: Queues, answer: object, text: str
) -> None:
    @app.batch(queue=queue, size=2, window=0.2)
    async def keep(numbers: list[int]) -> object:
        return answer

    async with working(app):
        await keep.asend_many([(1,), (2,)])
        for reason, error in await _dead(queues, queue, 2):
            assert reason == "bad-result"
            assert text in error


async def test_equal_items_are_told_apart_by_their_number(app: encola.App, queue: str) -> None:
    calls: list[list[int]] = []

    @app.batch(queue=queue, size=3, window=0.5, backoff=NOW)
    async def keep(numbers: list[int]) -> list[int]:
        calls.append(numbers)
        return [7] if len(calls) == 1 else []

    async with working(app):
        await keep.asend_many([(7,), (7,), (7,)])
        await until(lambda: count(calls) == 4, "one again")


async def test_bad_messages_do_not_come_into_a_batch(app: encola.App, queue: str, queues: Queues) -> None:
    batches: list[list[int]] = []
    keep = collector(app, queue, batches, size=10, window=0.3)
    async with working(app):
        bad = ["no json", '{"task": "other", "args": {"item": 1}}', '{"task": "keep", "args": {"item": "x"}}']
        for body in bad:
            await asyncio.to_thread(queues.send, queue, body)
        await keep.asend(5)
        dead = await _dead(queues, queue, 3)
        await until(lambda: batches, "the good one")
    assert sorted(reason for reason, _ in dead) == ["bad-message", "bad-payload", "unknown-task"]
    assert count(batches) == 1


async def test_two_workers_share_the_items_and_no_item_is_in_two_batches(
    make_app: MakeApp, queue: str, queues: Queues
) -> None:
    batches: list[list[int]] = []
    apps = [make_app() for _ in range(2)]
    tasks = [collector(app, queue, batches, size=20, window=0.1, rate="400/s") for app in apps]
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(working(app))
        await tasks[0].asend_many([(number,) for number in range(200)])
        await until(lambda: count(batches) == 200, "all items")
    assert sorted(number for batch in batches for number in batch) == list(range(200))
    assert queues.held(queue) == 0


async def test_a_batch_task_has_resources_and_knows_its_job(app: encola.App, queue: str) -> None:
    seen: list[Any] = []

    @app.batch(queue=queue, size=2, window=0.2)
    async def keep(numbers: list[int], table: Annotated[list[int], encola.Use(list)] = encola.USE) -> None:
        table.extend(numbers)
        job = encola.current_job()
        seen.append((list(table), job.is_batch, job.task, len(job.messages) == len(numbers)))

    async with working(app):
        await keep.asend_many([(1,), (2,)])
        await until(lambda: seen and len(seen[-1][0]) == 2, "both items")
    assert {one[1:] for one in seen} == {(True, "keep", True)}


async def test_items_that_may_have_killed_workers_are_called_alone_and_not_for_ever(
    app: encola.App, queue: str, queues: Queues
) -> None:
    """A batch with an item that kills its worker came again and again, whole."""
    batches: list[list[int]] = []
    keep = collector(app, queue, batches, size=10, window=0.5, retries=1)
    async with working(app):
        pass  # makes the queue
    for number in range(3):
        await keep.asend(number)
    for _ in range(3):
        assert len(queues.receive(queue, lease=0)) == 3
    await keep.asend_many([(10,), (11,)])
    async with working(app):
        await until(lambda: count(batches) == 5, "all items")
        assert sorted(map(len, batches))[:3] == [1, 1, 1]
        assert sorted(batches[0]) == [10, 11] or len(batches) == 5
    await keep.asend(99)
    for _ in range(12):
        assert len(queues.receive(queue, lease=0)) == 1
    async with working(app):
        ((reason, error),) = await _dead(queues, queue, 1)
    assert (reason, error) == ("crashed", "it was received 12 times without an end (was its worker killed?)")


def _bad_delay() -> BaseException:
    error = encola.Retry()
    error.delay = "soon"  # type: ignore[assignment]
    return error


@pytest.mark.parametrize("raised", [asyncio.CancelledError, GeneratorExit, SystemExit, _bad_delay])
async def test_whatever_a_function_raises_is_its_failure_and_the_queue_goes_on(
    app: encola.App, queue: str, queues: Queues, raised: Callable[[], BaseException]
) -> None:
    """What is no Exception, or asks for what cannot be, stopped the queue in this worker for good, without a word."""
    batches: list[list[int]] = []

    @app.batch(queue=queue, size=1, window=0.1, retries=1, backoff=NOW)
    async def keep(numbers: list[int]) -> None:
        batches.append(numbers)
        if numbers == [1]:
            raise raised()

    async with working(app):
        await keep.asend(1)
        ((reason, _),) = await _dead(queues, queue, 1)
        await keep.asend(2)
        await until(lambda: [2] in batches, "the next batch")
    assert reason == "retries-exhausted"
    assert batches == [[1], [1], [2]]
    assert queues.held(queue) == 0


@pytest.mark.parametrize("broken", ["read", "run", "_settle_all"])
async def test_an_error_that_nobody_foresaw_is_logged_and_its_messages_come_again(
    make_app: MakeApp, queue: str, queues: Queues, monkeypatch: pytest.MonkeyPatch, caplog: Any, broken: str
) -> None:
    """The loop of the queue ended, and its messages were held as long as the worker lived."""
    app = make_app(lease=2)
    batches: list[list[int]] = []
    keep = collector(app, queue, batches, size=5, window=0.1)
    monkeypatch.setattr(batching, "PAUSE_SECONDS", 0.1)
    works, fails = getattr(batching.BatchHandler, broken), [KeyError("oh"), asyncio.CancelledError()]

    async def shaky(*arguments: Any) -> Any:
        if fails:
            raise fails.pop()
        return await works(*arguments)

    monkeypatch.setattr(batching.BatchHandler, broken, shaky)
    async with working(app) as worker:
        await keep.asend(7)
        await until(lambda: not fails, "both errors")
        await until(lambda: not worker.running and queues.held(queue) == 0, "nothing to be held")
    assert [7] in batches
    assert caplog.text.count("a batch of keep could not be handled, and comes again") == 2


async def test_a_worker_that_stops_while_a_batch_waits_for_its_rate_gives_it_back_uncounted(
    make_app: MakeApp, queue: str, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its items were forgotten, and came again when their leases were over, as if an attempt had failed."""
    app = make_app()
    batches: list[list[int]] = []
    waits = asyncio.Event()
    pace = Gate.pace

    async def told(gate: Gate, *arguments: Any) -> None:
        if batches:
            waits.set()
        await pace(gate, *arguments)

    monkeypatch.setattr(Gate, "pace", told)
    keep = collector(app, queue, batches, size=5, window=0.1, rate="2/s")
    async with working(app, grace=30.0):
        await keep.asend_many([(number,) for number in range(5)])
        await until(lambda: batches, "the first batch")
        await keep.asend_many([(number,) for number in range(5, 8)])
        await asyncio.wait_for(waits.wait(), 30)
    assert len(batches) == 1
    assert queues.counts(queue) == (3, 0, 0)
    messages = queues.receive(queue)
    assert {message["Attributes"]["ApproximateReceiveCount"] for message in messages} == {"1"}


async def test_a_worker_that_stops_while_it_collects_gives_all_back_uncounted(
    make_app: MakeApp, queue: str, queues: Queues
) -> None:
    app = make_app()
    keep = collector(app, queue, [], size=100, window=60)
    async with working(app):
        await keep.asend_many([(number,) for number in range(3)])
        await until(lambda: queues.counts(queue)[1] == 3, "all to be held")
    assert queues.counts(queue) == (3, 0, 0)
    assert {m["Attributes"]["ApproximateReceiveCount"] for m in queues.receive(queue)} == {"1"}


def test_what_is_no_batch_task_is_refused(house: EncolaServer) -> None:
    app = encola.App("a")
    cases: list[tuple[dict[str, Any], Callable[..., Any], str]] = [
        ({"size": 0}, lambda items: None, "batch task b: the size is between 1 and 10000"),
        ({"size": 10_001}, lambda items: None, "batch task b: the size is between 1 and 10000"),
        ({"window": -1}, lambda items: None, "batch task b: the window is between 0 and 300 s"),
        ({"window": 301}, lambda items: None, "batch task b: the window is between 0 and 300 s"),
        ({}, lambda: None, "batch task b: the function takes one list of items"),
        ({}, lambda items, more: None, "batch task b: the function takes one list of items"),
    ]
    for options, function, text in cases:
        with pytest.raises(ConfigurationError, match=text):
            app.batch(queue="q", name="b", **options)(function)
    assert app.tasks == {}


async def test_an_item_is_checked_by_its_producer_against_the_type_of_the_list(app: encola.App, queue: str) -> None:
    keep = collector(app, queue, [])
    with pytest.raises(encola.BadPayloadError, match="Expected `int`, got `str`"):
        await keep.asend("one")
    await keep([1, 2])  # the plain function
