"""What holds from one life of a store to the next, and among calls that come at the same time."""

import asyncio

from encola.engine.changes import Purge
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts
from encola.engine.queue import HOUR

from .desk import DEAD, SECOND, START, WORK, Desk, bodies


async def test_ids_go_on_growing_after_a_restart_even_if_nothing_is_left(desk: Desk) -> None:
    await desk.declare(ordered=True)
    last = 0
    for number in range(4):
        stored = await desk.put(str(number), group="g")
        assert stored.message > last
        last = stored.message
        await desk.drain()
        if number % 2:
            await desk.one(Purge(WORK))
        await desk.reopen()


async def test_leases_and_receipts_outlive_a_restart(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", "2", group="g")
    first, second = await desk.claim(2, lease=60 * SECOND)
    await desk.reopen()
    assert bodies(await desk.claim()) == []
    assert await desk.delete(first) is Outcome.DONE
    assert await desk.extend(second, 5 * SECOND) is Outcome.DONE
    await desk.reopen()
    desk.turn(5 * SECOND)
    again = await desk.claim_one()
    assert (again.receives, again.lease, again.first_received_at) == (2, 2, second.first_received_at)


async def test_locked_groups_outlive_a_restart(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all("1", "2", group="g")
    delivery = await desk.claim_one(lease=60 * SECOND)
    await desk.put("other", group="h")
    await desk.reopen()
    assert bodies(await desk.claim()) == ["other"]
    await desk.delete(delivery)
    await desk.reopen()
    assert bodies(await desk.claim()) == ["2"]


async def test_tenants_outlive_a_restart(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", "2", group="noisy")
    await desk.put_all("3", group="quiet")
    await desk.reopen()
    assert bodies(await desk.claim(2, noisy=("noisy",))) == ["3", "1"]


async def test_the_clock_of_the_last_life_is_remembered(desk: Desk) -> None:
    await desk.declare()
    desk.turn(SECOND)
    await desk.put("1")
    assert (await desk.store.catalog()).last_instant == START + SECOND
    desk.turn(SECOND)
    delivery = await desk.claim_one()
    assert (await desk.store.catalog()).last_instant == START + 2 * SECOND
    desk.turn(SECOND)
    await desk.extend(delivery, HOUR)
    desk.turn(SECOND)
    await desk.delete(delivery)
    desk.turn(-HOUR)  # a clock that was set back does not set back what is remembered
    await desk.put("2")
    for _ in range(2):
        assert (await desk.store.catalog()).last_instant == START + 4 * SECOND
        await desk.reopen()


async def test_forgetting_a_deduplication_key_remembers_the_clock(desk: Desk) -> None:
    """Otherwise a clock that is set back across a restart would let a duplicate in."""
    await desk.declare(ordered=True)
    await desk.put("1", key="k", window=300 * SECOND)
    desk.turn(300 * SECOND)
    await desk.sweep()
    await desk.reopen()
    assert (await desk.store.catalog()).last_instant == START + 300 * SECOND


async def test_concurrent_claims_never_share_a_message(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD, ordered=True)
    await desk.store.apply([desk.a_put(str(number), group=f"g{number % 4}") for number in range(60)])
    await desk.store.apply([desk.a_put(str(number), group=f"g{number % 7}", queue=DEAD) for number in range(60)])
    standard = await asyncio.gather(*(desk.claim(7) for _ in range(12)))
    ordered = await asyncio.gather(*(desk.claim(3, queue=DEAD) for _ in range(12)))
    claimed = [delivery.id for deliveries in standard for delivery in deliveries]
    assert len(claimed) == len(set(claimed)) == 60
    groups = [{delivery.envelope.group for delivery in deliveries} for deliveries in ordered]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 7


async def test_concurrent_calls_take_effect_in_the_order_in_which_they_were_made(desk: Desk) -> None:
    await desk.declare(ordered=True)
    answers = await asyncio.gather(*(desk.put(str(number), group="g") for number in range(300)))
    assert [stored.message for stored in answers] == sorted(stored.message for stored in answers)
    assert await desk.bodies() == [str(number) for number in range(300)]


async def test_concurrent_puts_under_one_key_store_one_message(desk: Desk) -> None:
    await desk.declare(ordered=True)
    answers = await asyncio.gather(*(desk.put(str(number), key="k") for number in range(50)))
    assert sum(not stored.duplicate for stored in answers) == 1
    assert len({stored.message for stored in answers}) == 1
    assert await desk.counts() == Counts(ready=1)


async def test_of_many_who_settle_one_delivery_one_succeeds(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one()
    outcomes = await asyncio.gather(*(desk.delete(delivery) for _ in range(20)))
    assert sorted(outcomes, key=str) == sorted([Outcome.DONE] + [Outcome.GONE] * 19, key=str)


async def test_a_caller_that_goes_away_does_not_undo_what_it_asked_for(desk: Desk) -> None:
    await desk.declare()
    call = asyncio.ensure_future(desk.put("1"))
    others = [asyncio.ensure_future(desk.put(str(number))) for number in range(2, 5)]
    await asyncio.sleep(0)  # the call is with the store now
    call.cancel()
    await asyncio.gather(*others)
    assert await desk.bodies() == ["1", "2", "3", "4"]
