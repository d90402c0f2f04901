"""Queues are what the store says they are, also if who asked for a change hangs up before he is answered."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from encola.broker.broker import Broker
from encola.engine.queue import Settings
from encola.engine.store import Store

from .conftest import NewQueue, TestClock
from .test_messages import drafts


async def hang_up(asked: Coroutine[Any, Any, Any]) -> None:
    """Asks, and leaves when the store has been asked: it does what it was asked all the same."""
    task = asyncio.create_task(asked)
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def stored(broker: Broker, store: Store) -> list[Any]:
    """The queues in the store, when all that was asked before is durable."""
    await broker.keep("test", {"now": b"1"})
    return sorted((await store.catalog()).queues, key=lambda queue: queue.address)


async def test_a_queue_whose_creator_hangs_up_is_there(broker: Broker, new_queue: NewQueue, store: Store) -> None:
    await hang_up(new_queue("work"))  # type: ignore[arg-type]
    (queue,) = await stored(broker, store)
    assert broker.queues() == [queue]
    await broker.send(queue, drafts("1"))


async def test_settings_whose_sender_hangs_up_hold(broker: Broker, new_queue: NewQueue, store: Store) -> None:
    queue = await new_queue()
    await hang_up(broker.update(queue, settings=Settings(lease=5000)))
    assert broker.queues() == await stored(broker, store)
    assert broker.queues()[0].settings.lease == 5000


async def test_a_queue_whose_deleter_hangs_up_is_gone(
    broker: Broker, new_queue: NewQueue, store: Store, clock: TestClock
) -> None:
    queue = await new_queue()
    poll = asyncio.create_task(broker.receive(queue, limit=1, wait=20_000))
    await hang_up(broker.drop(queue))
    assert broker.queues() == await stored(broker, store) == []
    await asyncio.wait_for(asyncio.gather(poll, return_exceptions=True), 10)
    clock.turn(60_000)
    await new_queue()
