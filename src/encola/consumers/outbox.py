"""The outbox: what is sent belongs to the producer's transaction.

    with connection:                                            # the producer's own transaction
        connection.execute("INSERT INTO customer_order ...")
        app.outbox(connection).send(confirm, order_id)          # a row, no message yet

A relay (``encola outbox``, or ``app.relay(connect)``; see ``relay``) sends what was committed. The database is
PostgreSQL or SQLite, reached as ``app.once`` reaches it (see ``once``); of connections that are awaited, ``asend`` is
the form.
"""

import time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from encola.consumers.dbapi import execute, insert, is_async, is_sqlalchemy, paramstyle, refuse_async, refuse_autocommit
from encola.consumers.job import Job
from encola.consumers.options import SendOptions
from encola.consumers.task import Prepared, Task

if TYPE_CHECKING:
    from encola.consumers.app import App

Result = TypeVar("Result")

TABLE = "encola_outbox"
LEADER = "encola_outbox_leader"

_INSERT = f"INSERT INTO {TABLE} (queue, message, due_at) VALUES ({{}}, {{}}, {{}})"  # noqa: S608 - a name of ours


def ddl(connection: Any) -> tuple[str, str]:
    """The statements that make the tables, for migrations."""
    sqlite = paramstyle(connection) == "qmark"
    number = "INTEGER PRIMARY KEY AUTOINCREMENT" if sqlite else "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    return (
        f"CREATE TABLE IF NOT EXISTS {TABLE} (id {number}, queue VARCHAR(100) NOT NULL,"
        " message TEXT NOT NULL, due_at BIGINT NOT NULL)",
        f"CREATE TABLE IF NOT EXISTS {LEADER} (id INTEGER PRIMARY KEY, owner VARCHAR(64) NOT NULL,"
        " until_at BIGINT NOT NULL)",
    )


def create_tables(connection: Any) -> None:
    """Makes the tables if they are missing; call it once when the program starts, and commit."""
    for statement in ddl(connection):
        execute(connection, statement)


class Outbox:
    """Made by ``App.outbox``: sends within the transaction of ``connection``."""

    def __init__(self, app: "App", connection: Any) -> None:
        self._app = app
        self._connection = connection

    def send(self, task: Task[Any, Result], *args: Any, **kwargs: Any) -> Job[Result]:
        """As ``task.send``, once the transaction is committed. Raises BadPayloadError, ConfigurationError."""
        return self.send_with(SendOptions(), task, *args, **kwargs)

    def send_with(self, options: SendOptions, task: Task[Any, Result], *args: Any, **kwargs: Any) -> Job[Result]:
        """As ``send``, with options; a delay counts from now."""
        prepared = task.prepare(args, kwargs, options)
        _keep(self._connection, _row(prepared))
        return Job(self._app, prepared.job, tracked=task.settings.track)

    async def asend(self, task: Task[Any, Result], *args: Any, **kwargs: Any) -> Job[Result]:
        """As ``send``, for connections that are awaited."""
        return await self.asend_with(SendOptions(), task, *args, **kwargs)

    async def asend_with(self, options: SendOptions, task: Task[Any, Result], *args: Any, **kwargs: Any) -> Job[Result]:
        """As ``send_with``, for connections that are awaited."""
        prepared = task.prepare(args, kwargs, options)
        if is_async(self._connection) and is_sqlalchemy(self._connection):
            await self._connection.run_sync(_keep, _row(prepared))
        else:
            refuse_autocommit(self._connection)
            await insert(self._connection, _INSERT, _row(prepared))
        return Job(self._app, prepared.job, tracked=task.settings.track)


def _row(prepared: Prepared) -> tuple[str, str, int]:
    message = prepared.message
    due_at = int((time.time() + message.delay) * 1000) if message.delay else 0
    return prepared.queue, msgspec.json.encode(message).decode(), due_at


def _keep(connection: Any, row: tuple[str, str, int]) -> None:
    refuse_async(connection)
    refuse_autocommit(connection)
    execute(connection, _INSERT, row)
