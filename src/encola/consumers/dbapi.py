"""Speaking to somebody else's database connection: which driver, which parameter marks, is there a transaction.

Any DB-API 2.0 connection (PEP 249) to SQLite or PostgreSQL will do, and SQLAlchemy's Connection and Session; of those
that are to be awaited psycopg's AsyncConnection, asyncpg, aiosqlite, and SQLAlchemy's AsyncConnection and AsyncSession.
"""

import inspect
import sys
from collections.abc import Sequence
from typing import Any

from encola.consumers.errors import ConfigurationError

NO_TRANSACTION = "the connection commits each statement by itself: begin a transaction, or the promise would be empty"

_MARKS = {"qmark": "?", "format": "%s", "pyformat": "%s", "numeric": ":{}", "asyncpg": "${}", "named": ":p{}"}
_ASYNCPG = "fetchrow"
"""What only connections of asyncpg have, which is no DB-API."""


def with_marks(statement: str, style: str, count: int) -> str:
    """A statement with ``{}`` for each parameter, in a driver's style."""
    mark = _MARKS[style]
    return statement.format(*(mark.format(number) for number in range(1, count + 1)))


def execute(connection: Any, statement: str, values: Sequence[Any] = ()) -> tuple[int, list[Any]]:
    """Runs a statement with ``{}`` for each value; answers how many rows it touched, and the rows that it gave.

    Raises ConfigurationError, and what the driver raises.
    """
    refuse_async(connection)
    if is_sqlalchemy(connection):
        from sqlalchemy import text

        named = {f"p{number}": value for number, value in enumerate(values, start=1)}
        result = connection.execute(text(with_marks(statement, "named", len(values))), named)
        return result.rowcount, [tuple(row) for row in result] if result.returns_rows else []
    marked = with_marks(statement, paramstyle(connection), len(values))
    cursor = connection.cursor()
    try:
        cursor.execute(marked, tuple(values))
        rows = cursor.fetchall() if cursor.description else []
        return cursor.rowcount, rows
    finally:
        cursor.close()


async def insert(connection: Any, statement: str, values: Sequence[Any]) -> int:
    """As ``execute``, for a driver's connections that are awaited; of an INSERT. Answers how many rows it made."""
    if not is_async(connection):
        raise ConfigurationError("the connection is not an asynchronous one: use the form that is not awaited")
    if hasattr(connection, _ASYNCPG):
        status: str = await connection.execute(with_marks(statement, "asyncpg", len(values)), *values)
        return int(status.rpartition(" ")[2])
    cursor = await connection.execute(with_marks(statement, paramstyle(connection), len(values)), tuple(values))
    try:
        return int(cursor.rowcount)
    finally:
        await cursor.close()


def paramstyle(connection: Any) -> str:
    """How the connection's driver marks parameters, from the module that its class, or a base of it, comes from.

    Raises ConfigurationError.
    """
    kinds = type(_drivers_own(connection)).__mro__
    for kind in kinds:
        name = kind.__module__.partition(".")[0]
        style = "qmark" if name in ("sqlite3", "aiosqlite") else getattr(sys.modules.get(name), "paramstyle", None)
        if style in _MARKS:
            return str(style)
    raise ConfigurationError(
        f"connections of {kinds[0].__module__} are not known here: it has no paramstyle of PEP 249"
    )


def refuse_autocommit(connection: Any) -> None:
    """Raises ConfigurationError where there would be no transaction around what is done together.

    A connection that commits by itself is fine after a BEGIN.
    """
    own = _drivers_own(connection)
    if hasattr(own, _ASYNCPG):
        begun = bool(own.is_in_transaction())
        if not begun and not is_sqlalchemy(connection):  # whose BEGIN comes with the first statement
            raise ConfigurationError(NO_TRANSACTION)
        return
    by_itself = getattr(own, "autocommit", None) is True
    if hasattr(own, "in_transaction"):  # sqlite3, aiosqlite
        by_itself = by_itself or (own.isolation_level is None and getattr(own, "autocommit", None) is not False)
        begun = own.in_transaction
    else:  # psycopg, psycopg2: 0 is idle
        begun = getattr(getattr(own, "info", None), "transaction_status", 0) != 0
    if by_itself and not begun:
        raise ConfigurationError(NO_TRANSACTION)


def is_sqlalchemy(connection: Any) -> bool:
    """Is it one that takes SQLAlchemy's statements? (What a pool of SQLAlchemy hands out raw takes the driver's.)"""
    return any(
        kind.__module__.startswith(("sqlalchemy.engine", "sqlalchemy.orm", "sqlalchemy.ext.asyncio"))
        for kind in type(connection).__mro__
    )


def refuse_async(connection: Any) -> None:
    """Raises ConfigurationError: a statement that nobody awaits is none."""
    if is_async(connection):
        raise ConfigurationError("the connection is an asynchronous one: use the form that is awaited")


def is_async(connection: Any) -> bool:
    return hasattr(connection, _ASYNCPG) or inspect.iscoroutinefunction(getattr(connection, "commit", None))


def _drivers_own(connection: Any) -> Any:
    """The driver's connection within SQLAlchemy's."""
    if is_sqlalchemy(connection):
        if callable(connection.connection):  # a Session
            connection = connection.connection()
        connection = connection.connection
    return getattr(connection, "driver_connection", connection)
