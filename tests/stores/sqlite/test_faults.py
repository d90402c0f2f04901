"""A disk that is full, read-only or broken under the store: what is refused, that nothing is lost, what comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from encola.engine.store import StoreFailedError, StoreFullError
from encola.stores.sqlite import SqliteStore, checkpoint, commit
from encola.stores.sqlite.check import check
from tests.conformance.desk import Desk

FULL, READ_ONLY, FSYNC = apsw.SQLITE_FULL, apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_FSYNC
"""What SQLite makes of ENOSPC, of EROFS, and of a failing fsync."""


class Disk(apsw.VFS):
    """The machine's own, until ``write_error`` or ``sync_error`` is set; ``only`` limits it to files that end so."""

    name = "faulty"

    def __init__(self) -> None:
        self.write_error: int | None = None
        self.sync_error: int | None = None
        self.only = ""
        self.base = apsw.vfs_names()[0]
        super().__init__(self.name, self.base)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        return File(self, path, name, flags)


class File(apsw.VFSFile):
    def __init__(self, disk: Disk, path: str, name: Any, flags: list[int]) -> None:
        self._disk, self._path = disk, path
        super().__init__(disk.base, name, flags)

    def _fail(self, error: int | None) -> None:
        if error is not None and self._path.endswith(self._disk.only):
            raise apsw.exception_for(error)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._fail(self._disk.write_error)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._fail(self._disk.sync_error)
        super().xSync(flags)


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.unregister()


@pytest.fixture
def told() -> list[object]:
    """What the store told its owner: True (full), False (room again), or the error for good."""
    return []


@pytest.fixture
async def desk(directory: Path, disk: Disk, told: list[object], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(commit, "FULL_SECONDS", 0.0)
    desk = Desk(lambda: SqliteStore(directory, on_failure=told.append, on_full=told.append, vfs=Disk.name))
    await desk.store.open()
    await desk.declare()
    yield desk
    disk.write_error = disk.sync_error = None
    await desk.store.close()


@pytest.mark.parametrize("error", [FULL, READ_ONLY])
async def test_a_disk_that_takes_nothing_refuses_and_takes_again(
    desk: Desk, disk: Disk, told: list[object], directory: Path, error: int
) -> None:
    # Given messages, one of them leased
    await desk.put_all("1", "2")
    (held,) = await desk.claim(1)
    # When the disk takes no more, then nothing is stored, leased or deleted, and reading goes on
    disk.write_error = error
    for number in range(3):
        with pytest.raises(StoreFullError):
            await desk.put(f"refused {number}")
        with pytest.raises(StoreFullError):
            await desk.claim(1)
        with pytest.raises(StoreFullError):
            await desk.delete(held)
    assert await desk.bodies() == ["1", "2"]
    assert told == [True]
    # When there is room again, then all goes on as if nothing had been
    disk.write_error = None
    await desk.put("3")
    assert told == [True, False]
    await desk.delete(held)
    assert await desk.bodies() == ["2", "3"]
    await desk.reopen()
    assert await desk.bodies() == ["2", "3"]
    assert check(directory) == []


async def test_a_message_that_fits_no_more_does_not_take_others_with_it_for_good(desk: Desk, disk: Disk) -> None:
    await desk.put("before")
    disk.write_error = FULL
    with pytest.raises(StoreFullError):
        await desk.put("refused")
    disk.write_error = None
    stored = await desk.put("after")
    assert await desk.bodies() == ["before", "after"]
    (delivery, _) = await desk.claim(2)
    assert delivery.id < stored.message


async def test_after_a_failed_fsync_nothing_is_acknowledged_any_more(
    desk: Desk, disk: Disk, told: list[object], directory: Path
) -> None:
    await desk.put("acknowledged")
    disk.sync_error = FSYNC
    with pytest.raises(StoreFailedError):
        await desk.put("unsure")
    disk.sync_error = None  # the kernel reports a failure once; what it dropped stays dropped
    for _ in range(3):
        with pytest.raises(StoreFailedError):
            await desk.put("refused")
        with pytest.raises(StoreFailedError):
            await desk.claim(1)
    assert len(told) == 1
    assert isinstance(told[0], StoreFailedError)
    await desk.reopen()
    assert [body for body in await desk.bodies() if body != "unsure"] == ["acknowledged"]
    assert check(directory) == []


async def until(condition: Any, desk: Desk) -> None:
    """Puts until it holds: checkpoints follow commits."""
    for number in range(200):
        if condition():
            return
        await desk.put(f"{number}" + "x" * 4000)
    raise AssertionError("it never came")


async def test_a_checkpoint_that_finds_no_room_is_put_off(
    desk: Desk, disk: Disk, directory: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LOG_PAGES", 20)
    monkeypatch.setattr(checkpoint, "RETRY_PAGES", 5)
    await desk.reopen()
    disk.only, disk.write_error = "encola.db", FULL
    await until(lambda: "checkpoint put off" in caplog.text, desk)
    disk.write_error = None
    kept = await desk.bodies()
    log = directory / "encola.db-wal"
    size = log.stat().st_size
    for number in range(100):  # it is copied at last, so the log does not grow with what comes
        await desk.put(f"later {number}" + "x" * 4000)
    assert log.stat().st_size < size + 60 * 8192
    await desk.reopen()
    assert (await desk.bodies())[: len(kept)] == kept


async def test_a_checkpoint_whose_fsync_fails_ends_it(
    desk: Desk, disk: Disk, told: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LOG_PAGES", 20)
    await desk.reopen()
    await desk.put("acknowledged")
    disk.only, disk.sync_error = "encola.db", FSYNC
    with pytest.raises(StoreFailedError):
        await until(lambda: False, desk)
    await asyncio.sleep(0)  # its owner is told right after
    assert len(told) == 1
    disk.sync_error = None
    await desk.reopen()
    assert (await desk.bodies())[0] == "acknowledged"
