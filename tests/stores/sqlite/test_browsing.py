"""What a page costs: counted in steps of SQLite's machine, so that no clock has a say."""

from pathlib import Path

import pytest

from encola.engine.changes import Put
from encola.engine.message import Envelope, MessageId, QueueId
from encola.stores.sqlite import SqliteStore
from encola.stores.sqlite.browser import Browser
from encola.stores.sqlite.connection import FILE_NAME, open_reader
from tests.conformance.desk import DEAD, START, WORK, Desk

PAGE = 10
STEPS = 10  # of SQLite's machine, for one of ours


class Looks:
    """A browser of its own over the files of a store, which counts."""

    def __init__(self, store: SqliteStore, directory: Path) -> None:
        self._store = store
        self._connection = open_reader(directory / FILE_NAME)
        self._browser = Browser(self._connection)
        self._steps = 0
        self._connection.set_progress_handler(self._step, STEPS)

    def _step(self) -> bool:
        self._steps += 1
        return False

    def page(self, after: int | None, *, queue: QueueId = WORK, newest_first: bool = False) -> int:
        """What a page costs that begins there."""
        before = self._steps
        shelf = self._store._ledger.shelves[queue]
        found = self._browser.browse(shelf, None if after is None else MessageId(after), PAGE, newest_first)
        assert len(found) == PAGE
        return self._steps - before

    def time(self, sent_at: int) -> int:
        before = self._steps
        self._browser.browse_from(self._store._ledger.shelves[WORK], sent_at)
        return self._steps - before

    def close(self) -> None:
        self._connection.close()


async def fill(desk: Desk, count: int, queue: QueueId = WORK, groups: int = 0) -> None:
    for start in range(0, count, 2_000):
        await desk.store.apply(
            [
                Put(queue, Envelope("m", group=f"g{n % groups}" if groups else ""), b"x", START + n, START + n)
                for n in range(start, min(count, start + 2_000))
            ]
        )


@pytest.fixture
def looks(desk: Desk, directory: Path) -> Looks:
    assert isinstance(desk.store, SqliteStore)
    return Looks(desk.store, directory)


@pytest.mark.parametrize("kind", ["standard", "groups", "ordered"])
async def test_page_1_and_page_1000_cost_the_same(desk: Desk, looks: Looks, kind: str) -> None:
    await desk.declare(ordered=kind == "ordered")
    await fill(desk, 12_100, groups=0 if kind == "standard" else 500)
    first, thousandth, last = looks.page(None), looks.page(10_000), looks.page(12_100 - PAGE)
    assert 0.8 < thousandth / first < 1.25
    assert last < 1.25 * first
    first, thousandth = looks.page(None, newest_first=True), looks.page(2_100, newest_first=True)
    assert 0.8 < thousandth / first < 1.25
    looks.close()


async def test_a_queue_among_many_messages_of_another_is_read_as_one_that_is_alone(desk: Desk, looks: Looks) -> None:
    """One page lies before and behind the others' messages; its neighbours cost what they cost elsewhere."""
    await desk.declare()
    await desk.declare(DEAD)
    await fill(desk, 3_000)
    await fill(desk, 20_000, DEAD)
    await fill(desk, 3_000)
    plain = looks.page(None)
    assert looks.page(1_000) < 1.25 * plain
    assert looks.page(25_000) < 1.25 * plain
    assert looks.page(25_000, newest_first=True) < 1.25 * plain
    across = looks.page(2_995)
    await fill(desk, 40_000, DEAD)
    more = looks.page(None, newest_first=True)
    assert more < 1.5 * across  # there are twice as many before it now, but what it costs is bounded by the queue's own
    looks.close()


async def test_a_small_queue_does_not_walk_over_a_large_one(desk: Desk, looks: Looks) -> None:
    await desk.declare()
    await desk.declare(DEAD)
    await fill(desk, 5)
    await fill(desk, 5_000, DEAD)
    few = looks.time(START)
    await fill(desk, 20_000, DEAD)
    await fill(desk, 15)
    assert looks.page(None) * STEPS < 40_000  # 25,000 messages lie between, and each would be ten steps
    assert looks.page(None, newest_first=True) * STEPS < 40_000
    assert looks.time(START + 9) < 2 * few  # by bisection
    looks.close()
