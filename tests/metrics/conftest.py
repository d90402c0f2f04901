"""A sampler over a broker, on a clock that only the test turns, and that ticks when the test says so."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from encola.broker.broker import Broker, Draft
from encola.broker.clock import Clock
from encola.engine.history import History
from encola.engine.message import Instant
from encola.engine.queue import HOUR, Address, Queue, Settings
from encola.engine.store import Store
from encola.metrics.sampler import Sampler
from encola.stores.history_memory import MemoryHistory
from encola.stores.memory import MemoryStore
from encola.stores.sqlite import SqliteStore
from encola.stores.sqlite.history import SqliteHistory

ACCOUNT = "111122223333"
START: Instant = 1_700_000_000_000 - 1_700_000_000_000 % HOUR
"""The beginning of an hour."""


class HandClock(Clock):
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.at = START
        super().__init__(lambda: self.at / 1000, lambda: self.at / 1000)

    def now(self) -> Instant:
        return self.at


class Watch:
    """A broker with its sampler. ``restart`` ends the sampler, in order or not, and begins another."""

    def __init__(self, directory: Path, durable: bool) -> None:
        self.clock = HandClock()
        self.directory = directory
        self.durable = durable
        self.store: Store = SqliteStore(directory) if durable else MemoryStore()
        self.broker = Broker(self.store, self.clock, relaxed=True)
        self._memory = MemoryHistory()
        self.consumers: dict[tuple[str, str], tuple[int, int]] = {}
        self.sampler = self._new()

    def history(self) -> History:
        return SqliteHistory(self.directory) if self.durable else self._memory

    def _new(self) -> Sampler:
        return Sampler(
            self.broker,
            self.store,
            self.history(),
            connections=lambda: 7,
            consumers=lambda: self.consumers,
            look_patience_seconds=30,
        )

    async def open(self) -> None:
        await self.store.open()
        await self.broker.open()
        await self.sampler.resume()

    async def close(self) -> None:
        await self.sampler.close()
        await self.broker.close()
        await self.store.close()

    async def restart(self, *, away: int = 0, in_order: bool = True) -> None:
        """The server is down for ``away`` milliseconds; not ``in_order``: what only its memory knew is lost."""
        if in_order:
            await self.sampler.close()
        else:
            await self.sampler.flush()
        self.clock.at += away
        await self.broker.close()
        if self.durable:
            await self.store.close()
            self.store = SqliteStore(self.directory)
            await self.store.open()
        self.broker = Broker(self.store, self.clock, relaxed=True)
        await self.broker.open()
        self.sampler = self._new()
        await self.sampler.resume()

    async def queue(self, name: str = "work", **settings: object) -> Queue:
        return await self.broker.create(
            Address(ACCOUNT, name),
            ordered=False,
            settings=Settings(**settings),
            tags={},  # type: ignore[arg-type]
        )

    async def send(self, queue: Queue, count: int = 1, body: bytes = b"12345") -> None:
        await self.broker.send(queue, [Draft(body)] * count)

    async def pass_seconds(self, seconds: int = 1) -> None:
        """So many ticks, one a second."""
        for _ in range(seconds):
            self.clock.at += 1000
            await self.sampler.tick()


@pytest.fixture(params=["memory", "sqlite"])
async def watch(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Watch]:
    watch = Watch(tmp_path / "data", request.param == "sqlite")
    await watch.open()
    yield watch
    await watch.close()
