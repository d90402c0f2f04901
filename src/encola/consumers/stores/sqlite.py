"""A store of records in a SQLite file, which several processes of one machine share. fsynced before each answer."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from encola.consumers.jobstore import JobQuery, JobStoreError
from encola.consumers.stores import sql
from encola.engine.message import Instant
from encola.engine.record_rules import decide
from encola.engine.records import COMMANDS_MAX, Command, Job, Reply, unpack

Result = TypeVar("Result")

BUSY_SECONDS_MAX = 30.0
"""How long a process waits for another one's transaction."""

BUSY_LOOK_SECONDS = 0.01

_SQL = sql.statements("?")
_LOAD = f"SELECT doc FROM {sql.TABLE} WHERE key = ?"  # noqa: S608 - a name of ours


class SqliteJobStore:
    """See the module. ``now`` answers milliseconds since 1970."""

    def __init__(self, path: str | Path, now: Callable[[], Instant] = lambda: int(time.time() * 1000)) -> None:
        self._path = Path(path)
        self._now = now
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._swept_at = 0.0

    async def open(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="encola-records")
            try:
                await self._run(self._open)
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)

    async def apply(self, commands: Sequence[Command]) -> Sequence[Reply]:
        if len(commands) > COMMANDS_MAX:
            raise ValueError(f"at most {COMMANDS_MAX} commands at once")
        return await self._run(lambda: self._apply(commands))

    async def get(self, keys: Sequence[str]) -> Sequence[Job | None]:
        return await self._run(lambda: [sql.job_of(self._load(key), self._now()) for key in keys])

    async def find(self, query: JobQuery) -> Sequence[Job]:
        def look() -> list[Job]:
            now = self._now()
            rows = self._open_connection.execute(*sql.search(query, now, "?")).fetchall()
            return [job for (doc,) in rows if (job := sql.job_of(doc, now)) is not None]

        return await self._run(look)

    # In the thread ------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS_MAX, isolation_level=None, check_same_thread=False
        )
        _write_ahead(self._connection)
        self._connection.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            for statement in sql.ddl("BLOB", "TEXT"):
                self._open_connection.execute(statement)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @property
    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise JobStoreError("the store of records is not open")
        return self._connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._open_connection
        connection.execute("BEGIN IMMEDIATE")  # waits for another process here, not in the middle
        try:
            yield
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _load(self, key: str) -> bytes | None:
        row = self._open_connection.execute(_LOAD, (key,)).fetchone()
        return row[0] if row else None

    def _apply(self, commands: Sequence[Command]) -> list[Reply]:
        with self._transaction():
            now = self._now()
            self._sweep(now)
            return [self._amend(command, now) for command in commands]

    def _amend(self, command: Command, now: Instant) -> Reply:
        doc = self._load(command.key)
        record = unpack(doc) if doc is not None else None
        changed, reply = decide(record, command, now)
        if changed is None:
            if doc is not None:
                self._open_connection.execute(_SQL["remove"], (command.key,))
        elif changed is not record:
            self._open_connection.execute(_SQL["save"], sql.row_of(changed, now))
        return reply

    def _sweep(self, now: Instant) -> None:
        if time.monotonic() - self._swept_at > sql.SWEEP_SECONDS:
            self._swept_at = time.monotonic()
            self._open_connection.execute(_SQL["sweep"], (now,))

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._thread is None:
            raise JobStoreError("the store of records is not open")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise JobStoreError(f"the store of records in {self._path}: {error}") from error


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Has the file keep a log. Nobody is waited for by SQLite here, so those who open a new file together try again."""
    deadline = time.monotonic() + BUSY_SECONDS_MAX
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(BUSY_LOOK_SECONDS)
        else:
            return
