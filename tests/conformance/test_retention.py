"""Retention: nobody receives a message that is too old, and a sweep frees what nobody can see any more.

A store may remove a message past its retention when a claim meets it, or leave it for a sweep; it must never remove
another one, nor one that is leased.
"""

import pytest

from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts

from .desk import DEAD, HOUR, SECOND, Desk, bodies

DAY = 24 * HOUR
KINDS = pytest.mark.parametrize("ordered", [False, True], ids=["standard", "ordered"])
GROUPS = pytest.mark.parametrize("group", ["", "g"], ids=["alone", "grouped"])


@KINDS
@GROUPS
async def test_a_message_past_its_retention_is_not_received(desk: Desk, ordered: bool, group: str) -> None:
    await desk.declare(ordered=ordered)
    await desk.put("old", group=group)
    desk.turn(DAY)
    assert bodies(await desk.claim(lease=0, retention=DAY)) == ["old"]
    desk.turn(1)
    assert bodies(await desk.claim(retention=DAY)) == []


@KINDS
@GROUPS
async def test_old_messages_do_not_make_the_answer_shorter(desk: Desk, ordered: bool, group: str) -> None:
    await desk.declare(ordered=ordered)
    await desk.store.apply([desk.a_put(f"old {number}", group=group) for number in range(250)])
    desk.turn(DAY + 1)
    await desk.put_all("1", "2", "3", group=group)
    assert bodies(await desk.claim(2, retention=DAY)) == ["1", "2"]


async def test_old_messages_of_many_groups_do_not_hide_a_new_one(desk: Desk) -> None:
    await desk.declare(ordered=True)
    for number in range(40):
        await desk.put(f"old {number}", group=f"group {number}")
    desk.turn(DAY + 1)
    await desk.put("new", group="group 7")
    assert bodies(await desk.claim(1, retention=DAY)) == ["new"]


async def test_a_claim_far_larger_than_any_protocol_asks_gets_past_old_messages(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.store.apply([desk.a_put("fresh", group="g", delay=0)])
    await desk.store.apply([desk.a_put(f"old {number}", group="h") for number in range(300)])
    desk.turn(DAY + 1)
    await desk.put("new", group="h")
    assert bodies(await desk.claim(200, retention=DAY)) == ["new"]


async def test_a_leased_message_past_its_retention_can_be_deleted_and_locks_its_group(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all("old", "next", group="g")
    desk.turn(DAY - 2)
    old = await desk.claim_one(retention=DAY, lease=HOUR)
    desk.turn(3)
    await desk.put("new", group="g")
    assert bodies(await desk.claim(retention=DAY)) == []
    await desk.sweep(retention=DAY)
    assert bodies(await desk.claim(retention=DAY)) == []
    assert await desk.delete(old, live_lease=True) is Outcome.DONE
    assert bodies(await desk.claim(retention=DAY)) == ["new"]


@KINDS
@GROUPS
async def test_a_sweep_removes_what_is_past_its_retention_and_nothing_else(
    desk: Desk, ordered: bool, group: str
) -> None:
    await desk.declare(ordered=ordered)
    await desk.declare(DEAD)
    await desk.put("old 1", group=group)
    await desk.put("old 2", group=group)
    await desk.put("elsewhere", queue=DEAD)
    desk.turn(DAY)
    await desk.put("new", group=group)
    assert (await desk.sweep(retention=DAY)).messages == 0
    desk.turn(1)
    swept = await desk.sweep(retention=DAY)
    assert (swept.messages, swept.more) == (2, False)
    assert await desk.bodies() == ["new"]
    assert await desk.bodies(DEAD) == ["elsewhere"]
    assert await desk.counts() == Counts(ready=1)
    assert bodies(await desk.claim()) == ["new"]


@KINDS
async def test_a_sweep_leaves_what_is_leased(desk: Desk, ordered: bool) -> None:
    await desk.declare(ordered=ordered)
    await desk.put("old", group="g")
    delivery = await desk.claim_one(lease=3 * HOUR)
    desk.turn(2 * HOUR)
    await desk.sweep(retention=HOUR)
    assert await desk.counts() == Counts(leased=1)
    assert await desk.delete(delivery) is Outcome.DONE


@KINDS
async def test_what_was_leased_long_is_swept_in_the_end(desk: Desk, ordered: bool) -> None:
    await desk.declare(ordered=ordered)
    await desk.put("old", group="g")
    await desk.claim_one(lease=3 * HOUR)
    desk.turn(3 * HOUR + HOUR + 1)
    await desk.sweep(retention=HOUR)
    assert await desk.bodies() == []
    assert await desk.counts() == Counts()


async def test_a_sweep_does_at_most_what_it_is_asked_and_says_if_there_is_more(desk: Desk) -> None:
    await desk.declare()
    await desk.store.apply([desk.a_put(str(number), group=f"g{number % 3}") for number in range(10)])
    await desk.store.apply([desk.a_put(str(number)) for number in range(10, 15)])
    desk.turn(DAY + 1)
    removed = []
    while True:
        swept = await desk.sweep(retention=DAY, limit=4)
        removed.append(swept.messages)
        if not swept.more:
            break
    assert max(removed) <= 4
    assert sum(removed) == 15
    assert await desk.counts() == Counts()


async def test_a_sweep_of_a_queue_that_is_gone_does_nothing(desk: Desk) -> None:
    swept = await desk.sweep(retention=SECOND)
    assert (swept.messages, swept.more) == (0, False)


async def test_a_moved_message_ages_from_the_moment_that_the_move_names(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD)
    await desk.put("1")
    desk.turn(DAY)
    await desk.move(await desk.claim_one())  # the first send still counts
    desk.turn(1)
    assert bodies(await desk.claim(queue=DEAD, retention=DAY)) == []
