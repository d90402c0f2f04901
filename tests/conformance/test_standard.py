"""A standard queue: put, claim, leases, settling. Also what a Put and a Claim must keep of a message."""

import pytest

from encola.engine.changes import Claim, Delete, Extend, Put, Stored
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts, Envelope, Header, MessageId, QueueId
from encola.engine.queue import HOUR, LEASE_TOTAL_MAX

from .desk import SECOND, START, WORK, Desk, bodies

NOWHERE = QueueId(99)


async def test_a_message_comes_back_as_it_was_sent(desk: Desk) -> None:
    await desk.declare()
    envelope = Envelope(
        "message id",
        sender="AIDA",
        group="g",
        deduplication_id="d",
        dead_letter_source="1/other",
        headers={"n": Header("Number", b"42"), "b": Header("Binary.png", bytes(range(256)))},
        properties={"trace": "Root=1-é"},
    )
    body = "ünïcode \U0001f4e8 \x00 end".encode()
    (stored,) = await desk.store.apply([Put(WORK, envelope, body, START - 5, START)])
    assert isinstance(stored, Stored)
    assert (stored.message_id, stored.duplicate) == ("message id", False)
    delivery = await desk.claim_one(lease=9 * SECOND)
    assert (delivery.envelope, delivery.body) == (envelope, body)
    assert (delivery.id, delivery.sent_at, delivery.lease_until) == (stored.message, START - 5, START + 9 * SECOND)
    assert (delivery.receives, delivery.first_received_at) == (1, START)


@pytest.mark.parametrize("size", [0, 1, 262_144, 1_048_576])
async def test_a_body_of_any_size_is_kept(desk: Desk, size: int) -> None:
    await desk.declare()
    body = bytes(i % 251 for i in range(size))
    await desk.store.apply([Put(WORK, Envelope("m"), body, START, START)])
    assert (await desk.claim_one()).body == body


