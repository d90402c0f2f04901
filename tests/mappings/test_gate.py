"""A gate lets so many in, in the order in which they came."""

import asyncio

import pytest

from encola.mappings.gate import Gate


async def test_a_gate_without_a_limit_lets_everybody_pass() -> None:
    gate = Gate(None)
    await asyncio.gather(*(gate.enter() for _ in range(1000)))
    assert gate.enter_at_once()


async def test_who_came_first_passes_first() -> None:
    gate, passed = Gate(1), list[int]()

    async def pass_through(number: int) -> None:
        await gate.enter()
        passed.append(number)

    await gate.enter()
    waiting = [asyncio.create_task(pass_through(number)) for number in range(3)]
    await asyncio.sleep(0)
    for _ in waiting:
        gate.leave()
        assert not gate.enter_at_once()  # the place is handed on
        await asyncio.sleep(0)
    assert passed == [0, 1, 2]


async def test_who_gives_up_leaves_the_line() -> None:
    gate = Gate(1)
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.leave()
    assert gate.enter_at_once()


async def test_who_gives_up_just_as_his_turn_comes_passes_it_on() -> None:
    gate = Gate(1)
    await gate.enter()
    first, second = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    gate.leave()
    first.cancel()
    await asyncio.wait([first, second], timeout=5)
    assert second.done()
    assert not second.cancelled()


async def test_patience_ends() -> None:
    gate = Gate(1)
    assert await gate.enter_within(0)
    assert not await gate.enter_within(0.01)
    gate.leave()
    assert await gate.enter_within(0)
