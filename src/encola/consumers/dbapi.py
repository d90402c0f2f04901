"""Speaking to somebody else's database connection: which driver, which parameter marks, is there a transaction.

Any DB-API 2.0 connection (PEP 249) will do, and SQLAlchemy's Connection and Session.
"""

import inspect
import sys
from collections.abc import Sequence
from typing import Any

from encola.consumers.errors import ConfigurationError

NO_TRANSACTION = "the connection commits each statement by itself: begin a transaction, or the promise would be empty"

_MARKS = {"qmark": "?", "format": "%s", "pyformat": "%s", "numeric": ":{}", "asyncpg": "${}", "named": ":p{}"}


def with_marks(statement: str, style: str, count: int) -> str:
    """A statement with ``{}`` for each parameter, in a driver's style."""
    mark = _MARKS[style]
    return statement.format(*(mark.format(number) for number in range(1, count + 1)))


def execute(connection: Any, statement: str, values: Sequence[Any] = ()) -> tuple[int, list[Any]]:
    """Runs a statement with ``{}`` for each value; answers how many rows it touched, and the rows that it gave."""
    if is_sqlalchemy(connection):
        from sqlalchemy import text

        named = {f"p{number}": value for number, value in enumerate(values, start=1)}
        result = connection.execute(text(with_marks(statement, "named", len(values))), named)
        return result.rowcount, [tuple(row) for row in result] if result.returns_rows else []
    cursor = connection.cursor()
    try:
        cursor.execute(with_marks(statement, paramstyle(connection), len(values)), tuple(values))
        rows = cursor.fetchall() if cursor.description else []
        return cursor.rowcount, rows
    finally:
        cursor.close()


def paramstyle(connection: Any) -> str:
    """How the connection's driver marks parameters, from the module that its class comes from.

    Raises ConfigurationError.
    """
    module = inspect.getmodule(type(connection))
    name = (module.__name__ if module else type(connection).__module__).partition(".")[0]
    style = "qmark" if name in ("sqlite3", "aiosqlite") else getattr(sys.modules.get(name), "paramstyle", None)
    if style not in _MARKS:
        raise ConfigurationError(f"connections of {name} are not known here: it has no paramstyle of PEP 249")
    return str(style)


def refuse_autocommit(connection: Any) -> None:
    """Raises ConfigurationError where there would be no transaction around what is done together."""
    if getattr(connection, "autocommit", None) is True:
        raise ConfigurationError(NO_TRANSACTION)
    if getattr(connection, "isolation_level", "") is None and not getattr(connection, "in_transaction", True):
        raise ConfigurationError(NO_TRANSACTION)  # sqlite3 with isolation_level=None, outside of BEGIN


def is_sqlalchemy(connection: Any) -> bool:
    return type(connection).__module__.startswith("sqlalchemy.")
