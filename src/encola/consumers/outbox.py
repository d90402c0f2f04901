"""The outbox: what is sent belongs to the producer's transaction.

    with connection:                                            # the producer's own transaction
        connection.execute("INSERT INTO customer_order ...")
        app.outbox(connection).send(confirm, order_id)          # a row, no message yet

A relay (``encola relay``, or ``app.relay(connect)``) sends what was committed, and removes it when the queue has it. If
it dies in between, the message is sent again with the same job id: one job. One relay works at a time and in the order
of the rows; others stand by.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from encola.consumers.connection import Connection
from encola.consumers.dbapi import execute, paramstyle, refuse_async, refuse_autocommit
from encola.consumers.job import Job
from encola.consumers.options import SendOptions
from encola.consumers.task import Task
from encola.consumers.transport import Outgoing, TransportError

if TYPE_CHECKING:
    from encola.consumers.app import App

Result = TypeVar("Result")

TABLE = "encola_outbox"
LEADER = "encola_outbox_leader"
BATCH_MAX = 100
LEASE_SECONDS = 30.0
"""A relay that is not heard of for so long is taken for dead; another takes over."""

LOOK_SECONDS = 0.2
"""Between two looks at an empty table."""

PAUSE_SECONDS_MAX = 5.0

_log = logging.getLogger("encola.relay")


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
        refuse_async(self._connection)
        refuse_autocommit(self._connection)
        prepared = task.prepare(args, kwargs, options)
        message = prepared.message
        due_at = int((time.time() + message.delay) * 1000) if message.delay else 0
        execute(
            self._connection,
            f"INSERT INTO {TABLE} (queue, message, due_at) VALUES ({{}}, {{}}, {{}})",  # noqa: S608 - a name of ours
            (prepared.queue, msgspec.json.encode(message).decode(), due_at),
        )
        return Job(self._app, prepared.job, tracked=task.settings.track)


class Relay:
    """Sends what outboxes hold. ``connect`` opens a DB-API connection that does not commit by itself."""

    def __init__(self, connect: Callable[[], Any], connection: Connection) -> None:
        self._connect = connect
        self._queues = connection
        self._owner = uuid.uuid4().hex
        self._stopping = asyncio.Event()
        self.sent = 0

    def stop(self) -> None:
        """``run`` returns when what is under way is done."""
        self._stopping.set()

    async def run(self) -> None:
        """Relays until it is stopped. What goes wrong is logged and tried again."""
        pause = LOOK_SECONDS
        while not self._stopping.is_set():
            try:
                count = await self.step()
                pause = LOOK_SECONDS
            except Exception as error:  # the database's drivers have each their own errors
                _log.warning("the outbox could not be relayed, trying again: %s: %s", type(error).__name__, error)
                count, pause = 0, min(PAUSE_SECONDS_MAX, pause * 2)
            if count < BATCH_MAX:
                try:
                    await asyncio.wait_for(self._stopping.wait(), pause)
                except TimeoutError:
                    continue

    async def step(self) -> int:
        """Sends up to ``BATCH_MAX`` messages, if this relay is the one that works. Answers how many.

        Raises TransportError, and what the database's driver raises.
        """
        rows = await asyncio.to_thread(self._take)
        if not rows:
            return 0
        done: list[int] = []
        try:
            for start in range(0, len(rows), BATCH_MAX):
                done += await self._send(rows[start : start + BATCH_MAX])
        finally:
            if done:
                await asyncio.to_thread(self._remove, done)
                self.sent += len(done)
        return len(rows)

    async def _send(self, rows: Sequence[tuple[int, str, str, int]]) -> list[int]:
        """In the order of the rows, queue by queue; behind one that failed, none of its queue is sent."""
        done: list[int] = []
        failed: dict[str, TransportError] = {}
        by_queue: dict[str, list[tuple[int, Outgoing]]] = {}
        for number, queue, text, due_at in rows:
            message = msgspec.json.decode(text, type=Outgoing)
            delay = max(0.0, due_at / 1000 - time.time()) if due_at else 0.0
            by_queue.setdefault(queue, []).append((number, msgspec.structs.replace(message, delay=delay)))
        for queue, messages in by_queue.items():
            try:
                answers = await self._queues.transport.send(queue, [message for _, message in messages])
            except TransportError as error:
                failed[queue] = error
                continue
            for (number, _), answer in zip(messages, answers, strict=True):
                if isinstance(answer, TransportError):
                    failed[queue] = answer
                    break
                done.append(number)
        for queue, why in failed.items():
            _log.warning("messages for %s stay in the outbox, trying again: %s", queue, why)
        return done

    # In a thread: DB-API connections wait ---------------------------------------------------------------

    def _take(self) -> list[tuple[int, str, str, int]]:
        """The oldest rows, if the lead is ours (or free, or its holder is dead)."""
        now = int(time.time() * 1000)
        connection = self._connect()
        try:
            execute(
                connection,
                f"INSERT INTO {LEADER} (id, owner, until_at) VALUES (1, {{}}, 0) ON CONFLICT DO NOTHING",  # noqa: S608
                (self._owner,),
            )
            led, _ = execute(
                connection,
                f"UPDATE {LEADER} SET owner = {{}}, until_at = {{}} WHERE id = 1"  # noqa: S608 - a name of ours
                " AND (owner = {} OR until_at < {})",
                (self._owner, now + int(LEASE_SECONDS * 1000), self._owner, now),
            )
            connection.commit()
            if led != 1:
                return []
            columns = "id, queue, message, due_at"
            _, rows = execute(connection, f"SELECT {columns} FROM {TABLE} ORDER BY id LIMIT {BATCH_MAX}")  # noqa: S608
            connection.commit()
            return [(row[0], row[1], row[2], row[3]) for row in rows]
        finally:
            connection.close()

    def _remove(self, numbers: Sequence[int]) -> None:
        connection = self._connect()
        try:
            marks = ", ".join("{}" for _ in numbers)
            execute(connection, f"DELETE FROM {TABLE} WHERE id IN ({marks})", numbers)  # noqa: S608 - a name of ours
            connection.commit()
        finally:
            connection.close()
