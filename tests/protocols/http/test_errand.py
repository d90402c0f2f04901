"""An errand drives a coroutine as a task would: to its result, its error, or its cancellation, and tells it once."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from encola.protocols.http.errand import Errand


class Ended:
    """What an errand told, and how often."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, BaseException | None]] = []
        self._event = asyncio.Event()

    def __call__(self, result: Any, error: BaseException | None) -> None:
        self.told.append((result, error))
        self._event.set()

    async def outcome(self) -> tuple[Any, BaseException | None]:
        async with asyncio.timeout(5):
            await self._event.wait()
        for _ in range(3):  # time enough to tell it twice
            await asyncio.sleep(0)
        assert len(self.told) == 1
        return self.told[0]


def begun(coroutine: Coroutine[Any, Any, Any]) -> tuple[Errand[Any], Ended]:
    ended = Ended()
    errand = Errand(coroutine, ended)
    errand.step()
    return errand, ended


async def test_what_waits_for_nothing_ends_at_once() -> None:
    async def quick() -> int:
        return 3

    _, ended = begun(quick())
    assert ended.told == [(3, None)]


async def test_it_waits_for_futures_tasks_turns_and_each_other() -> None:
    loop = asyncio.get_running_loop()
    later: asyncio.Future[int] = loop.create_future()
    loop.call_later(0.001, later.set_result, 1)

    async def inner() -> int:
        await asyncio.sleep(0.001)
        return 2

    async def long() -> list[int]:
        found = [await later, await later, await inner(), await asyncio.create_task(inner())]
        await asyncio.sleep(0)
        return found + list(await asyncio.gather(inner(), inner()))

    _, ended = begun(long())
    assert ended.told == []
    assert await ended.outcome() == ([1, 1, 2, 2, 2, 2], None)


async def test_an_error_is_told_whether_it_comes_at_once_or_later() -> None:
    async def fail(after: float | None) -> None:
        if after is not None:
            await asyncio.sleep(after)
        raise ValueError("broken")

    for after in (None, 0, 0.001):
        _, ended = begun(fail(after))
        result, error = await ended.outcome()
        assert result is None
        assert isinstance(error, ValueError)


async def test_an_error_of_what_is_waited_for_can_be_handled() -> None:
    failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def careful() -> str:
        try:
            await failing
        except OSError:
            return "handled"
        return "not reached"

    _, ended = begun(careful())
    failing.set_exception(OSError())
    assert await ended.outcome() == ("handled", None)


@pytest.mark.parametrize("wait", [0, 5])
async def test_a_cancelled_errand_ends_cleaned_up(wait: float) -> None:
    cleaned = []

    async def patient() -> None:
        try:
            await asyncio.sleep(wait)
            await asyncio.sleep(5)
        finally:
            cleaned.append(True)

    errand, ended = begun(patient())
    errand.cancel()
    _, error = await ended.outcome()
    assert isinstance(error, asyncio.CancelledError)
    assert cleaned == [True]


async def test_what_was_waited_for_may_be_done_just_when_the_errand_is_cancelled() -> None:
    """Then the cancellation comes to where the coroutine waits all the same, as with a task."""
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def waits() -> int:
        return await done

    errand, ended = begun(waits())
    done.set_result(1)  # its callback has not run yet
    errand.cancel()
    _, error = await ended.outcome()
    assert isinstance(error, asyncio.CancelledError)


async def test_a_cancellation_can_be_held_off_while_something_is_finished() -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def holds() -> str:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await gate
        return "finished"

    errand, ended = begun(holds())
    errand.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ended.told == []
    gate.set_result(None)
    assert await ended.outcome() == ("finished", None)


async def test_cancelling_what_has_ended_does_nothing() -> None:
    async def quick() -> int:
        return 3

    errand, ended = begun(quick())
    errand.cancel()
    assert await ended.outcome() == (3, None)


async def test_a_future_that_somebody_else_cancels_is_an_error_at_that_place() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits() -> str:
        try:
            await future
        except asyncio.CancelledError:
            return "noticed"
        return "not reached"

    _, ended = begun(waits())
    future.cancel()
    assert await ended.outcome() == ("noticed", None)
