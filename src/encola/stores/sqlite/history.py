"""The history in a file of its own, ``history.db``, beside that of the messages.

It is no part of the promise, so it must not cost the promise anything: nobody waits for its fsyncs, which come with
its checkpoints only, in its own thread (``synchronous = NORMAL``). A crash of the process loses nothing that was
appended, a power cut the last minutes. A file that is damaged or was made by something else is set aside with a
warning, and a new one begins.

The key begins with the time and not with the series: all that is appended at once lies in one place of the file, and
what leaves a ring does, too. A series is read by one lookup an interval.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from encola.engine.history import RESOLUTIONS, Documents, Resolution
from encola.engine.message import Instant
from encola.engine.store import StoreError
from encola.stores.sqlite.connection import BUSY_MILLISECONDS, Execute, make_directory, store_error

FILE_NAME = "history.db"
SET_ASIDE = "history.db.damaged"
APPLICATION = 0x656E636F  # "enco": whose file it is
VERSION = 1
PAGE_BYTES = 4096
BYTES_MAX = 512 * 1024 * 1024
"""The file grows no further: the older half of each ring goes when it would."""

PRUNINGS = 15
"""A ring is pruned when a new part of so many begins: seldom, and never much at once."""

TABLE = """
CREATE TABLE point (resolution INTEGER NOT NULL, at INTEGER NOT NULL, series INTEGER NOT NULL, doc BLOB NOT NULL,
    PRIMARY KEY (resolution, at, series)) WITHOUT ROWID;
