"""Opening the database file, and what its errors mean for us."""

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from encola.engine.store import StoreError, StoreFailedError, StoreFullError

FILE_NAME = "encola.db"
PAGE_BYTES = 8192
WRITER_CACHE_KIB = 64 * 1024
READER_CACHE_KIB = 8 * 1024
BUSY_MILLISECONDS = 10_000
STATEMENTS_CACHED = 200

Execute = Callable[..., Any]
"""``Connection.execute``. Its rows have the types that the tables declare, which no type checker can see."""

_FINAL_ERRORS = {
    apsw.SQLITE_IOERR_FSYNC,
    apsw.SQLITE_IOERR_DIR_FSYNC,
    apsw.SQLITE_IOERR_CLOSE,
    apsw.SQLITE_IOERR_READ,
    apsw.SQLITE_IOERR_SHORT_READ,
    apsw.SQLITE_IOERR_DATA,
    apsw.SQLITE_IOERR_CORRUPTFS,
}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def open_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """The one connection that writes. Creates the file if it is not there."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = _open(path, flags, vfs, WRITER_CACHE_KIB)
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL")  # fsync of the log at each COMMIT: the promise
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # done by Checkpointer, which sees its errors
    return connection


def open_copier(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection for checkpoints, and only that."""
    connection = _open(path, apsw.SQLITE_OPEN_READWRITE, vfs, 0)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def open_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection that sees what is committed, and only that."""
    connection = _open(path, apsw.SQLITE_OPEN_READWRITE, vfs, READER_CACHE_KIB)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _open(path: Path, flags: int, vfs: str | None, cache_kib: int) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=STATEMENTS_CACHED)
    # With this build's statistics (STAT4) a range query is planned anew whenever a parameter is bound, which
    # makes it four times as dear; a stable plan is what we want anyway.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def make_directory(directory: Path) -> None:
    """Creates a data directory (for its owner only) so that it outlives a power cut."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    sync(directory.parent)


def sync(path: Path) -> None:
    """Waits until a file, or the entries of a directory, are on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def bytes_of(path: Path) -> int:
    """What a database takes on the disk, its log included."""
    total = 0
    for file in (path, path.with_name(f"{path.name}-wal")):
        with contextlib.suppress(OSError):
            total += file.stat().st_size
    return total


def open_error(directory: Path, error: apsw.Error | OSError) -> StoreError:
    """Why a data directory can't be opened, for people."""
    if isinstance(error, OSError):
        kind: type[StoreError] = StoreFullError if error.errno in _NO_ROOM else StoreError
        return kind(f"cannot use {directory} for data: {error.strerror or error}")
    mapped = store_error(error)
    return type(mapped)(f"cannot use {directory} for data: {mapped}")


def store_error(error: apsw.Error) -> StoreError:
    """What a database error means: no room (passes), a medium that can't be trusted (final), or a plain failure."""
    if isinstance(error, apsw.FullError | apsw.ReadOnlyError | apsw.CantOpenError):
        return StoreFullError(str(error))
    if isinstance(error, apsw.IOError):
        return (
            StoreFailedError(str(error))
            if getattr(error, "extendedresult", 0) in _FINAL_ERRORS
            else StoreFullError(str(error))
        )
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return StoreFailedError(str(error))
    return StoreError(str(error))
