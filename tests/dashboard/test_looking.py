"""Looks with a budget, and works that go through a queue: they end, can be cancelled, and say what they did."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from encola.broker.broker import Broker, Draft
from encola.broker.clock import Clock
from encola.broker.hands import BATCH_MAX, Chosen
from encola.dashboard.filters import Filter
from encola.dashboard.looking import Budget, chunks, look
from encola.dashboard.redriving import Order, act_on_all, plan_all
from encola.dashboard.works import Works
from encola.engine.lifecycle import Outcome
from encola.engine.message import MessageId
from encola.engine.queue import Address, Queue, Settings
from encola.stores.memory import MemoryStore


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    store = MemoryStore()
    await store.open()
    broker = Broker(store, Clock())
    await broker.open()
    yield broker
    await broker.close()
    await store.close()


async def _queue(broker: Broker, count: int, name: str = "work") -> Queue:
    queue = await broker.create(Address("1", name), ordered=False, settings=Settings(), tags={})
    for _ in range(count):
        await broker.send(queue, [Draft(b"x")])
    return queue


async def test_a_look_that_spent_its_budget_says_how_far_it_came_and_another_goes_on(broker: Broker) -> None:
    queue = await _queue(broker, 95)
    await broker.send(queue, [Draft(b"wanted")])
    wanted, after, looked_at = Filter(text="WANTED"), None, []
    while True:
        found = await look(broker, queue, wanted, 10, after, budget=Budget(messages=40))
        looked_at.append(found.looked_at)
        if found.stop != "budget":
            break
        assert not found.peeks
        after = found.last
    assert looked_at == [40, 40, 16]
    assert [peek.body for peek in found.peeks] == [b"wanted"]


async def test_a_look_ends_when_its_time_is_over(broker: Broker) -> None:
    queue = await _queue(broker, 30)
    found = await look(broker, queue, Filter(text="nothing"), 10, budget=Budget(seconds=0))
    assert (found.stop, found.looked_at) == ("budget", 1)


async def test_a_dry_run_that_is_not_complete_says_so(broker: Broker) -> None:
    queue = await _queue(broker, 30)
    plan = await plan_all(broker, Order("delete", queue), Filter(), Budget(messages=20))
    assert (plan.would, plan.looked_at, plan.total, plan.complete) == (20, 20, 30, False)


async def test_large_messages_come_in_small_chunks(broker: Broker) -> None:
    queue = await _queue(broker, 100)
    for _ in range(100):
        await broker.send(queue, [Draft(b"x" * 1_000_000)])
    sizes = [len(peeks) async for peeks in chunks(broker, queue, None, newest_first=False)]
    assert sum(sizes) == 200
    assert max(sizes) == 100
    assert max(sizes[2:]) < 10


async def _run(broker: Broker, order: Order, wanted: Filter) -> tuple[Works, list[str], str]:
    works, told = Works(broker.clock), list[str]()

    async def ended(text: str) -> None:
        told.append(text)

    work = works.new("1", "a work", order.source.address.name, "ann")
    works.start(work, act_on_all(broker, order, wanted, work, ended))
    return works, told, work.id


async def _until_over(works: Works) -> None:
    try:
        async with asyncio.timeout(20):
            while works.running:
                await asyncio.sleep(0)
    finally:
        await works.close()


async def test_what_comes_in_while_a_work_runs_is_not_its_business(broker: Broker) -> None:
    queue = await _queue(broker, 130)
    works, told, _ = await _run(broker, Order("redrive", queue, queue), Filter())
    await _until_over(works)  # each message comes in again behind the others: it would never end
    assert told == ["130 sent again"]
    assert (await broker.counts(queue)).total == 130


async def test_a_work_that_is_cancelled_counts_what_it_has_done(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await _queue(broker, BATCH_MAX * 3)
    begun, go_on = asyncio.Event(), asyncio.Event()
    delete = broker.hands.delete

    async def slowly(of: Queue, chosen: Sequence[Chosen]) -> list[Outcome]:
        begun.set()
        await go_on.wait()
        return await delete(of, chosen)

    monkeypatch.setattr(broker.hands, "delete", slowly)
    works, told, work_id = await _run(broker, Order("delete", queue), Filter())
    await begun.wait()
    assert works.cancel("1", work_id) is not None
    go_on.set()
    await _until_over(works)
    (work,) = works.of("1")
    left = (await broker.counts(queue)).total
    assert (work.state, work.done) == ("cancelled", BATCH_MAX * 3 - left)
    assert 0 < work.done < BATCH_MAX * 3
    assert told == [f"{work.done} deleted"]


async def test_a_work_tells_what_it_left_alone_and_why(broker: Broker) -> None:
    queue = await _queue(broker, 60)
    (held,) = await broker.receive(queue, limit=1, lease=60_000)
    works, told, _ = await _run(broker, Order("delete", queue), Filter())
    await _until_over(works)
    (work,) = works.of("1")
    assert (work.done, work.left_alone, work.detail) == (59, 1, "1 held by a consumer")
    assert told == ["59 deleted; 1 left alone (1 held by a consumer)"]
    assert await broker.peek(queue, MessageId(held.id)) is not None
