"""Batch tasks in the pushed form."""

import asyncio
from typing import Any

import pytest

import encola
from encola.consumers import pushed

from ..bench import Queues
from .pushing import Context, Pusher

AT_ONCE = encola.Backoff(base=0.0)


def test_a_batch_task_gets_all_of_an_event_at_once_and_names_its_failures(
    app: encola.App, queue: str, pusher: Pusher, queues: Queues
) -> None:
    calls: list[list[int]] = []

    @app.batch(queue=queue, backoff=AT_ONCE)
    def write(numbers: list[int]) -> list[int]:
        calls.append(sorted(numbers))
        return [n for n in numbers if n == 3] if len(calls) == 1 else []

    write.send_many([(n,) for n in range(5)])
    queues.send(queue, "not JSON")
    result = pusher.push(lease=3600)
    assert (len(result.ids), len(result.failed)) == (6, 1)
    assert queues.dead(queue)[0] == "bad-message"
    assert pusher.push().failed == []
    assert calls == [[0, 1, 2, 3, 4], [3]]
    assert queues.held(queue) == 0


def test_a_batch_that_fails_for_good_is_halved_until_the_culprit_is_found(
    app: encola.App, queue: str, pusher: Pusher, queues: Queues
) -> None:
    written: list[int] = []

    @app.batch(queue=queue, retries=0)
    def write(numbers: list[int]) -> None:
        if 3 in numbers:
            raise RuntimeError("3 is no number")
        written.extend(numbers)

    write.send_many([(n,) for n in range(5)])
    assert pusher.push().failed == []
    assert sorted(written) == [0, 1, 2, 4]
    assert queues.dead(queue) == ("retries-exhausted", "RuntimeError: 3 is no number")


def test_a_batch_whose_rate_cannot_be_asked_for_comes_again(
    app: encola.App, queue: str, pusher: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.batch(queue=queue, rate="1000/s")
    def write(numbers: list[int]) -> None: ...

    async def fail(*_: Any) -> None:
        raise pushed.JobStoreError("the store is away")

    monkeypatch.setattr(pushed.Gate, "pace", fail)
    write.send_many([(1,), (2,)])
    assert len(pusher.push(lease=3600).failed) == 2
    monkeypatch.undo()
    messages = pusher.receive(seconds=5)
    assert [message["Attributes"]["ApproximateReceiveCount"] for message in messages] == ["1", "1"]


def test_a_batch_that_the_time_ran_out_for_is_given_back_uncounted(app: encola.App, queue: str, pusher: Pusher) -> None:
    @app.batch(queue=queue)
    async def endless(numbers: list[int]) -> None:
        await asyncio.Event().wait()

    endless.send_many([(n,) for n in range(3)])
    assert len(pusher.push(lease=3600, context=Context(1.0)).failed) == 3
    messages = pusher.receive(seconds=5)
    assert [message["Attributes"]["ApproximateReceiveCount"] for message in messages] == ["1"] * 3


@pytest.mark.parametrize("raised", [asyncio.CancelledError, GeneratorExit, SystemExit])
def test_whatever_a_function_raises_is_its_failure(
    app: encola.App, queue: str, pusher: Pusher, queues: Queues, raised: type[BaseException]
) -> None:
    """It ended the invocation, with what other tasks had done in it."""

    @app.batch(queue=queue, retries=0)
    async def write(numbers: list[int]) -> None:
        raise raised

    write.send(1)
    assert pusher.push().failed == []
    assert queues.dead(queue)[0] == "retries-exhausted"


def test_an_error_that_nobody_foresaw_is_logged_and_the_batch_comes_again(
    app: encola.App, queue: str, pusher: Pusher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @app.batch(queue=queue)
    def write(numbers: list[int]) -> None: ...

    async def fail(*_: Any) -> None:
        raise KeyError("oh")

    monkeypatch.setattr(pushed.BatchHandler, "run", fail)
    write.send_many([(1,), (2,)])
    assert len(pusher.push(lease=0).failed) == 2
    assert "a batch of write could not be handled, and comes again" in caplog.text
    monkeypatch.undo()
    assert pusher.push().failed == []
