"""A store of records in PostgreSQL (14 or later), by its own clock. Needs the extra ``encola[postgres]``.

A call is one transaction. It first takes an advisory lock for each key, in one order for everybody, so that two calls
cannot deadlock and a key that has no row yet is locked, too; then it loads, asks the rule, and saves.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from encola.consumers.jobstore import JobQuery, JobStoreError
from encola.consumers.stores import sql
from encola.engine.message import Instant
from encola.engine.record_rules import decide
from encola.engine.records import COMMANDS_MAX, Command, Job, Record, Reply, unpack

Result = TypeVar("Result")

CONNECTIONS = 2
TRIES = 4
PAUSE_SECONDS = 0.1
"""Before a call is repeated after a lost connection, a deadlock or a serialization failure; doubled each time."""

CONNECT_SECONDS_MAX = 10
STATEMENT_SECONDS_MAX = 30

_SQL = sql.statements("%s")
_LOCK = """SELECT pg_advisory_xact_lock(h), (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM
    (SELECT DISTINCT hashtextextended(k, 7) AS h FROM unnest(%s::text[]) AS k ORDER BY h) AS keys"""
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_LOAD = f"SELECT key, doc FROM {sql.TABLE} WHERE key = ANY(%s)"  # noqa: S608 - a name of ours
_MIGRATION_LOCK = 0x656E636F6C61
"""Two processes that start together must not both make the table."""


class PostgresJobStore:
    """See the module. ``conninfo`` is a libpq connection string or URL."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._free: asyncio.Queue[Any] = asyncio.Queue()
        self._open = False
        self._swept_at = 0.0

    async def open(self) -> None:
        if self._open:
            return
        for _ in range(CONNECTIONS):
            self._free.put_nowait(None)  # a place for a connection, made when it is needed
        self._open = True
        try:
            await self._with(self._prepare)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        if self._open:
            self._open = False
            for _ in range(CONNECTIONS):
                connection = await self._free.get()
                if connection is not None:
                    await connection.close()

    async def apply(self, commands: Sequence[Command]) -> Sequence[Reply]:
        if len(commands) > COMMANDS_MAX:
            raise ValueError(f"at most {COMMANDS_MAX} commands at once")
        if not commands:
            return []
        return await self._with(lambda connection: self._apply(connection, commands))

    async def get(self, keys: Sequence[str]) -> Sequence[Job | None]:
        async def look(connection: Any) -> list[Job | None]:
            now = await _now(connection)
            rows = await (await connection.execute(_LOAD, (list(keys),))).fetchall()
            docs = dict(rows)
            return [sql.job_of(docs.get(key), now) for key in keys]

        return await self._with(look)

    async def find(self, query: JobQuery) -> Sequence[Job]:
        async def look(connection: Any) -> list[Job]:
            now = await _now(connection)
            text, values = sql.search(query, now, "%s")
            rows = await (await connection.execute(text, values)).fetchall()
            return [job for (doc,) in rows if (job := sql.job_of(doc, now)) is not None]

        return await self._with(look)

    # Within a transaction -----------------------------------------------------------------------------

    async def _prepare(self, connection: Any) -> None:
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        for statement in sql.ddl("BYTEA", 'TEXT COLLATE "C"'):
            await connection.execute(statement)

    async def _apply(self, connection: Any, commands: Sequence[Command]) -> list[Reply]:
        keys = list({command.key for command in commands})
        locked = await (await connection.execute(_LOCK, (keys,))).fetchall()
        now: Instant = max(row[1] for row in locked)  # when the last lock was ours: nobody acts before that
        rows = await (await connection.execute(_LOAD, (keys,))).fetchall()
        before: dict[str, Record] = {key: unpack(bytes(doc)) for key, doc in rows}
        after: dict[str, Record | None] = dict(before)
        replies = []
        for command in commands:
            after[command.key], reply = decide(after.get(command.key), command, now)
            replies.append(reply)
        changed = {key: record for key, record in after.items() if record is not before.get(key)}
        saved = [sql.row_of(record, now) for record in changed.values() if record is not None]
        removed = [(key,) for key, record in changed.items() if record is None]
        async with connection.cursor() as cursor:
            if saved:
                await cursor.executemany(_SQL["save"], saved)
            if removed:
                await cursor.executemany(_SQL["remove"], removed)
        await self._sweep(connection, now)
        return replies

    async def _sweep(self, connection: Any, now: Instant) -> None:
        moment = asyncio.get_running_loop().time()
        if moment - self._swept_at > sql.SWEEP_SECONDS:
            self._swept_at = moment
            await connection.execute(
                f"DELETE FROM {sql.TABLE} WHERE key IN (SELECT key FROM {sql.TABLE} WHERE expires_at <= %s"  # noqa: S608
                f" LIMIT {sql.SWEPT_MAX} FOR UPDATE SKIP LOCKED)",
                (now,),
            )

    # Connections --------------------------------------------------------------------------------------

    async def _with(self, work: Callable[[Any], Awaitable[Result]]) -> Result:
        """Runs ``work`` in a transaction, again after what passes. Raises JobStoreError."""
        import psycopg

        pause = PAUSE_SECONDS
        for attempt in range(1, TRIES + 1):
            if not self._open:
                raise JobStoreError("the store of records is not open")
            connection = await self._free.get()
            try:
                if connection is None or connection.closed:
                    connection = await self._connect()
                async with connection.transaction():
                    return await work(connection)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:  # deadlocks are among them
                if connection is not None and connection.broken:
                    connection = None
                if attempt == TRIES:
                    raise JobStoreError(f"the store of records in PostgreSQL: {error}") from error
            except psycopg.Error as error:
                raise JobStoreError(f"the store of records in PostgreSQL: {error}") from error
            except BaseException:  # cancelled in the middle: what the connection is at is not known
                if connection is not None:
                    await connection.close()
                    connection = None
                raise
            finally:
                self._free.put_nowait(connection)
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - to spread, not to be secret
            pause *= 2
        raise AssertionError("unreachable")

    async def _connect(self) -> Any:
        import psycopg

        return await psycopg.AsyncConnection.connect(
            self._conninfo,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS_MAX,
            options=f"-c statement_timeout={STATEMENT_SECONDS_MAX}s",
        )


async def _now(connection: Any) -> Instant:
    row = await (await connection.execute(_NOW)).fetchone()
    now: Instant = row[0]
    return now
