"""Effects once: a row that says "done", in the same transaction as the effect.

    with connection:                                    # the user's own transaction
        with app.once(connection, f"invoice/{number}"):
            connection.execute("INSERT INTO invoice ...")

The row (an *inbox* row) and the effect are committed together or not at all. A second attempt finds the row and raises
AlreadyDone before it does anything; two at the same time meet on the row's primary key, where the second waits for the
first. Nothing is committed or rolled back here: the transaction is the user's.

Any DB-API 2.0 connection will do (sqlite3, psycopg, psycopg2, ...), SQLAlchemy's Connection and Session, and with
``async with`` psycopg's AsyncConnection, asyncpg and aiosqlite.
"""

import time
from types import TracebackType
from typing import Any

from encola.consumers.dbapi import NO_TRANSACTION, execute, is_sqlalchemy, paramstyle, refuse_autocommit, with_marks
from encola.consumers.errors import AlreadyDone, ConfigurationError

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
        if not is_sqlalchemy(self._connection):
            refuse_autocommit(self._connection)
        count, _ = execute(self._connection, _INSERT, self._values)
        self._judge(count)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing: commit or rollback is the user's."""

    async def __aenter__(self) -> None:
        connection = self._connection
        if hasattr(connection, "fetchrow"):  # asyncpg
            if not connection.is_in_transaction():
                raise ConfigurationError(NO_TRANSACTION)
            status: str = await connection.execute(with_marks(_INSERT, "asyncpg", 3), *self._values)
            self._judge(int(status.rpartition(" ")[2]))
            return
        refuse_autocommit(connection)
        cursor = await connection.execute(with_marks(_INSERT, paramstyle(connection), 3), self._values)
        self._judge(cursor.rowcount)
        await cursor.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As ``__exit__``."""

    def _judge(self, count: int) -> None:
        if count != 1:
            raise AlreadyDone(f"{self._values[1]} was done before")


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
