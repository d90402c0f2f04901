"""Requests that are made together: who goes when, and with whom."""

import asyncio
from collections.abc import Sequence

import pytest

from encola.consumers import coalesce
from encola.consumers.coalesce import Coalescer


class Desk:
    """Takes requests; each is answered when the test says so. ``taken`` are the items of each."""

    def __init__(self) -> None:
        self.taken: list[list[str]] = []
        self._doors: list[asyncio.Future[None]] = []
        self.under_way = self.most_under_way = 0

    async def flush(self, items: Sequence[str]) -> list[str]:
        self.taken.append(list(items))
        self._doors.append(asyncio.get_running_loop().create_future())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self._doors[-1]
        finally:
            self.under_way -= 1
        return [item.upper() for item in items]

    def answer(self, number: int) -> None:
        self._doors[number].set_result(None)

    def fail(self, number: int, error: Exception) -> None:
        self._doors[number].set_exception(error)


async def turns() -> None:
    """Everything that can happen without waiting happens."""
    for _ in range(10):
        await asyncio.sleep(0)


def ask(line: "Coalescer[str, str]", items: str) -> list["asyncio.Task[str]"]:
    return [asyncio.ensure_future(line.do(item)) for item in items]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_first_goes_at_once_and_alone(desk: Desk) -> None:
    line = Coalescer(desk.flush, size=10, parallel=2)
    (first,) = ask(line, "a")
    await turns()
    assert desk.taken == [["a"]]
    desk.answer(0)
    assert await first == "A"


async def test_what_arrives_while_a_request_is_under_way_goes_together_in_its_order(desk: Desk) -> None:
    line = Coalescer(desk.flush, size=10, parallel=2)
    asked = ask(line, "a")
    await turns()
    asked += ask(line, "bcd")
    await turns()
    assert desk.taken == [["a"]]
    desk.answer(0)
    await turns()
    assert desk.taken == [["a"], ["b", "c", "d"]]
    desk.answer(1)
    assert await asyncio.gather(*asked) == ["A", "B", "C", "D"]


async def test_what_arrives_in_one_turn_of_the_loop_goes_together(desk: Desk) -> None:
    line = Coalescer(desk.flush, size=3, parallel=8)
    ask(line, "abcd")
    await turns()
    assert desk.taken == [["a", "b", "c"]]  # a fourth would have to travel alone


async def test_a_full_request_starts_beside_others_up_to_the_limit(desk: Desk) -> None:
    line = Coalescer(desk.flush, size=2, parallel=3)
    asked = ask(line, "abcdefghi")
    await turns()
    assert desk.taken == [["a", "b"], ["c", "d"], ["e", "f"]]
    desk.answer(1)
    await turns()
    assert desk.taken[3:] == [["g", "h"]]
    for number in (0, 2, 3):
        desk.answer(number)
    await turns()
    desk.answer(4)
    assert await asyncio.gather(*asked) == list("ABCDEFGHI")
    assert desk.most_under_way == 3


async def test_nobody_waits_for_long_behind_a_request_that_hangs(desk: Desk) -> None:
    line = Coalescer(desk.flush, size=10, parallel=2)
    ask(line, "a")
    await turns()
    (second,) = ask(line, "b")
    while len(desk.taken) < 2:
        await asyncio.sleep(coalesce.PATIENCE_SECONDS)
    desk.answer(1)
    assert await second == "B"
    assert desk.under_way == 1  # the first one hangs still


async def test_impatience_keeps_the_limit_of_requests_too(desk: Desk) -> None:
    line = Coalescer(desk.flush, size=10, parallel=1)
    ask(line, "a")
    await turns()
    (second,) = ask(line, "b")
    await asyncio.sleep(coalesce.PATIENCE_SECONDS * 3)
    assert desk.taken == [["a"]]
    desk.answer(0)
    await turns()
    desk.answer(1)
    assert await second == "B"


async def test_an_error_reaches_all_of_its_request_and_nobody_else(desk: Desk) -> None:
    line = Coalescer(desk.flush, size=2, parallel=2)
    first, second, third = ask(line, "abc")
    await turns()
    desk.fail(0, ConnectionError("cut"))
    await turns()
    desk.answer(1)
    for failed in (first, second):
        with pytest.raises(ConnectionError, match="cut"):
            await failed
    assert await third == "C"


async def test_who_gives_up_while_waiting_is_not_sent_and_disturbs_nobody(desk: Desk) -> None:
    line = Coalescer(desk.flush, size=10, parallel=1)
    ask(line, "a")
    await turns()
    second, third = ask(line, "bc")
    await turns()
    second.cancel()
    desk.answer(0)
    await turns()
    assert desk.taken[1:] == [["c"]]
    desk.answer(1)
    assert await third == "C"
    assert second.cancelled()


async def test_who_gives_up_under_way_does_not_stop_the_request_of_the_others(desk: Desk) -> None:
    line = Coalescer(desk.flush, size=10, parallel=1)
    first, second = ask(line, "ab")
    await turns()
    first.cancel()
    await turns()
    assert desk.under_way == 1
    desk.answer(0)
    assert await second == "B"


async def test_a_line_whose_waiters_all_gave_up_goes_on_with_the_next(desk: Desk) -> None:
    line = Coalescer(desk.flush, size=10, parallel=1)
    (first,) = ask(line, "a")
    await asyncio.sleep(0)
    first.cancel()
    await turns()
    (second,) = ask(line, "b")
    await turns()
    desk.answer(len(desk.taken) - 1)
    assert await second == "B"


async def test_closing_waits_for_all_that_came_before(desk: Desk) -> None:
    line = Coalescer(desk.flush, size=1, parallel=1)
    asked = ask(line, "ab")
    await turns()
    closing = asyncio.ensure_future(line.close())
    await turns()
    with pytest.raises(RuntimeError, match="closed"):
        await line.do("c")
    desk.answer(0)
    await turns()
    assert not closing.done()
    desk.answer(1)
    await closing
    assert [one.result() for one in asked] == ["A", "B"]


async def test_too_few_answers_are_an_error_for_everybody() -> None:
    async def forgetful(items: Sequence[str]) -> list[str]:
        return list(items[1:])

    line = Coalescer(forgetful, size=10, parallel=1)
    for one in await asyncio.gather(*ask(line, "ab"), return_exceptions=True):
        assert isinstance(one, RuntimeError)
        assert "1 answers for 2 items" in str(one)


@pytest.mark.parametrize(("size", "parallel"), [(0, 1), (1, 0)])
def test_a_line_that_could_send_nothing_is_refused(desk: Desk, size: int, parallel: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Coalescer(desk.flush, size=size, parallel=parallel)
