"""A broker, a function that the test plays, and a poller between them."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from encola.broker.broker import Broker, Draft
from encola.engine.message import Counts
from encola.engine.queue import SECOND, Address, Queue
from encola.engine.queue import Settings as QueueSettings
from encola.mappings.functions import concurrency_of
from encola.mappings.gate import Gate
from encola.mappings.model import Mapping, Settings
from encola.mappings.poller import Poller
from encola.mappings.targets.target import Answer, Invocation, Returned

from .samples import ACCOUNT, SOURCE, WORDS, function

SECONDS_MAX = 20.0


class FakeTarget:
    """A function that the test plays: ``answer`` is called with the bodies of each batch.

    With ``held`` every call waits for ``go``.
    """

    def __init__(self, answer: Callable[[list[str]], Answer] | None = None, *, held: bool = False) -> None:
        self._answer = answer or (lambda bodies: Returned(b""))
        self.go = asyncio.Event()
        if not held:
            self.go.set()
        self.batches: list[list[str]] = []
        self.events: list[dict[str, Any]] = []
        self.running = 0
        self.most = 0
        self._changed = asyncio.Event()

    async def invoke(self, invocation: Invocation) -> Answer:
        event = json.loads(invocation.payload)
        bodies = [record["body"] for record in event["Records"]]
        self.events.append(event)
        self.batches.append(bodies)
        self.running += 1
        self.most = max(self.most, self.running)
        self._changed.set()
        try:
            await self.go.wait()
            return self._answer(bodies)
        finally:
            self.running -= 1
            self._changed.set()

    async def close(self) -> None:
        pass

    @property
    def bodies(self) -> list[str]:
        """All bodies in the order in which they came."""
        return [body for batch in self.batches for body in batch]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until it holds, looking after each call's begin and end."""
        async with asyncio.timeout(SECONDS_MAX):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class House:
    """See the module. ``of_function`` are fields of the function's declaration."""

    def __init__(self, broker: Broker, queue: Queue) -> None:
        self.broker = broker
        self.queue = queue
        self.pollers: list[Poller] = []

    @classmethod
    async def build(cls, broker: Broker, *, ordered: bool = False, visibility: float = 30, **more: Any) -> "House":
        address = Address(ACCOUNT, "work.fifo" if ordered else "work")
        settings = QueueSettings(lease=int(visibility * SECOND), **more)
        return cls(broker, await broker.create(address, ordered=ordered, settings=settings, tags={}))

    def poll(self, target: FakeTarget, *, gate: Gate | None = None, timeout: int = 1, **settings: Any) -> Poller:
        """Starts a poller of the queue."""
        declared = function(timeout=timeout)
        mapping = Mapping(
            uuid="m",
            account=ACCOUNT,
            region="eu-west-1",
            source=SOURCE,
            queue=self.queue.address,
            settings=Settings(function=declared.name, **settings),
            modified_at=0,
        )
        poller = Poller(self.broker, WORDS, mapping)
        poller.start(mapping, declared, gate or Gate(concurrency_of(declared)), target, "arn")
        self.pollers.append(poller)
        return poller

    async def send(self, *bodies: str, group: str = "") -> None:
        drafts = [
            Draft(body.encode(), group=group, deduplication_id=body if self.queue.ordered else None) for body in bodies
        ]
        await self.broker.send(self.queue, drafts)

    async def counts(self) -> Counts:
        return await self.broker.counts(self.queue)

    async def emptied(self) -> None:
        """Waits until the queue holds nothing."""
        async with asyncio.timeout(SECONDS_MAX):
            while (await self.counts()).total:
                await asyncio.sleep(0.005)

    async def settled(self) -> None:
        """Waits until the answers of all calls have been acted upon."""
        for poller in self.pollers:
            await poller.drained()

    async def receives(self) -> dict[str, int]:
        """How often each message of the queue has been received, as far as that counts."""
        return {peek.body.decode(): peek.state.receives for peek in await self.broker.browse(self.queue)}

    async def close(self) -> None:
        for poller in self.pollers:
            await poller.stop()
            poller.abort()
            await poller.drained()


def numbered(count: int, start: int = 0) -> Sequence[str]:
    return [f"m{number}" for number in range(start, start + count)]