async def test_the_oldest_ready_messages_come_first_up_to_the_limit(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", "2", "3", "4")
    assert bodies(await desk.claim(3)) == ["1", "2", "3"]
    assert bodies(await desk.claim(3)) == ["4"]
    assert bodies(await desk.claim(3)) == []


async def test_messages_of_one_moment_come_in_the_order_of_acceptance(desk: Desk) -> None:
    await desk.declare()
    await desk.store.apply([desk.a_put(str(number)) for number in range(20)])
    assert await desk.drain() == [str(number) for number in range(20)]


async def test_what_was_ready_first_goes_first_whenever_it_was_sent(desk: Desk) -> None:
    await desk.declare()
    await desk.put("slow", delay=20)
    await desk.put("quick", delay=10)
    desk.turn(20)
    assert bodies(await desk.claim()) == ["quick", "slow"]


async def test_a_delayed_message_is_not_to_be_had_a_moment_too_early(desk: Desk) -> None:
    await desk.declare()
    await desk.put("later", delay=900 * SECOND)
    desk.turn(900 * SECOND - 1)
    assert bodies(await desk.claim()) == []
    assert await desk.counts() == Counts(delayed=1)
    desk.turn(1)
    assert bodies(await desk.claim()) == ["later"]


async def test_a_lease_hides_a_message_until_it_ends(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    first = await desk.claim_one(lease=10 * SECOND)
    desk.turn(10 * SECOND - 1)
    assert bodies(await desk.claim()) == []
    desk.turn(1)
    second = await desk.claim_one()
    assert second.id == first.id
    assert (second.lease, second.receives) == (first.lease + 1, 2)
    assert second.first_received_at == START


async def test_a_lease_of_no_length_hides_nothing(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    assert bodies(await desk.claim(lease=0)) == ["1"]
    again = await desk.claim_one(lease=0)
    assert again.receives == 2
    assert await desk.delete(again) is Outcome.DONE


async def test_a_message_whose_lease_ended_queues_behind_what_was_ready_before(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", "2")
    await desk.claim_one(lease=5 * SECOND)
    desk.turn(5 * SECOND)
    assert bodies(await desk.claim()) == ["2", "1"]


async def test_a_deleted_message_is_gone_for_good(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one()
    assert await desk.delete(delivery) is Outcome.DONE
    desk.turn(HOUR)
    assert bodies(await desk.claim()) == []
    assert await desk.delete(delivery) is Outcome.GONE
    assert await desk.counts() == Counts()


async def test_a_late_delete_works_while_nobody_received_the_message_since(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one(lease=SECOND)
    desk.turn(HOUR)
    assert await desk.delete(delivery) is Outcome.DONE


async def test_a_late_delete_is_refused_where_the_rule_asks_for_a_live_lease(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one(lease=SECOND)
    desk.turn(SECOND)
    assert await desk.delete(delivery, live_lease=True) is Outcome.EXPIRED
    assert await desk.bodies() == ["1"]
    again = await desk.claim_one(lease=SECOND)
    desk.turn(SECOND - 1)
    assert await desk.delete(again, live_lease=True) is Outcome.DONE


async def test_a_stale_receipt_can_do_nothing(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    old = await desk.claim_one(lease=SECOND)
    desk.turn(SECOND)
    new = await desk.claim_one(lease=30 * SECOND)
    assert await desk.delete(old) is Outcome.STALE
    assert await desk.extend(old, HOUR) is Outcome.STALE
    assert await desk.release(old) is Outcome.STALE
    assert await desk.move(old, WORK) is Outcome.STALE
    assert await desk.resend(old, WORK) is Outcome.STALE
    desk.turn(30 * SECOND - 1)
    assert bodies(await desk.claim()) == []  # the newer lease was not touched
    assert await desk.delete(new) is Outcome.DONE


async def test_a_receipt_from_the_future_is_stale_too(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one()
    assert await desk.one(Delete(WORK, delivery.id, delivery.lease + 1, desk.now)) is Outcome.STALE


async def test_a_message_that_was_never_leased_cannot_be_extended(desk: Desk) -> None:
    await desk.declare()
    stored = await desk.put("1", delay=SECOND)
    extend = Extend(WORK, stored.message, 0, desk.now + HOUR, desk.now, LEASE_TOTAL_MAX)
    assert await desk.one(extend) is Outcome.EXPIRED


async def test_an_extended_lease_ends_at_its_new_end(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one(lease=10 * SECOND)
    desk.turn(9 * SECOND)
    assert await desk.extend(delivery, 20 * SECOND) is Outcome.DONE
    desk.turn(20 * SECOND - 1)
    assert bodies(await desk.claim()) == []
    desk.turn(1)
    assert bodies(await desk.claim()) == ["1"]


async def test_a_lease_can_be_shortened(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one(lease=HOUR)
    assert await desk.extend(delivery, SECOND) is Outcome.DONE
    desk.turn(SECOND)
    assert (await desk.claim_one()).receives == 2


async def test_a_released_message_is_ready_at_once_and_its_receive_counts(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one(lease=HOUR)
    desk.turn(5)
    assert await desk.release(delivery) is Outcome.DONE
    again = await desk.claim_one()
    assert (again.receives, again.lease) == (2, delivery.lease + 1)
    assert again.first_received_at == START


async def test_an_uncounted_release_takes_the_receive_back(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one()
    assert await desk.release(delivery, uncounted=True) is Outcome.DONE
    again = await desk.claim_one()
    assert again.receives == 1
    assert again.lease == delivery.lease + 1  # the old receipt stays void
    assert await desk.delete(delivery) is Outcome.STALE


async def test_a_lease_that_ended_cannot_be_extended(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one(lease=SECOND)
    desk.turn(SECOND)
    assert await desk.extend(delivery, SECOND) is Outcome.EXPIRED


async def test_a_released_message_cannot_be_extended(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one(lease=HOUR)
    await desk.release(delivery)
    assert await desk.extend(delivery, SECOND) is Outcome.EXPIRED


async def test_a_lease_cannot_grow_beyond_its_longest_total_time(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one(lease=10 * SECOND)
    desk.turn(5 * SECOND)
    assert await desk.extend(delivery, LEASE_TOTAL_MAX) is Outcome.TOO_LONG
    assert await desk.extend(delivery, LEASE_TOTAL_MAX - 5 * SECOND) is Outcome.DONE
    desk.turn(6 * SECOND)
    assert bodies(await desk.claim()) == []


async def test_a_message_is_settled_on_its_own_queue_only(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(QueueId(7))
    await desk.put("1")
    delivery = await desk.claim_one(lease=HOUR)
    for other in (QueueId(7), NOWHERE):
        assert await desk.delete(delivery, queue=other) is Outcome.GONE
        assert await desk.extend(delivery, SECOND, queue=other) is Outcome.GONE
        assert await desk.move(delivery, WORK, queue=other) is Outcome.GONE
        assert await desk.resend(delivery, WORK, queue=other) is Outcome.GONE
    assert await desk.delete(delivery) is Outcome.DONE


async def test_a_message_that_never_was_is_gone(desk: Desk) -> None:
    await desk.declare()
    assert await desk.one(Delete(WORK, MessageId(123_456), 1, desk.now)) is Outcome.GONE
    extend = Extend(WORK, MessageId(123_456), 1, desk.now + 1, desk.now, LEASE_TOTAL_MAX)
    assert await desk.one(extend) is Outcome.GONE


async def test_a_queue_that_does_not_exist_takes_and_gives_nothing(desk: Desk) -> None:
    assert await desk.one(desk.a_put("1", queue=NOWHERE)) is Outcome.GONE
    assert list(await desk.store.claim(Claim(NOWHERE, 10, desk.now, desk.now + SECOND))) == []


async def test_changes_of_one_call_are_applied_in_order_and_answered_each(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", "2")
    first, second = await desk.claim(2)
    answers = await desk.store.apply(
        [
            Delete(WORK, first.id, first.lease, desk.now),
            Delete(WORK, first.id, first.lease, desk.now),
            desk.a_put("3"),
            desk.a_put("lost", queue=NOWHERE),
            Delete(WORK, second.id, second.lease + 5, desk.now),
        ]
    )
    stored = answers[2]
    assert isinstance(stored, Stored)
    assert list(answers) == [Outcome.DONE, Outcome.GONE, stored, Outcome.GONE, Outcome.STALE]
    assert await desk.bodies() == ["2", "3"]


async def test_no_changes_are_answered_with_nothing(desk: Desk) -> None:
    assert list(await desk.store.apply([])) == []


async def test_ids_only_ever_grow(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(QueueId(2))
    ids = []
    for number in range(5):
        ids.append((await desk.put(f"a{number}")).message)
        ids.append((await desk.put(f"b{number}", queue=QueueId(2))).message)
        await desk.drain()
    assert ids == sorted(set(ids))
