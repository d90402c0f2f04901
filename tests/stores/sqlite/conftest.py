"""A desk (short words for stories) over a SQLite store in a directory of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from encola.stores.sqlite import SqliteStore
from tests.conformance.desk import Desk


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def desk(directory: Path) -> AsyncIterator[Desk]:
    desk = Desk(lambda: SqliteStore(directory))
    await desk.store.open()
    yield desk
    await desk.store.close()
