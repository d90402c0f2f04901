"""A broker over each store, on a clock that the test turns."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from encola.broker.broker import Broker
from encola.broker.clock import Clock
from encola.engine.queue import Address, Queue, Settings
from encola.engine.store import Store
from encola.stores.memory import MemoryStore
from encola.stores.sqlite import SqliteStore

ACCOUNT = "111122223333"


class TestClock(Clock):
    """Follows the real clock, so that waits work, plus what the test adds."""

    __test__ = False

    def __init__(self) -> None:
        self.added = 0
        super().__init__()

    def now(self) -> int:
        return super().now() + self.added

    def turn(self, milliseconds: int) -> None:
        self.added += milliseconds


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def broker(store: Store, clock: TestClock) -> AsyncIterator[Broker]:
    broker = Broker(store, clock)
    await broker.open()
    yield broker
    await broker.close()


NewQueue = Callable[..., Awaitable[Queue]]


@pytest.fixture
def new_queue(broker: Broker) -> NewQueue:
    async def create(name: str = "work", *, ordered: bool = False, **settings: object) -> Queue:
        return await broker.create(
            Address(ACCOUNT, name),
            ordered=ordered,
            settings=Settings(**settings),  # type: ignore[arg-type]
            tags={},
        )

    return create
