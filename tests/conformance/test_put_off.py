"""A delivery that is taken back as if it had never happened, and messages that are put off for long."""

import asyncio

import msgspec

from encola.engine.changes import Declare, Put
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts, Envelope
from encola.engine.queue import DAY, HOUR, LONG_DELAY, MINUTE, Queue, Settings

from .desk import DEAD, SECOND, START, WORK, Desk, bodies


async def test_a_delivery_that_was_taken_back_has_not_happened(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one()
    assert await desk.put_off(delivery) is Outcome.DONE
    assert await desk.counts() == Counts(ready=1)
    desk.turn(1)
    again = await desk.claim_one()
    assert (again.receives, again.first_received_at, again.sent_at) == (1, desk.now, START)
    assert again.lease > delivery.lease


async def test_only_the_last_delivery_is_taken_back(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    first = await desk.claim_one(lease=SECOND)
    desk.turn(SECOND)
    assert await desk.put_off(await desk.claim_one(lease=SECOND)) is Outcome.DONE
    third = await desk.claim_one()
    assert (third.receives, third.first_received_at) == (2, first.first_received_at)


async def test_the_receipt_is_void_once_the_delivery_was_taken_back(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one()
    await desk.put_off(delivery, SECOND)
    outcomes = [await desk.delete(delivery), await desk.extend(delivery, SECOND), await desk.put_off(delivery, 1)]
    assert outcomes == [Outcome.STALE] * 3
    assert bodies(await desk.claim()) == []
    desk.turn(SECOND)
    assert await desk.delete(await desk.claim_one()) is Outcome.DONE
    assert await desk.put_off(delivery) is Outcome.GONE


async def test_a_delivery_whose_lease_is_over_has_happened(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one(lease=SECOND)
    desk.turn(SECOND)
    assert await desk.put_off(delivery) is Outcome.EXPIRED
    assert (await desk.claim_one()).receives == 2


async def test_what_is_put_off_is_delayed_and_not_leased(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", "2", group="tenant")
    first, _ = await desk.claim()
    await desk.put_off(first, MINUTE)
    assert await desk.counts() == Counts(leased=1, delayed=1)
    assert dict(await desk.store.leased_by_group(WORK, desk.now)) == {"tenant": 1}
    assert await desk.store.next_ready(WORK, desk.now) == first.lease_until
    desk.turn(MINUTE - 1)
    assert bodies(await desk.claim()) == ["2"]
    desk.turn(1)
    assert bodies(await desk.claim()) == ["1"]


async def test_it_may_be_put_off_for_longer_than_any_lease(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    await desk.put_off(await desk.claim_one(), 14 * DAY)
    await desk.reopen()
    desk.turn(14 * DAY - 1)
    assert bodies(await desk.claim(retention=4 * DAY)) == []
    desk.turn(1)
    assert bodies(await desk.claim(retention=4 * DAY)) == ["1"]


async def test_waiting_receives_hear_of_it(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one()
    desk.wakeups.clear()
    await desk.put_off(delivery, SECOND)
    assert [(wakeup.queue, wakeup.at) for wakeup in desk.wakeups] == [(WORK, desk.now + SECOND)]


# On ordered queues --------------------------------------------------------------------------------------


async def test_on_an_ordered_queue_it_keeps_its_place_and_its_group_waits(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all("1", "2", group="g")
    await desk.put_all("other", group="h")
    await desk.put_off(await desk.claim_one(), MINUTE)
    await desk.reopen()
    assert bodies(await desk.claim()) == ["other"]
    assert await desk.store.next_ready(WORK, desk.now) == desk.now + 30 * SECOND  # the other one's lease
    desk.turn(MINUTE - 1)
    assert bodies(await desk.claim()) == ["other"]
    desk.turn(1)
    assert bodies(await desk.claim()) == ["1", "2"]


async def test_within_a_batch_the_ones_before_it_go_on_and_the_ones_behind_it_wait(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all("1", "2", "3", group="g")
    first, second, third = await desk.claim()
    await desk.put_off(second, MINUTE)
    await desk.delete(first)
    await desk.put_off(third)
    assert bodies(await desk.claim()) == []
    desk.turn(MINUTE)
    assert bodies(await desk.claim()) == ["2", "3"]


async def test_a_new_delay_of_the_queue_brings_nothing_forward_that_was_put_off(desk: Desk) -> None:
    queue = await desk.declare(ordered=True)
    await desk.put("1", group="g")
    await desk.put_off(await desk.claim_one(), HOUR)
    await desk.put("fresh", group="h")
    desk.turn(SECOND)
    await desk.one(_with_delay(queue, MINUTE, desk.now))
    assert await desk.counts() == Counts(delayed=2)
    desk.turn(MINUTE)
    assert bodies(await desk.claim()) == ["fresh"]
    desk.turn(HOUR)
    assert sorted(bodies(await desk.claim())) == ["1", "fresh"]


def _with_delay(queue: Queue, delay: int, now: int) -> Declare:
    return Declare(msgspec.structs.replace(queue, settings=Settings(delay=delay), modified_at=now))


# For long -----------------------------------------------------------------------------------------------


def a_long_put(desk: Desk, delay: int, body: str = "1") -> Put:
    envelope = Envelope(f"id of {body}", sent_at=desk.now)
    return Put(WORK, envelope, body.encode(), desk.now, desk.now + delay, kept_from=desk.now + delay)


async def test_retention_of_what_is_sent_for_later_counts_from_then(desk: Desk) -> None:
    await desk.declare()
    await desk.one(a_long_put(desk, 14 * DAY))
    for _ in range(2):
        await desk.reopen()
        desk.turn(7 * DAY)
        assert (await desk.sweep(retention=HOUR)).messages == 0
    delivery = await desk.claim_one(retention=HOUR)
    assert (delivery.sent_at, delivery.envelope.sent_at) == (desk.now, START)
    await desk.extend(delivery, 0)
    desk.turn(HOUR + 1)
    assert bodies(await desk.claim(retention=HOUR)) == []


async def test_the_clock_is_not_dragged_along(desk: Desk) -> None:
    await desk.declare()
    await desk.one(a_long_put(desk, 14 * DAY))
    await desk.put("2")
    await desk.put_off(await desk.claim_one(), 14 * DAY)
    await desk.reopen()
    assert (await desk.store.catalog()).last_instant == START


async def test_retention_of_what_is_put_off_for_long_counts_from_then(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", "2")
    desk.turn(SECOND)
    first, second = await desk.claim()
    await asyncio.gather(desk.put_off(first, LONG_DELAY), desk.put_off(second, LONG_DELAY + 1))
    desk.turn(LONG_DELAY + 1)
    assert bodies(await desk.claim(retention=LONG_DELAY)) == ["2"]


async def test_when_it_was_sent_is_remembered_however_often_it_is_put_off(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    for _ in range(3):
        await desk.put_off(await desk.claim_one(), DAY)
        await desk.reopen()
        desk.turn(DAY)
    delivery = await desk.claim_one()
    assert (delivery.envelope.sent_at, delivery.sent_at, delivery.receives) == (START, desk.now, 1)


async def test_a_dead_letter_remembers_when_it_was_sent_too(desk: Desk) -> None:
    await desk.declare(WORK)
    await desk.declare(DEAD)
    await desk.one(a_long_put(desk, DAY))
    desk.turn(DAY)
    await desk.reject(await desk.claim_one())
    dead = await desk.claim_one(queue=DEAD)
    assert (dead.envelope.sent_at, dead.sent_at) == (START, START + DAY)
