"""Fills a queue of a stopped server quickly: the server's own broker and store in this process, many sends a commit.

python -m benchmarks.fill DIRECTORY ACCOUNT/NAME MESSAGES
"""

import asyncio
import sys
from pathlib import Path

from benchmarks.workloads import BODY
from encola.broker.broker import Broker, Draft
from encola.broker.clock import Clock
from encola.engine.queue import Address, Settings
from encola.stores.sqlite import SqliteStore

MESSAGES_A_CALL = 2000
CALLS_UNDER_WAY = 3


async def fill(directory: Path, address: Address, messages: int) -> None:
    """Creates the queue if it is not there."""
    store = SqliteStore(directory)
    await store.open()
    broker = Broker(store, Clock())
    await broker.open()
    try:
        queue = broker.find(address)
        if queue is None:
            queue = await broker.create(address, ordered=False, settings=Settings(), tags={})
        draft = Draft(BODY.encode(), "AIDABENCHMARKBENCHMARK")
        left = asyncio.Semaphore(CALLS_UNDER_WAY)

        async def send(count: int) -> None:
            async with left:
                await broker.send(queue, [draft] * count)

        async with asyncio.TaskGroup() as group:
            for start in range(0, messages, MESSAGES_A_CALL):
                group.create_task(send(min(MESSAGES_A_CALL, messages - start)))
    finally:
        await broker.close()
        await store.close()


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), Address.parse(sys.argv[2]), int(sys.argv[3])))
