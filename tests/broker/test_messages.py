"""Stories of sends, receives and settlements through the broker."""

import asyncio

import pytest

from encola.broker.broker import Broker, Draft
from encola.broker.errors import QueueGoneError, TooManyLeasedError
from encola.broker.lease_cap import LeaseCap
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts
from encola.engine.queue import Address, DeadLetterRule
from encola.engine.store import Store

from .conftest import ACCOUNT, NewQueue, TestClock


def drafts(*bodies: str, **more: object) -> list[Draft]:
    return [Draft(body.encode(), **more) for body in bodies]  # type: ignore[arg-type]


def bodies(deliveries: object) -> list[str]:
    return [delivery.body.decode() for delivery in deliveries]  # type: ignore[attr-defined]


async def test_a_message_is_sent_received_and_deleted(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    (stored,) = await broker.send(queue, drafts("hello"))
    (delivery,) = await broker.receive(queue, limit=10)
    assert (delivery.body, delivery.envelope.message_id, delivery.receives) == (b"hello", stored.message_id, 1)
    assert await broker.receive(queue, limit=10) == ()
    assert await broker.delete(queue, [delivery.receipt]) == [Outcome.DONE]
    assert await broker.counts(queue) == Counts()


async def test_an_old_receipt_cannot_settle_a_newer_delivery(
    broker: Broker, new_queue: NewQueue, clock: TestClock
) -> None:
    queue = await new_queue()
    await broker.send(queue, drafts("once"))
    (first,) = await broker.receive(queue, limit=1, lease=1000)
    clock.turn(1000)
    (second,) = await broker.receive(queue, limit=1)
    assert second.receives == 2
    assert await broker.delete(queue, [first.receipt]) == [Outcome.STALE]
    assert await broker.extend(queue, [(first.receipt, 0)]) == [Outcome.STALE]
    assert await broker.delete(queue, [second.receipt]) == [Outcome.DONE]


async def test_too_many_receives_end_on_the_dead_letter_queue(broker: Broker, new_queue: NewQueue) -> None:
    dead = await new_queue("dead")
    queue = await new_queue(dead_letter=DeadLetterRule(dead.address, max_receives=2))
    await broker.send(queue, drafts("poison", "good"))
    for _ in range(2):
        got = await broker.receive(queue, limit=10)
        assert sorted(bodies(got)) == ["good", "poison"]
        (poison,) = [d for d in got if d.body == b"poison"]
        (good,) = [d for d in got if d.body == b"good"]
        await broker.extend(queue, [(poison.receipt, 0), (good.receipt, 0)])
    await broker.send(queue, drafts("fresh"))
    assert bodies(await broker.receive(queue, limit=10)) == ["fresh"]
    moved = await broker.receive(dead, limit=10)
    assert sorted(bodies(moved)) == ["good", "poison"]
    assert {d.envelope.dead_letter_source for d in moved} == {str(queue.address)}
    assert {d.receives for d in moved} == {1}
    assert poison.envelope.message_id in {d.envelope.message_id for d in moved}


async def test_a_rule_without_its_target_delivers_rather_than_loses(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue(dead_letter=DeadLetterRule(Address(ACCOUNT, "missing"), max_receives=1))
    await broker.send(queue, drafts("kept"))
    for receives in range(1, 4):
        (delivery,) = await broker.receive(queue, limit=1)
        assert delivery.receives == receives
        await broker.extend(queue, [(delivery.receipt, 0)])


async def test_what_is_past_its_retention_is_not_delivered_and_gets_swept(
    broker: Broker, new_queue: NewQueue, clock: TestClock
) -> None:
    queue = await new_queue(retention=60_000)
    await broker.send(queue, drafts("old"))
    clock.turn(61_000)
    await broker.send(queue, drafts("new"))
    assert bodies(await broker.receive(queue, limit=10)) == ["new"]
    while await broker._chores.sweep():
        pass
    assert (await broker.counts(queue)).total == 1


async def test_a_parked_receive_wakes_when_a_message_arrives(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    polls = [asyncio.create_task(broker.receive(queue, limit=1, wait=5000)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert broker.waiting == 3
    await broker.send(queue, drafts("a", "b", "c"))
    got = await asyncio.wait_for(asyncio.gather(*polls), 1)
    assert sorted(body for deliveries in got for body in bodies(deliveries)) == ["a", "b", "c"]
    assert broker.waiting == 0


async def test_a_parked_receive_wakes_when_a_delay_or_a_lease_ends(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    await broker.send(queue, drafts("later", delay=150))
    (first,) = await asyncio.wait_for(broker.receive(queue, limit=1, wait=5000, lease=150), 1)
    (second,) = await asyncio.wait_for(broker.receive(queue, limit=1, wait=5000), 1)
    assert second.id == first.id
    assert second.receives == 2


async def test_a_parked_receive_ends_empty_in_time(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    assert list(await asyncio.wait_for(broker.receive(queue, limit=1, wait=60), 1)) == []
    assert broker.waiting == 0


async def test_dropping_a_queue_ends_its_parked_receives(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    poll = asyncio.create_task(broker.receive(queue, limit=1, wait=5000))
    await asyncio.sleep(0.05)
    await broker.drop(queue)
    with pytest.raises(QueueGoneError):
        await asyncio.wait_for(poll, 1)
    with pytest.raises(QueueGoneError):
        await broker.send(queue, drafts("too late"))


async def test_a_consumer_that_hangs_up_while_waiting_takes_no_message_along(
    broker: Broker, new_queue: NewQueue
) -> None:
    queue = await new_queue()
    for _ in range(20):
        poll = asyncio.create_task(broker.receive(queue, limit=1, wait=5000))
        await asyncio.sleep(0.002)
        send = asyncio.create_task(broker.send(queue, drafts("x")))
        await asyncio.sleep(0)
        poll.cancel()
        await asyncio.gather(poll, send, return_exceptions=True)
        if poll.cancelled():
            (delivery,) = await asyncio.wait_for(broker.receive(queue, limit=1, wait=1000), 2)
            assert delivery.receives == 1  # given back uncounted
        else:
            (delivery,) = poll.result()
        await broker.delete(queue, [delivery.receipt])


async def test_closing_answers_parked_receives_with_nothing(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    polls = [asyncio.create_task(broker.receive(queue, limit=1, wait=20_000)) for _ in range(5)]
    await asyncio.sleep(0.05)
    broker.stop_waiting()
    assert [list(got) for got in await asyncio.wait_for(asyncio.gather(*polls), 1)] == [[]] * 5


async def test_the_cap_on_leased_messages(
    broker: Broker, new_queue: NewQueue, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await new_queue(lease=5000)
    receiving = broker._receiving
    monkeypatch.setattr(receiving, "_cap", LeaseCap(receiving._count_leased, leased_max=3))
    await broker.send(queue, drafts(*"abcde"))
    assert len(await broker.receive(queue, limit=10)) == 3
    with pytest.raises(TooManyLeasedError):
        await broker.receive(queue, limit=1)
    assert list(await broker.receive(queue, limit=1, wait=30)) == []  # a long poll is silent
    clock.turn(5000)
    assert len(await broker.receive(queue, limit=10)) == 3


async def test_the_clock_starts_no_earlier_than_the_store(store: Store) -> None:
    ahead = TestClock()
    ahead.turn(3_600_000)
    first = Broker(store, ahead)
    await first.open()
    queue = await first.create(Address(ACCOUNT, "q"), ordered=False, settings=_settings(), tags={})
    await first.send(queue, drafts("sent in the future"))
    await first.close()

    set_back = TestClock()  # the wall clock was set back by an hour, and the server started anew
    second = Broker(store, set_back)
    await second.open()
    assert bodies(await second.receive(queue, limit=1)) == ["sent in the future"]
    await second.close()


def _settings() -> object:
    from encola.engine.queue import Settings

    return Settings()
