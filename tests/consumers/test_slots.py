"""How many messages a worker may have: no more than it can run, and a few more where jobs are over in no time."""

import asyncio

import pytest

from encola.consumers.slots import Slots, SlotTurn


async def test_as_many_are_taken_as_are_free() -> None:
    slots = Slots(4)
    assert slots.free == 4
    assert await slots.take(10) == 4
    assert slots.free == 0
    slots.give_back(3)
    assert await slots.take(2) == 2
    assert slots.free == 1


async def test_who_finds_none_waits_until_one_is_given_back() -> None:
    slots = Slots(1)
    await slots.take(1)
    waiting = asyncio.create_task(slots.take(5))
    await asyncio.sleep(0)
    assert not waiting.done()
    slots.give_back(1)
    assert await waiting == 1


async def test_of_many_who_wait_none_is_forgotten_when_many_are_given_back() -> None:
    """One was woken, took less than there was, and the others waited beside free slots."""
    slots = Slots(4)
    await slots.take(4)
    waiting = [asyncio.create_task(slots.take(1)) for _ in range(6)]
    await asyncio.sleep(0)
    slots.give_back(4)
    done, pending = await asyncio.wait(waiting, timeout=0.05)
    assert (len(done), len(pending)) == (4, 2)
    slots.give_back(2)
    assert await asyncio.wait_for(asyncio.gather(*pending), 10) == [1, 1]


async def test_who_was_cancelled_while_waiting_takes_nothing_from_the_others() -> None:
    slots = Slots(1)
    await slots.take(1)
    gone, waiting = asyncio.create_task(slots.take(1)), asyncio.create_task(slots.take(1))
    await asyncio.sleep(0)
    gone.cancel()
    slots.give_back(1)
    assert await asyncio.wait_for(waiting, 10) == 1


async def test_where_jobs_are_short_some_messages_may_wait_and_where_they_are_long_none() -> None:
    slots = Slots(10)
    assert slots.ahead == 0  # nothing is known yet
    for _ in range(200):
        slots.ran(0.001)
    assert slots.ahead == 10
    assert slots.free == 20
    for _ in range(200):
        slots.ran(0.025)
    assert slots.ahead == pytest.approx(10, abs=10)
    for _ in range(20):
        slots.ran(5.0)
    assert slots.ahead == 0
    assert slots.free == 10


async def test_no_more_run_than_may_however_many_were_fetched() -> None:
    slots = Slots(2)
    for _ in range(200):
        slots.ran(0.001)
    await slots.take(4)
    turns = [SlotTurn(slots) for _ in range(4)]
    begun = [asyncio.create_task(turn.begin()) for turn in turns]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [one.done() for one in begun] == [True, True, False, False]
    assert slots.busy == 2
    turns[0].end()
    await begun[2]
    assert slots.busy == 2
    for turn in turns[1:3]:
        turn.end()
    await begun[3]
    turns[3].end()
    assert (slots.busy, slots.free) == (0, slots.concurrency + slots.ahead)


async def test_a_turn_ends_once_and_one_that_did_not_begin_gives_its_slot_back_too() -> None:
    slots = Slots(2)
    await slots.take(2)
    begun, other = SlotTurn(slots), SlotTurn(slots)
    await begun.begin()
    for _ in range(3):
        begun.end()
        other.end()
    assert slots.free == 2
    assert slots.busy == 0
