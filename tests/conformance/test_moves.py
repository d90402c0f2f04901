"""Move (to a dead-letter queue) and Resend (a redrive): one step, never half of it."""

import msgspec
import pytest

from encola.engine.changes import Drop, Move
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts, Envelope, QueueId

from .desk import DEAD, SECOND, WORK, Desk, bodies

KINDS = pytest.mark.parametrize("ordered", [False, True], ids=["standard", "ordered"])


@pytest.fixture
async def queues(desk: Desk, ordered: bool) -> Desk:
    await desk.declare(WORK, ordered=ordered)
    await desk.declare(DEAD, ordered=ordered)
    return desk


@KINDS
async def test_a_moved_message_is_on_the_target_and_nowhere_else(queues: Desk) -> None:
    desk = queues
    stored = await desk.put("1", group="g")
    for _ in range(3):
        delivery = await desk.claim_one(lease=SECOND)
        desk.turn(SECOND)
    envelope = msgspec.structs.replace(delivery.envelope, dead_letter_source="1/queue-1", group="h")
    sent_at = desk.now - 77
    assert await desk.one(
        Move(WORK, delivery.id, delivery.lease, DEAD, envelope, sent_at, desk.now)
    ) is Outcome.DONE  # fmt: skip
    assert await desk.counts(WORK) == Counts()
    assert await desk.counts(DEAD) == Counts(ready=1)
    moved = await desk.claim_one(queue=DEAD)
    assert (moved.id, moved.body, moved.envelope) == (stored.message, b"1", envelope)
    assert (moved.receives, moved.sent_at, moved.first_received_at) == (1, sent_at, desk.now)


@KINDS
async def test_every_receipt_of_before_is_void_after_a_move(queues: Desk) -> None:
    desk = queues
    await desk.put("1")
    before = await desk.claim_one()
    await desk.move(before)
    for queue in (WORK, DEAD):
        assert await desk.delete(before, queue=queue) in (Outcome.GONE, Outcome.STALE)
    after = await desk.claim_one(queue=DEAD)
    assert after.lease > before.lease
    assert await desk.delete(before, queue=DEAD) is Outcome.STALE
    assert await desk.delete(after, queue=DEAD) is Outcome.DONE


@KINDS
async def test_a_move_works_after_the_lease_ended_too(queues: Desk) -> None:
    desk = queues
    await desk.put("1")
    delivery = await desk.claim_one(lease=SECOND)
    desk.turn(60 * SECOND)
    assert await desk.move(delivery) is Outcome.DONE


@KINDS
async def test_a_message_can_be_moved_only_once_by_one_receipt(queues: Desk) -> None:
    desk = queues
    await desk.put("1")
    delivery = await desk.claim_one()
    answers = await desk.store.apply([desk.a_move(delivery), desk.a_move(delivery)])
    assert list(answers) == [Outcome.DONE, Outcome.GONE]
    assert await desk.bodies(DEAD) == ["1"]


@KINDS
async def test_a_move_to_a_queue_that_is_gone_changes_nothing(queues: Desk) -> None:
    desk = queues
    await desk.put("1")
    delivery = await desk.claim_one()
    assert await desk.one(Drop(DEAD)) is Outcome.DONE
    assert await desk.move(delivery) is Outcome.GONE
    assert await desk.resend(delivery, DEAD) is Outcome.NO_TARGET
    assert await desk.counts(WORK) == Counts(leased=1)
    assert await desk.delete(delivery) is Outcome.DONE


@KINDS
async def test_moved_messages_keep_the_order_of_their_ids(queues: Desk) -> None:
    desk = queues
    await desk.put_all("1", "2", group="g")
    await desk.put_all("own", group="g", queue=DEAD)
    first, second = await desk.claim(2)
    await desk.store.apply([desk.a_move(second), desk.a_move(first)])
    assert await desk.bodies(DEAD) == ["1", "2", "own"]


@KINDS
async def test_a_message_can_be_moved_onto_its_own_queue(queues: Desk) -> None:
    desk = queues
    await desk.put("1", group="g")
    assert await desk.move(await desk.claim_one(), WORK) is Outcome.DONE
    assert await desk.counts(WORK) == Counts(ready=1)
    assert (await desk.claim_one()).receives == 1


@KINDS
async def test_a_resent_message_is_a_new_one_with_the_old_body(queues: Desk) -> None:
    desk = queues
    old = await desk.put("1", queue=DEAD)
    delivery = await desk.claim_one(queue=DEAD)
    desk.turn(SECOND)
    envelope = Envelope("new id", group="g")
    assert await desk.resend(delivery, WORK, queue=DEAD, envelope=envelope) is Outcome.DONE
    assert await desk.counts(DEAD) == Counts()
    new = await desk.claim_one()
    assert new.id > old.message
    assert (new.body, new.envelope, new.sent_at, new.receives) == (b"1", envelope, desk.now, 1)
    assert await desk.delete(delivery, queue=DEAD) is Outcome.GONE


@KINDS
async def test_a_resent_message_goes_to_the_end_of_its_group(queues: Desk) -> None:
    desk = queues
    await desk.put_all("old", group="g", queue=DEAD)
    await desk.put_all("waiting", group="g")
    await desk.resend(await desk.claim_one(queue=DEAD), WORK, queue=DEAD)
    assert bodies(await desk.claim()) == ["waiting", "old"]


async def test_a_move_between_a_standard_and_an_ordered_queue_takes_the_targets_kind(desk: Desk) -> None:
    """No protocol does it, and nothing may break if one does."""
    await desk.declare(WORK, ordered=False)
    await desk.declare(DEAD, ordered=True)
    await desk.put_all("1", "2", "3", group="g")
    for delivery in await desk.claim():
        await desk.move(delivery)
    assert bodies(await desk.claim(1, queue=DEAD)) == ["1"]
    assert bodies(await desk.claim(queue=DEAD)) == []
    desk.turn(60 * SECOND)
    for delivery in await desk.claim(queue=DEAD):
        await desk.move(delivery, WORK, queue=DEAD)
    assert bodies(await desk.claim(1)) == ["1"]
    assert bodies(await desk.claim()) == ["2", "3"]


async def test_moving_many_in_one_call_is_one_step(desk: Desk) -> None:
    await desk.declare(WORK)
    await desk.declare(DEAD)
    other = QueueId(3)
    await desk.declare(other)
    await desk.put_all("1", "2", "3", "4")
    deliveries = await desk.claim()
    answers = await desk.store.apply(
        [desk.a_move(delivery, target) for delivery, target in zip(deliveries, [DEAD, other] * 2, strict=True)]
    )
    assert list(answers) == [Outcome.DONE] * 4
    assert await desk.bodies(DEAD) == ["1", "3"]
    assert await desk.bodies(other) == ["2", "4"]
    assert await desk.bodies() == []
