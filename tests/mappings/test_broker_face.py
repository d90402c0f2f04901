"""What mappings need of the broker: notes that last, deliveries taken back, and receives that may be cancelled."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from encola.broker.broker import Broker, Draft
from encola.broker.clock import Clock
from encola.engine.queue import SECOND, Address, Queue, Settings
from encola.engine.store import Store
from encola.stores.memory import MemoryStore
from encola.stores.sqlite import SqliteStore

from .samples import ACCOUNT


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def broker(store: Store) -> AsyncIterator[Broker]:
    broker = Broker(store, Clock())
    await broker.open()
    yield broker
    await broker.close()


async def make(broker: Broker) -> Queue:
    return await broker.create(Address(ACCOUNT, "work"), ordered=False, settings=Settings(), tags={})


async def test_notes_are_kept_by_kind_until_they_are_forgotten(broker: Broker, store: Store) -> None:
    await broker.keep("mapping", {"a": b"1", "b": b"2"})
    await broker.keep("other", {"a": b"3"})
    await broker.keep("mapping", {"a": b"4", "b": None})
    assert await broker.notes("mapping") == {"a": b"4"}
    again = Broker(store, Clock())
    assert await again.notes("other") == {"a": b"3"}


async def test_a_delivery_that_is_taken_back_was_never_received(broker: Broker) -> None:
    queue = await make(broker)
    await broker.send(queue, [Draft(b"a")])
    (first,) = await broker.receive(queue, limit=1)
    await broker.release(queue, [(first.receipt, 0)])
    (second,) = await broker.receive(queue, limit=1)
    assert (first.receives, second.receives) == (1, 1)


async def test_a_collect_that_is_cancelled_at_any_moment_leaves_no_lease(broker: Broker) -> None:
    queue = await make(broker)
    await broker.send(queue, [Draft(b"a")])
    for turns in range(8):
        collecting = asyncio.create_task(broker.collect(queue, limit=10, lease=60 * SECOND, wait=0))
        for _ in range(turns):
            await asyncio.sleep(0)
        if collecting.cancel():
            await asyncio.wait([collecting])
        if collecting.cancelled():
            deliveries = await broker.receive(queue, limit=10, wait=5 * SECOND)
        else:
            deliveries = collecting.result()
        assert [delivery.receives for delivery in deliveries] == [1], turns
        await broker.release(queue, [(one.receipt, 0) for one in deliveries])


async def test_a_collect_waits_for_the_first_message(broker: Broker) -> None:
    queue = await make(broker)
    assert await broker.collect(queue, limit=10, lease=SECOND, wait=0) == ()
    collecting = asyncio.create_task(broker.collect(queue, limit=10, lease=SECOND, wait=20 * SECOND))
    await asyncio.sleep(0.01)
    await broker.send(queue, [Draft(b"a"), Draft(b"b")])
    assert [delivery.body for delivery in await collecting] == [b"a", b"b"]
