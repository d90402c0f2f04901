"""A paused queue: nobody receives from it, and all else goes on."""

import asyncio
from typing import Any

import pytest

from encola.broker.broker import Broker, Draft
from encola.broker.clock import Clock
from encola.broker.errors import QueueGoneError
from encola.engine.changes import Claim, Declare
from encola.engine.lifecycle import Outcome
from encola.engine.queue import DeadLetterRule, Settings
from encola.engine.store import Store, StoreError

from .conftest import NewQueue, TestClock
from .test_messages import bodies, drafts
from .test_moves import dead_letters, ended
from .test_ordered import draft

LONG = 20_000


async def parked(broker: Broker, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while broker.waiting < count:
            await asyncio.sleep(0)


def counting_looks(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[Claim]:
    """The claims that the store gets from now on."""
    claims: list[Claim] = []
    claim_plainly = store.claim

    def claim(claim: Claim) -> Any:
        claims.append(claim)
        return claim_plainly(claim)

    monkeypatch.setattr(store, "claim", claim)
    return claims


@pytest.mark.parametrize("ordered", [False, True], ids=["standard", "ordered"])
async def test_no_receive_of_any_kind_gets_a_message(broker: Broker, new_queue: NewQueue, ordered: bool) -> None:
    queue = await new_queue("q.fifo", ordered=ordered)
    await broker.send(queue, [draft("1")] if ordered else drafts("1"))
    paused = await broker.pause(queue)
    assert paused.paused
    assert broker.find(queue.address) == paused
    assert list(await broker.receive(queue, limit=10)) == []
    assert list(await broker.receive(queue, limit=10, attempt_id="a")) == []
    assert list(await broker.receive(queue, limit=10, wait=60)) == []
    assert list(await broker.collect(queue, limit=10, lease=1000, wait=0)) == []
    assert list(await broker.collect(queue, limit=10, lease=1000, wait=60)) == []
    assert (await broker.counts(queue)).ready == 1
    assert not (await broker.resume(paused)).paused
    assert bodies(await broker.receive(queue, limit=10)) == ["1"]


async def test_an_attempt_is_not_repeated_while_its_queue_is_paused(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue("q.fifo", ordered=True)
    await broker.send(queue, [draft("1")])
    first = await broker.receive(queue, limit=1, attempt_id="a")
    await broker.pause(queue)
    assert list(await broker.receive(queue, limit=1, attempt_id="a")) == []
    await broker.resume(queue)
    again = await broker.receive(queue, limit=1, attempt_id="a")
    assert [one.receipt for one in again] == [one.receipt for one in first]


async def test_what_was_received_before_is_settled_as_ever(
    broker: Broker, new_queue: NewQueue, clock: TestClock
) -> None:
    dead = await new_queue("dead")
    queue = await new_queue(dead_letter=DeadLetterRule(dead.address, max_receives=5))
    await broker.send(queue, drafts(*"abcde"))
    one, two, three, four, _ = await broker.receive(queue, limit=5, lease=10_000)
    await broker.pause(queue)
    assert await broker.delete(queue, [one.receipt]) == [Outcome.DONE]
    assert await broker.extend(queue, [(two.receipt, 60_000)]) == [Outcome.DONE]
    assert await broker.release(queue, [(three.receipt, 0)]) == [Outcome.DONE]
    assert await broker.reject(queue, [(four.receipt, {})]) == [Outcome.DONE]
    clock.turn(10_000)
    counts = await broker.counts(queue)
    assert (counts.ready, counts.leased) == (2, 1)
    assert (await broker.counts(dead)).ready == 1


async def test_sends_and_changes_of_the_queue_go_on(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    await broker.pause(queue)
    changed = await broker.update(queue, settings=Settings(lease=5000))
    assert changed.paused
    await broker.send(queue, drafts("1"))
    await broker.purge(queue)
    await broker.send(queue, drafts("2"))
    assert list(await broker.receive(queue, limit=10)) == []
    await broker.resume(queue)
    assert bodies(await broker.receive(queue, limit=10)) == ["2"]


async def test_a_redrive_goes_on(broker: Broker, new_queue: NewQueue) -> None:
    queue, dead = await dead_letters(broker, new_queue, 7)
    await broker.pause(dead)
    await broker.pause(queue)
    await broker.start_move(dead, None, None)
    assert (await ended(broker, dead)).moved == 7
    assert (await broker.counts(queue)).ready == 7
    assert list(await broker.receive(queue, limit=10)) == []


async def test_those_that_wait_go_on_waiting_and_get_messages_when_it_is_resumed(
    broker: Broker, new_queue: NewQueue
) -> None:
    queue = await new_queue()
    polls = [asyncio.create_task(broker.receive(queue, limit=1, wait=LONG)) for _ in range(5)]
    await parked(broker, 5)
    await broker.pause(queue)
    await broker.send(queue, drafts(*"abc"))
    polls += [asyncio.create_task(broker.receive(queue, limit=1, wait=LONG)) for _ in range(2)]
    await parked(broker, 7)
    done, _ = await asyncio.wait(polls, timeout=0.1)
    assert not done
    await broker.resume(queue)
    async with asyncio.timeout(10):
        while sum(poll.done() for poll in polls) < 3:
            await asyncio.sleep(0)
    got = [body for poll in polls if poll.done() for body in bodies(poll.result())]
    assert sorted(got) == ["a", "b", "c"]
    assert broker.waiting == 4
    await broker.send(queue, drafts(*"defg"))
    await asyncio.wait_for(asyncio.gather(*polls), 10)


async def test_a_wait_ends_empty_in_its_time_though_messages_are_ready(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    await broker.send(queue, drafts("1"))
    await broker.pause(queue)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert list(await broker.receive(queue, limit=1, wait=200)) == []
    assert loop.time() - began >= 0.19
    assert broker.waiting == 0


async def test_those_that_wait_do_not_look_again_and_again(
    broker: Broker, new_queue: NewQueue, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages are ready all the time, and come due: nobody looks for them, and the clock wakes nobody."""
    queue = await new_queue()
    await broker.send(queue, [*drafts("ready"), *drafts("soon", delay=30)])
    await broker.pause(queue)
    claims = counting_looks(store, monkeypatch)
    looks = 0
    receiving = broker._receiving
    take_plainly = receiving._take

    async def take(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        return await take_plainly(*arguments)

    monkeypatch.setattr(receiving, "_take", take)
    polls = [asyncio.create_task(broker.receive(queue, limit=1, wait=300)) for _ in range(3)]
    assert [list(got) for got in await asyncio.gather(*polls)] == [[], [], []]
    assert claims == []
    assert looks == 6  # each before it waited, and once more when it had its place


async def test_a_pause_outlasts_a_restart(broker: Broker, new_queue: NewQueue, store: Store) -> None:
    held, free = await new_queue("held"), await new_queue("free")
    await broker.send(held, drafts("1"))
    await broker.pause(held)
    await broker.pause(free)
    await broker.resume(free)
    await broker.close()
    again = Broker(store, Clock())
    await again.open()
    assert [(queue.address.name, queue.paused) for queue in again.queues()] == [("free", False), ("held", True)]
    assert list(await again.receive(held, limit=1)) == []
    await again.resume(held)
    assert bodies(await again.receive(held, limit=1)) == ["1"]
    await again.close()


async def test_a_pause_is_no_change_of_attributes_and_twice_is_as_once(
    broker: Broker, new_queue: NewQueue, clock: TestClock
) -> None:
    queue = await new_queue()
    clock.turn(60_000)
    paused = await broker.pause(queue)
    assert paused.modified_at == queue.modified_at
    assert await broker.pause(queue) is paused
    resumed = await broker.resume(queue)
    assert resumed == queue
    assert await broker.resume(queue) is resumed


async def test_a_queue_that_is_gone_cannot_be_paused_and_a_new_one_of_its_name_is_not(
    broker: Broker, new_queue: NewQueue, clock: TestClock
) -> None:
    queue = await new_queue()
    await broker.pause(queue)
    poll = asyncio.create_task(broker.receive(queue, limit=1, wait=LONG))
    await parked(broker)
    await broker.drop(queue)
    with pytest.raises(QueueGoneError):
        await asyncio.wait_for(poll, 10)
    for change in (broker.pause, broker.resume):
        with pytest.raises(QueueGoneError):
            await change(queue)
    clock.turn(60_000)
    assert not (await new_queue()).paused


async def test_nothing_is_leased_once_a_pause_has_answered(broker: Broker, new_queue: NewQueue) -> None:
    """Consumers are at work while it begins: what they get, they got before."""
    queue = await new_queue(lease=LONG)
    await broker.send(queue, [Draft(str(number).encode()) for number in range(400)])
    got: list[str] = []

    async def consume() -> None:
        while deliveries := await broker.receive(queue, limit=1):
            got.extend(bodies(deliveries))
            await asyncio.sleep(0)  # the memory store lets nobody else in between

    consumers = [asyncio.create_task(consume()) for _ in range(8)]
    while len(got) < 20:
        await asyncio.sleep(0)
    await broker.pause(queue)
    leased = (await broker.counts(queue)).leased
    await asyncio.wait_for(asyncio.gather(*consumers), 10)
    counts = await broker.counts(queue)
    assert counts.leased == leased == len(got) == len(set(got))
    assert counts.ready == 400 - leased > 0


async def test_a_pause_that_cannot_be_stored_is_none(
    broker: Broker, new_queue: NewQueue, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await new_queue()
    poll = asyncio.create_task(broker.receive(queue, limit=1, wait=LONG))
    await parked(broker)
    apply_plainly = store.apply
    refused = asyncio.Event()

    async def apply(changes: Any) -> Any:
        if isinstance(changes[0], Declare):
            await refused.wait()
            raise StoreError("no room")
        return await apply_plainly(changes)

    monkeypatch.setattr(store, "apply", apply)
    pause = asyncio.create_task(broker.pause(queue))
    await broker.send(queue, drafts("1"))
    refused.set()
    with pytest.raises(StoreError):
        await pause
    assert bodies(await asyncio.wait_for(poll, 10)) == ["1"]
    assert broker.find(queue.address) == queue


async def test_what_a_caller_asked_who_hangs_up_holds(broker: Broker, new_queue: NewQueue, store: Store) -> None:
    """The store does what it was asked; so memory must not say otherwise until the next start."""
    queue = await new_queue()
    for change in (broker.pause, broker.resume):
        asked = asyncio.create_task(change(queue))  # type: ignore[operator]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await broker.send(queue, drafts("later"))  # what was asked before it is durable by now
        (stored,) = (await store.catalog()).queues
        assert broker.find(queue.address) == stored
