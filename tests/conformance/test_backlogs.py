"""How queues stand: counts and the ages of what is oldest, and what a store tells of its own work."""

import asyncio

import pytest

from encola.engine.changes import Purge
from encola.engine.message import Counts, QueueId
from encola.engine.metrics import Backlog

from .desk import DEAD, HOUR, SECOND, START, WORK, Desk

GROUPS = pytest.mark.parametrize(("ordered", "group"), [(False, ""), (False, "g"), (True, "g")])


async def backlog(desk: Desk, queue: QueueId = WORK) -> Backlog:
    found = (await desk.store.backlogs([queue], desk.now))[queue]
    assert found.seconds >= 0
    return found


async def ages(desk: Desk) -> tuple[int, int, int]:
    """Of the oldest, the oldest never received, the oldest that came back: milliseconds after the start; -1: none."""
    found = await backlog(desk)
    oldest, new, retrying = (at - START if at else -1 for at in (found.oldest, found.oldest_new, found.oldest_retrying))
    return oldest, new, retrying


async def test_an_empty_queue_has_an_empty_backlog_and_an_unknown_one_none(desk: Desk) -> None:
    await desk.declare()
    assert dict(await desk.store.backlogs([WORK, QueueId(99)], desk.now)) == {WORK: Backlog()}
    assert dict(await desk.store.backlogs([], desk.now)) == {}


@GROUPS
async def test_counts_are_those_of_counts(desk: Desk, ordered: bool, group: str) -> None:
    await desk.declare(ordered=ordered)
    await desk.put_all("1", "2", "3", group=group)
    await desk.claim(2)
    await desk.put("later", group="other", delay=HOUR)
    assert (await backlog(desk)).counts == await desk.counts() == Counts(1, 2, 1)
    desk.turn(2 * HOUR)
    assert (await backlog(desk)).counts == await desk.counts() == Counts(4, 0, 0)


@GROUPS
async def test_ages_follow_a_message_through_its_life(desk: Desk, ordered: bool, group: str) -> None:
    await desk.declare(ordered=ordered)
    await desk.put("1", group=group)
    assert await ages(desk) == (0, 0, -1)
    delivery = await desk.claim_one(lease=10 * SECOND)
    assert await ages(desk) == (0, -1, -1)  # in flight for the first time: neither new nor come back
    desk.turn(10 * SECOND)
    assert await ages(desk) == (0, -1, 0)
    delivery = await desk.claim_one(lease=10 * SECOND)
    assert await ages(desk) == (0, -1, 0)
    await desk.release(delivery)
    assert await ages(desk) == (0, -1, 0)
    await desk.delete(await desk.claim_one())
    assert await backlog(desk) == Backlog(seconds=(await backlog(desk)).seconds)


async def test_a_delayed_message_is_new_and_one_put_off_has_come_back(desk: Desk) -> None:
    await desk.declare()
    await desk.put("delayed", delay=HOUR)
    assert await ages(desk) == (0, 0, -1)
    desk.turn(SECOND)
    await desk.put("1")
    await desk.release(await desk.claim_one())
    await desk.put_off(await desk.claim_one(), 60 * SECOND)
    assert await ages(desk) == (0, 0, 1000)


async def test_a_message_in_flight_for_long_is_the_oldest_behind_any_backlog(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("held", *map(str, range(100)))
    await desk.claim_one(lease=HOUR)
    desk.turn(SECOND)
    assert await ages(desk) == (0, 1, -1)


async def test_what_came_back_twice_is_found_behind_any_backlog(desk: Desk) -> None:
    """It stands at the end of the queue, since it was ready again last."""
    await desk.declare()
    await desk.put("again")
    for _ in range(2):
        await desk.release(await desk.claim_one())
        desk.turn(1)
    delivery = await desk.claim_one(lease=HOUR)
    for number in range(100):
        await desk.put(str(number))
    desk.turn(5)
    await desk.release(delivery)
    assert await ages(desk) == (0, 2, 0)


async def test_many_queues_of_all_kinds_are_asked_at_once(desk: Desk) -> None:
    queues = [QueueId(number) for number in range(1, 251)]
    for number in queues:
        await desk.declare(number, ordered=not number % 10)
        if number % 3:
            await desk.put("1", queue=number, group="g" if number % 5 == 0 else "")
    found = await desk.store.backlogs(queues, desk.now)
    assert sorted(found) == queues
    assert {queue: one.counts.ready for queue, one in found.items()} == {q: int(bool(q % 3)) for q in queues}
    assert {queue for queue, one in found.items() if one.oldest_new == START} == {q for q in queues if q % 3}


async def test_a_purged_queue_has_no_backlog(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD)
    await desk.put("1")
    await desk.put("2", queue=DEAD)
    await desk.one(Purge(WORK))
    assert (await backlog(desk)).counts == Counts()
    assert (await backlog(desk, DEAD)).counts == Counts(ready=1)


async def test_vitals_count_commits_and_the_calls_that_they_held(desk: Desk) -> None:
    await desk.declare()
    before = desk.store.vitals()
    commits, calls = before.commits, before.calls
    await asyncio.gather(*(desk.put(str(number)) for number in range(20)))
    after = desk.store.vitals()
    assert after.calls - calls == 20
    assert 1 <= after.commits - commits <= 20
    assert sum(after.commit_buckets) == sum(after.group_buckets) == after.commits
    assert after.commit_seconds >= after.commit_seconds_max >= 0
