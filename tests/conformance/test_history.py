"""What a history keeps, and what it forgets: one suite for all of them."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from encola.engine.history import HOURS, MINUTES, RESOLUTIONS, SECONDS, SERVER, History
from encola.engine.queue import HOUR, MINUTE, SECOND
from encola.stores.history_memory import MemoryHistory
from encola.stores.sqlite.history import SqliteHistory

START = 1_700_000_000_000 - 1_700_000_000_000 % HOUR


def _memory(directory: Path) -> Callable[[], History]:
    history = MemoryHistory()
    return lambda: history


def _sqlite(directory: Path) -> Callable[[], History]:
    return lambda: SqliteHistory(directory)


@pytest.fixture(params=[_memory, _sqlite])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], History]:
    made: Callable[[], History] = request.param(tmp_path / "data")
    return made


@pytest.fixture
async def history(make: Callable[[], History]) -> AsyncIterator[History]:
    history = make()
    await history.open()
    yield history
    await history.close()


async def test_an_empty_history_answers_nothing(history: History) -> None:
    assert dict(await history.read(SECONDS, [SERVER, 7], 0, START)) == {}
    await history.forget([7])


async def test_documents_are_read_by_series_in_the_order_of_time(history: History) -> None:
    for number in range(5):
        documents = {SERVER: b"s%d" % number, 7: b"q%d" % number} if number % 2 else {SERVER: b"s%d" % number}
        await history.append(SECONDS, START + number * SECOND, documents)
    found = await history.read(SECONDS, [7, SERVER, 99], START + SECOND, START + 4 * SECOND)
    assert {series: list(documents) for series, documents in found.items()} == {
        SERVER: [(START + number * SECOND, b"s%d" % number) for number in (1, 2, 3)],
        7: [(START + number * SECOND, b"q%d" % number) for number in (1, 3)],
    }


async def test_the_bounds_need_not_be_those_of_an_interval(history: History) -> None:
    for number in range(3):
        await history.append(MINUTES, START + number * MINUTE, {7: b"%d" % number})
    found = await history.read(MINUTES, [7], START + 1, START + 2 * MINUTE + 1)
    assert [at for at, _ in found[7]] == [START + MINUTE, START + 2 * MINUTE]
    assert dict(await history.read(MINUTES, [7], START + 1, START + MINUTE)) == {}
    assert [at for at, _ in (await history.read(MINUTES, [7], 0, 2**60))[7]] == [START + n * MINUTE for n in range(3)]


async def test_what_was_kept_of_an_interval_is_replaced(history: History) -> None:
    await history.append(HOURS, START, {1: b"half", 2: b"half"})
    await history.append(HOURS, START, {1: b"whole"})
    found = await history.read(HOURS, [1, 2], START, START + 1)
    assert dict(found[1]) == {START: b"whole"}
    assert dict(found[2]) == {START: b"half"}


async def test_resolutions_do_not_mix(history: History) -> None:
    for resolution in RESOLUTIONS:
        await history.append(resolution, START, {1: resolution.name.encode()})
    for resolution in RESOLUTIONS:
        found = await history.read(resolution, [1], START, START + 1)
        assert list(found[1]) == [(START, resolution.name.encode())]


@pytest.mark.parametrize("resolution", RESOLUTIONS, ids=lambda one: one.name)
async def test_a_ring_forgets_what_is_too_old(history: History, resolution: object) -> None:
    assert resolution in RESOLUTIONS
    for at in range(START, START + 2 * resolution.kept, resolution.length * 15):  # type: ignore[attr-defined]
        await history.append(resolution, at, {1: b"x"})  # type: ignore[arg-type]
    found = await history.read(resolution, [1], 0, 2**60)  # type: ignore[arg-type]
    first, last = found[1][0][0], found[1][-1][0]
    kept = resolution.kept  # type: ignore[attr-defined]
    assert last - first >= kept - 15 * resolution.length  # type: ignore[attr-defined]
    assert last - first <= kept + kept // 15 + 15 * resolution.length  # type: ignore[attr-defined]


async def test_a_series_that_is_forgotten_leaves_the_others_alone(history: History) -> None:
    for resolution in RESOLUTIONS:
        await history.append(resolution, START, {SERVER: b"s", 1: b"1", 2: b"2", 3: b"3"})
    await history.forget([1, 3, 99])
    for resolution in RESOLUTIONS:
        assert sorted(await history.read(resolution, [SERVER, 1, 2, 3], START, START + 1)) == [SERVER, 2]


async def test_what_was_kept_is_there_after_a_restart(make: Callable[[], History]) -> None:
    history = make()
    await history.open()
    await history.append(SECONDS, START, {1: b"x"})
    await history.close()
    history = make()
    await history.open()
    assert list((await history.read(SECONDS, [1], START, START + 1))[1]) == [(START, b"x")]
    await history.close()
