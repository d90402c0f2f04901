"""What is counted of each queue, and what is not."""

import asyncio

from encola.broker.broker import Broker
from encola.engine.message import Header
from encola.engine.metrics import Tally
from encola.engine.queue import DeadLetterRule

from .conftest import NewQueue, TestClock
from .test_messages import drafts


async def test_a_queue_counts_from_nought(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    assert broker.tallies[queue.id] == Tally()
    assert list(broker.tallies) == [queue.id]


async def test_sends_are_counted_with_their_sizes_as_sqs_counts_them(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    await broker.send(queue, drafts("12345"))
    await broker.send(queue, drafts("1", "1234567", headers={"ab": Header("String", b"cde")}))
    tally = broker.tallies[queue.id]
    assert (tally.sent, tally.sent_bytes) == (3, 5 + (1 + 11) + (7 + 11))
    assert tally.take_sizes() == (5, 18)
    assert tally.take_sizes() == (0, 0)
    await broker.send(queue, drafts("123456"))
    assert tally.take_sizes() == (6, 6)


async def test_a_duplicate_is_not_another_message(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue(ordered=True)
    for _ in range(3):
        await broker.send(queue, drafts("same", group="g", deduplication_id="d"))
    assert broker.tallies[queue.id].sent == 1


async def test_receives_count_messages_and_answers_without_any(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    await broker.send(queue, drafts("1", "2", "3"))
    await broker.receive(queue, limit=2)
    await broker.collect(queue, limit=10, lease=30_000, wait=0)
    await broker.receive(queue, limit=10)
    await broker.receive(queue, limit=10, wait=1)
    await broker.collect(queue, limit=10, lease=30_000, wait=1)
    tally = broker.tallies[queue.id]
    assert (tally.received, tally.empty_receives) == (3, 3)


async def test_a_repeated_attempt_is_received_once_more(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue(ordered=True)
    await broker.send(queue, drafts("1", group="g"))
    for _ in range(2):
        await broker.receive(queue, limit=1, attempt_id="a")
    assert broker.tallies[queue.id].received == 2


async def test_only_deletes_that_delete_count(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    await broker.send(queue, drafts("1", "2"))
    first, second = await broker.receive(queue, limit=2)
    for _ in range(2):
        await broker.delete(queue, [first.receipt])
    assert broker.tallies[queue.id].deleted == 1
    await broker.delete(queue, [first.receipt, second.receipt])
    assert broker.tallies[queue.id].deleted == 2


async def test_dead_letters_count_at_the_queue_that_they_leave(
    broker: Broker, new_queue: NewQueue, clock: TestClock
) -> None:
    dead = await new_queue("dead")
    queue = await new_queue(dead_letter=DeadLetterRule(dead.address, max_receives=1))
    await broker.send(queue, drafts("too often", "rejected"))
    first, second = await broker.receive(queue, limit=2, lease=1000)
    rejected = first if first.body == b"rejected" else second
    await broker.reject(queue, [(rejected.receipt, {}), (rejected.receipt, {})])
    assert broker.tallies[queue.id].dead_lettered == 1
    clock.turn(1000)
    await broker.receive(queue, limit=1)
    assert broker.tallies[queue.id].dead_lettered == 2
    assert broker.tallies[dead.id] == Tally()
    assert (await broker.counts(dead)).ready == 2


async def test_a_queue_that_is_deleted_is_forgotten_and_comes_back_anew(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    await broker.send(queue, drafts("1"))
    await broker.update(queue, tags={"a": "b"})
    assert broker.tallies[queue.id].sent == 1
    await broker.drop(queue)
    assert len(broker.tallies) == 0
    await broker.delete(queue, [])
    await broker.reject(queue, [])
    assert len(broker.tallies) == 0


async def test_parked_receives_are_known_by_queue(broker: Broker, new_queue: NewQueue) -> None:
    first, second = await new_queue("first"), await new_queue("second")
    polls = [asyncio.create_task(broker.receive(queue, limit=1, wait=10_000)) for queue in (first, first, second)]
    while broker.waiting < 3:
        await asyncio.sleep(0)
    assert broker.parked_by_queue() == {first.id: 2, second.id: 1}
    broker.stop_waiting()
    await asyncio.gather(*polls)
    assert broker.parked_by_queue() == {}
    assert broker.tallies[first.id].empty_receives == 2
