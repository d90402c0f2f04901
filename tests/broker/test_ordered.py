"""Ordered queues: groups, deduplication, repeated receive attempts."""

from encola.broker.broker import Broker, Draft
from encola.engine.lifecycle import Outcome

from .conftest import NewQueue, TestClock


def draft(body: str, group: str = "g", key: str | None = None) -> Draft:
    return Draft(body.encode(), group=group, deduplication_id=key or body)


def bodies(deliveries: object) -> list[str]:
    return [delivery.body.decode() for delivery in deliveries]  # type: ignore[attr-defined]


async def test_a_group_is_locked_while_any_of_its_messages_is_out(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue("q.fifo", ordered=True)
    await broker.send(queue, [draft("1"), draft("2"), draft("3"), draft("other", group="h")])
    first = await broker.receive(queue, limit=2)
    assert bodies(first) == ["1", "2"]
    assert bodies(await broker.receive(queue, limit=10)) == ["other"]
    await broker.send(queue, [draft("4")])
    await broker.delete(queue, [first[0].receipt])
    assert bodies(await broker.receive(queue, limit=10)) == []
    await broker.extend(queue, [(first[1].receipt, 0)])
    assert bodies(await broker.receive(queue, limit=10)) == ["2", "3", "4"]


async def test_a_late_delete_is_refused(broker: Broker, new_queue: NewQueue, clock: TestClock) -> None:
    queue = await new_queue("q.fifo", ordered=True)
    await broker.send(queue, [draft("1")])
    (delivery,) = await broker.receive(queue, limit=1, lease=1000)
    clock.turn(1000)
    assert await broker.delete(queue, [delivery.receipt]) == [Outcome.EXPIRED]
    assert bodies(await broker.receive(queue, limit=1)) == ["1"]


async def test_deduplication_outlives_the_message(broker: Broker, new_queue: NewQueue, clock: TestClock) -> None:
    queue = await new_queue("q.fifo", ordered=True)
    (first,) = await broker.send(queue, [draft("1", key="k")])
    (delivery,) = await broker.receive(queue, limit=1)
    await broker.delete(queue, [delivery.receipt])
    (again,) = await broker.send(queue, [draft("other body", key="k")])
    assert again.duplicate
    assert (again.message, again.message_id) == (first.message, first.message_id)
    assert (await broker.counts(queue)).total == 0
    clock.turn(5 * 60_000)
    (later,) = await broker.send(queue, [draft("1", key="k")])
    assert not later.duplicate
    assert later.message > first.message


async def test_a_repeated_attempt_gets_the_same_deliveries(
    broker: Broker, new_queue: NewQueue, clock: TestClock
) -> None:
    queue = await new_queue("q.fifo", ordered=True)
    await broker.send(queue, [draft("1"), draft("2"), draft("3")])
    first = await broker.receive(queue, limit=2, lease=10_000, attempt_id="a")
    clock.turn(9000)
    again = await broker.receive(queue, limit=2, lease=10_000, attempt_id="a")
    assert [d.receipt for d in again] == [d.receipt for d in first]
    clock.turn(9000)  # the lease was renewed: the group is still locked
    assert bodies(await broker.receive(queue, limit=1)) == []
    await broker.delete(queue, [first[0].receipt])
    assert bodies(await broker.receive(queue, limit=2, attempt_id="a")) == []  # void: one of them was deleted


async def test_purge_clears_deduplication(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue("q.fifo", ordered=True)
    await broker.send(queue, [draft("1")])
    await broker.purge(queue)
    (stored,) = await broker.send(queue, [draft("1")])
    assert not stored.duplicate
    assert (await broker.counts(queue)).total == 1
