"""Effects once: a row that says "done", in the same transaction as the effect.

    with connection:                                    # the user's own transaction
        with app.once(connection, f"invoice/{number}"):
            connection.execute("INSERT INTO invoice ...")

The row (an *inbox* row) and the effect are committed together or not at all. A second attempt finds the row and raises
AlreadyDone before it does anything; two at the same time meet on the row's primary key, where the second waits for the
first. Nothing is committed or rolled back here: the transaction is the user's.

Of several in one transaction, each AlreadyDone must be caught around its own part, or the rollback takes the others'
effects with it. A task that lets it through after it marked something else has failed, and is not completed.

The database is PostgreSQL or SQLite. Its connection is one of sqlite3, psycopg, psycopg2 or another DB-API 2.0 driver,
or SQLAlchemy's Connection or Session; with ``async with`` psycopg's AsyncConnection, one of asyncpg or aiosqlite, or
SQLAlchemy's AsyncConnection or AsyncSession.

On PostgreSQL under REPEATABLE READ or SERIALIZABLE the second of two does not learn that the first was faster: its
statement fails with the driver's serialization error, the task is tried again, and then it does.
"""

import time
from types import TracebackType
from typing import Any

from encola.consumers.context import CurrentJob, current
from encola.consumers.dbapi import execute, insert, is_async, is_sqlalchemy, refuse_async, refuse_autocommit
from encola.consumers.errors import AlreadyDone, ConfigurationError, UncertainEffectError

TABLE = "encola_inbox"
KEY_LENGTH_MAX = 1024
FORGOTTEN_MAX = 1000
"""Rows that one step of ``forget_older_than`` removes."""

DDL = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
    scope VARCHAR(100) NOT NULL, key VARCHAR({KEY_LENGTH_MAX}) NOT NULL, done_at BIGINT NOT NULL,
    PRIMARY KEY (scope, key))"""
"""The table, for migrations. ``done_at`` is in milliseconds since 1970."""

_INSERT = f"INSERT INTO {TABLE} (scope, key, done_at) VALUES ({{}}, {{}}, {{}}) ON CONFLICT DO NOTHING"  # noqa: S608


class Once:
    """``scope`` keeps the keys of applications that share a database apart."""

    def __init__(self, scope: str) -> None:
        self._scope = scope

    def __call__(self, connection: Any, key: str) -> "Mark":
        """For one effect. Raises ValueError for a key that is empty or too long."""
        if not key or len(key) > KEY_LENGTH_MAX:
            raise ValueError(f"a key has between 1 and {KEY_LENGTH_MAX} characters")
        return Mark(connection, self._scope, key)


class Mark:
    """``with`` (or ``async with``) around an effect. Raises AlreadyDone on entry if it was done before."""

    def __init__(self, connection: Any, scope: str, key: str) -> None:
        self._connection = connection
        self._values = (scope, key, int(time.time() * 1000))

    def __enter__(self) -> None:
        self._judge(_mark(self._connection, self._values))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing: commit or rollback is the user's."""

    async def __aenter__(self) -> None:
        connection = self._connection
        if is_async(connection) and is_sqlalchemy(connection):
            self._judge(await connection.run_sync(_mark, self._values))
            return
        refuse_autocommit(connection)
        self._judge(await insert(connection, _INSERT, self._values))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As ``__exit__``."""

    def _judge(self, count: int) -> None:
        if count == 0:
            raise AlreadyDone(f"{self._values[1]} was done before")
        if count != 1:  # to guess would be to lose an effect, or to double it
            raise ConfigurationError(f"the database's driver does not tell how many rows an INSERT made ({count})")
        if (job := current.get()) is not None:
            job.marks.append(self._values[1])


def refuse_loss(job: CurrentJob, error: AlreadyDone) -> None:
    """Raises UncertainEffectError where AlreadyDone, let through, may have rolled back what the attempt had marked.

    Nobody can ask every driver whether a transaction was committed. If it was, the next attempt meets them first.
    """
    if job.marks:
        raise UncertainEffectError(
            f"{error}, but this attempt had marked {job.marks[-1]} before, which may have been rolled back: use one"
            " app.once in a transaction, or catch AlreadyDone around its own part, within the transaction"
        ) from error


def _mark(connection: Any, values: tuple[str, str, int]) -> int:
    refuse_async(connection)
    refuse_autocommit(connection)
    return execute(connection, _INSERT, values)[0]


def create_table(connection: Any) -> None:
    """Makes the table if it is missing; call it once when the program starts, and commit."""
    execute(connection, DDL)


def forget_older_than(connection: Any, seconds: float) -> int:
    """Removes up to ``FORGOTTEN_MAX`` old rows; answers how many. Call it again while it answers so many, and commit.

    A key may be forgotten when its message cannot come any more: the queue's retention and the longest delay.
    """
    chosen = f"SELECT scope, key FROM {TABLE} WHERE done_at < {{}} LIMIT {{}}"  # noqa: S608 - no outside text
    before = int((time.time() - seconds) * 1000)
    count, _ = execute(
        connection,
        f"DELETE FROM {TABLE} WHERE (scope, key) IN ({chosen})",  # noqa: S608 - as above
        (before, FORGOTTEN_MAX),
    )
    return count