"""
APPEND = "INSERT OR REPLACE INTO point VALUES (?, ?, ?, ?)"
PRUNE = "DELETE FROM point WHERE resolution = ? AND at < ?"
FIRST = "SELECT at FROM point WHERE resolution = ? ORDER BY at LIMIT 1"
LAST = "SELECT at FROM point WHERE resolution = ? ORDER BY at DESC LIMIT 1"
READ = (
    "SELECT p.series, p.at, p.doc FROM json_each(?) a CROSS JOIN json_each(?) s"
    " CROSS JOIN point p ON p.resolution = ? AND p.at = a.value AND p.series = s.value"
)
FORGET = (
    "DELETE FROM point WHERE resolution = ? AND at IN (SELECT value FROM json_each(?))"
    " AND series IN (SELECT value FROM json_each(?))"
)

Result = TypeVar("Result")

_log = logging.getLogger("encola.history")


class SqliteHistory:
    """See the module. ``directory`` is the data directory, held by the store."""

    def __init__(self, directory: Path, *, bytes_max: int = BYTES_MAX) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME
        self._pages_max = max(16, bytes_max // PAGE_BYTES)
        self._connection: apsw.Connection | None = None
        self._pruned: dict[int, int] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encola-history")

    async def open(self) -> None:
        await self._do(lambda: None)

    async def close(self) -> None:
        def close() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        await asyncio.get_running_loop().run_in_executor(self._thread, close)
        self._thread.shutdown()

    async def append(self, resolution: Resolution, at: Instant, documents: Mapping[int, bytes]) -> None:
        await self._do(self._append, resolution, at, documents)

    async def read(
        self, resolution: Resolution, series: Sequence[int], since: Instant, until: Instant
    ) -> Mapping[int, Documents]:
        return await self._do(self._read, resolution, series, since, until)

    async def forget(self, series: Sequence[int]) -> None:
        await self._do(self._forget, series)

    # In the thread ----------------------------------------------------------------------------------

    async def _do(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._attempt, work, arguments)

    def _attempt(self, work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
        """A damaged file is set aside, and the work begins anew with an empty one: once."""
        try:
            try:
                self._open()
                return work(*arguments)
            except (apsw.CorruptError, apsw.NotADBError, _ForeignError) as error:
                self._set_aside(error)
                self._open()
                return work(*arguments)
        except apsw.Error as error:
            self._close_broken()
            raise StoreError(str(store_error(error))) from error  # never the end of the server
        except OSError as error:
            raise StoreError(str(error)) from error

    def _open(self) -> None:
        if self._connection is not None:
            return
        make_directory(self._directory)
        connection = apsw.Connection(str(self._path))
        try:
            connection.set_busy_timeout(BUSY_MILLISECONDS)
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            if connection.pragma("application_id") != APPLICATION or connection.pragma("user_version") != VERSION:
                if connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema)").fetchone() != (0,):
                    raise _ForeignError("it was made by something else")
                with connection:
                    connection.execute(TABLE)
                    connection.execute(f"PRAGMA application_id = {APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA max_page_count = {self._pages_max}").fetchall()
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _set_aside(self, error: Exception) -> None:
        self._close_broken()
        for suffix in ("-wal", "-shm"):
            self._path.with_name(f"{FILE_NAME}{suffix}").unlink(missing_ok=True)
        self._path.replace(self._path.with_name(SET_ASIDE))
        _log.warning("%s cannot be used (%s): set aside as %s, the history begins anew", FILE_NAME, error, SET_ASIDE)

    def _close_broken(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(True)

    def _execute(self) -> Execute:
        assert self._connection is not None  # noqa: S101 - _attempt opens it
        return self._connection.execute

    def _append(self, resolution: Resolution, at: Instant, documents: Mapping[int, bytes]) -> None:
        try:
            self._write(resolution, at, documents)
        except apsw.FullError:
            if not self._halve():
                raise
            self._write(resolution, at, documents)

    def _write(self, resolution: Resolution, at: Instant, documents: Mapping[int, bytes]) -> None:
        connection, length = self._connection, resolution.length
        assert connection is not None  # noqa: S101 - _attempt opens it
        part = at // (resolution.kept // PRUNINGS)
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(APPEND, ((length, at, series, document) for series, document in documents.items()))
            if self._pruned.get(length) != part:
                connection.execute(PRUNE, (length, at - resolution.kept))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has ended it
                connection.execute("ROLLBACK")
            raise
        self._pruned[length] = part

    def _halve(self) -> bool:
        """Removes the older half of each ring; False if there was nothing to remove: the disk is full."""
        execute = self._execute()
        (pages,) = execute("PRAGMA page_count").fetchone()
        if pages < self._pages_max // 2:
            return False
        for (length,) in execute("SELECT DISTINCT resolution FROM point").fetchall():
            first, last = execute(FIRST, (length,)).fetchone()[0], execute(LAST, (length,)).fetchone()[0]
            execute(PRUNE, (length, (first + last) // 2 + 1))
        _log.warning("the history has reached its largest size: the older half of it was forgotten")
        return True

    def _instants(self, resolution: Resolution, since: Instant, until: Instant) -> str:
        """The intervals of a ring that may hold something, as JSON."""
        execute, length = self._execute(), resolution.length
        first, last = execute(FIRST, (length,)).fetchone(), execute(LAST, (length,)).fetchone()
        if first is None:
            return "[]"
        begin, end = max(since, first[0]), min(until, last[0] + 1)
        return msgspec.json.encode(list(range(begin + -begin % length, end, length))).decode()

    def _read(
        self, resolution: Resolution, series: Sequence[int], since: Instant, until: Instant
    ) -> Mapping[int, Documents]:
        instants = self._instants(resolution, since, until)
        wanted = msgspec.json.encode(list(series)).decode()
        found: dict[int, list[tuple[Instant, bytes]]] = {}
        for number, at, document in self._execute()(READ, (instants, wanted, resolution.length)):
            found.setdefault(number, []).append((at, document))
        return found

    def _forget(self, series: Sequence[int]) -> None:
        wanted = msgspec.json.encode(list(series)).decode()
        for resolution in RESOLUTIONS:
            instants = self._instants(resolution, 0, 2**62)
            self._execute()(FORGET, (resolution.length, instants, wanted))


class _ForeignError(Exception):
    """The file is none of ours."""
