"""Every story of the suite runs on each store; a new implementation is added to ``IMPLEMENTATIONS``."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from encola.engine.store import Store
from encola.stores.memory import MemoryStore
from encola.stores.sqlite import SqliteStore

from .desk import Desk


def _memory(directory: Path) -> Callable[[], Store]:
    store = MemoryStore()
    return lambda: store


def _sqlite(directory: Path) -> Callable[[], Store]:
    return lambda: SqliteStore(directory / "data")


IMPLEMENTATIONS: dict[str, Callable[[Path], Callable[[], Store]]] = {"memory": _memory, "sqlite": _sqlite}


@pytest.fixture(params=list(IMPLEMENTATIONS))
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(IMPLEMENTATIONS[request.param](tmp_path))
    await desk.store.open()
    yield desk
    await desk.store.close()
