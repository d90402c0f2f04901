"""A delivery that its consumer rejects goes to the dead-letter queue in one step, and says why."""

import pytest

from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts, Envelope, Header, QueueId
from encola.engine.queue import DAY

from .desk import ACCOUNT, DEAD, SECOND, WORK, Desk, bodies

NOWHERE = QueueId(99)


@pytest.fixture(params=[False, True], ids=["standard", "ordered"])
async def queues(request: pytest.FixtureRequest, desk: Desk) -> Desk:
    for number in (WORK, DEAD):
        await desk.declare(number, ordered=request.param)
    return desk


async def test_a_rejected_message_is_ready_on_the_other_queue_with_its_id_body_and_reason(queues: Desk) -> None:
    sent = await queues.put("1", group="g")
    queues.turn(SECOND)
    assert await queues.reject(await queues.claim_one(), why="no such month") is Outcome.DONE
    await queues.reopen()
    assert (await queues.counts(WORK), await queues.counts(DEAD)) == (Counts(), Counts(ready=1))
    dead = await queues.claim_one(queue=DEAD)
    assert (dead.id, dead.body, dead.receives) == (sent.message, b"1", 1)
    assert dead.envelope.message_id == "id of 1"
    assert dead.envelope.dead_letter_source == f"{ACCOUNT}/queue-{WORK}"
    assert dead.envelope.headers == {"why": Header("String", b"no such month")}


async def test_retention_counts_on_as_after_any_dead_lettering(desk: Desk) -> None:
    for work, dead, ordered in ((QueueId(3), QueueId(4), False), (QueueId(5), QueueId(6), True)):
        await desk.declare(work, ordered=ordered)
        await desk.declare(dead, ordered=ordered)
        await desk.put("1", queue=work, group="g")
        sent_at = desk.now
        desk.turn(DAY)
        delivery = await desk.claim_one(queue=work)
        await desk.one(desk.a_reject(delivery, dead, queue=work, why="bad"))
        moved = await desk.claim_one(queue=dead)
        assert moved.sent_at == (desk.now if ordered else sent_at)
        assert moved.envelope.deduplication_id == ("id of 1" if ordered else "")


async def test_reasons_replace_those_of_before_and_empty_ones_remove_them(queues: Desk) -> None:
    other = {"kept": Header("Number", b"1"), "why": Header("String", b"of old")}
    put = queues.a_put("1", group="g")
    for why, expected in (("new", {**other, "why": Header("String", b"new")}), ("", {"kept": other["kept"]})):
        envelope = Envelope(f"id {why}", group="g", headers=other)
        await queues.store.apply([type(put)(WORK, envelope, b"1", queues.now, queues.now)])
        await queues.reject(await queues.claim_one(), why=why)
        dead = await queues.claim_one(queue=DEAD)
        assert dead.envelope.headers == expected
        await queues.delete(dead, queue=DEAD)


async def test_rejections_of_one_call_and_the_receipts_of_before(queues: Desk) -> None:
    await queues.put_all("1", "2", group="g")
    deliveries = await queues.claim()
    rejections = [queues.a_reject(delivery, why="bad") for delivery in deliveries]
    assert list(await queues.store.apply(rejections)) == [Outcome.DONE] * 2
    assert list(await queues.store.apply(rejections)) == [Outcome.GONE] * 2
    dead = await queues.claim(queue=DEAD)
    assert bodies(dead) == ["1", "2"]
    assert await queues.delete(deliveries[0], queue=DEAD) is Outcome.STALE


async def test_who_has_not_the_last_delivery_rejects_nothing(queues: Desk) -> None:
    await queues.put("1", group="g")
    first = await queues.claim_one(lease=SECOND)
    queues.turn(SECOND)
    second = await queues.claim_one(lease=SECOND)
    assert await queues.reject(first) is Outcome.STALE
    queues.turn(SECOND)
    assert await queues.reject(second, live_lease=True) is Outcome.EXPIRED
    assert await queues.reject(second) is Outcome.DONE
    assert await queues.bodies(DEAD) == ["1"]


async def test_without_the_other_queue_nothing_happens(queues: Desk) -> None:
    await queues.put("1", group="g")
    delivery = await queues.claim_one()
    assert await queues.reject(delivery, NOWHERE) is Outcome.NO_TARGET
    assert await queues.delete(delivery) is Outcome.DONE


async def test_on_an_ordered_queue_a_rejection_unlocks_the_group(desk: Desk) -> None:
    await desk.declare(WORK, ordered=True)
    await desk.declare(DEAD, ordered=True)
    await desk.put_all("1", "2", group="g")
    delivery = await desk.claim_one()
    assert bodies(await desk.claim()) == []
    desk.wakeups.clear()
    await desk.reject(delivery, live_lease=True)
    assert {(wakeup.queue, wakeup.at <= desk.now) for wakeup in desk.wakeups} == {(WORK, True), (DEAD, True)}
    assert bodies(await desk.claim()) == ["2"]
