"""The relay: sends what outboxes hold (see ``outbox``), and removes it when the queue has it.

If it dies in between, the message is sent again with the same job id: one job. One relay works at a time, and each
queue gets its messages in the order of the rows; other relays stand by. A queue that takes nothing rests for a while,
and the others go on. A row that cannot be read is told of once and set aside for a human: its ``due_at`` becomes less
than 0 (``-1 - due_at``), and what comes after it goes on.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec

from encola.consumers.dbapi import execute
from encola.consumers.errors import ConfigurationError
from encola.consumers.outbox import LEADER, TABLE
from encola.consumers.transport import Outgoing, Transport, TransportError

Answer = TypeVar("Answer")

BATCH_MAX = 100
LEASE_SECONDS = 30.0
"""A relay that is not heard of for so long is taken for dead; another takes over. Their clocks may differ by less."""

LOOK_SECONDS = 0.2
"""Between two looks at an empty table."""

PAUSE_SECONDS_MAX = 5.0
RESTING_MAX = 100
"""Queues that rest at a time; of more, the oldest messages are tried again and again."""

_log = logging.getLogger("encola.relay")


class Row(msgspec.Struct, frozen=True):
    """A message that waits in the outbox, as it was found there.

    ``due_at`` is in milliseconds since 1970, 0 if it is due at once.
    """

    id: int
    queue: str
    message: str
    due_at: int


class Relay:
    """See the module. ``connect`` opens a DB-API connection that does not commit by itself; ``transport`` is open."""

    def __init__(self, connect: Callable[[], Any], transport: Transport) -> None:
        self._connect = connect
        self._transport = transport
        self._owner = uuid.uuid4().hex
        self._stopping = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encola-relay")  # drivers' connections keep to one
        self._connection: Any = None
        self._led_until = 0.0
        self._pauses: dict[str, float] = {}
        self._rests: dict[str, float] = {}
        self.sent = 0

    def stop(self) -> None:
        """``run`` returns when what is under way is done."""
        self._stopping.set()

    async def run(self) -> None:
        """Relays until it is stopped or cancelled. What goes wrong is logged and tried again.

        Raises ConfigurationError.
        """
        pause = LOOK_SECONDS
        try:
            while not self._stopping.is_set():
                try:
                    count = await self.step()
                    pause = LOOK_SECONDS
                except ConfigurationError:
                    raise
                except Exception as error:  # the database's drivers have each their own errors
                    _log.warning("the outbox could not be read, trying again: %s: %s", type(error).__name__, error)
                    count, pause = 0, min(PAUSE_SECONDS_MAX, pause * 2)
                if count < BATCH_MAX:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), pause)
        finally:
            await self._in_thread(self._leave)
            self._thread.shutdown(wait=False)

    async def step(self) -> int:
        """Looks at up to ``BATCH_MAX`` messages, if this relay is the one that works, and answers how many there were.

        Raises what the database's driver raises, ConfigurationError.
        """
        now = time.monotonic()
        resting = sorted(queue for queue, until in self._rests.items() if until > now)[:RESTING_MAX]
        rows = await self._in_thread(lambda: self._take(resting))
        by_queue: dict[str, dict[int, Outgoing]] = {}
        unreadable: list[int] = []
        for row in rows:
            try:
                message = _read(row)
            except Exception as error:  # its text could be a part of what the row holds
                _log.debug("row %s cannot be read: %s", row.id, type(error).__name__)
                unreadable.append(row.id)
            else:
                by_queue.setdefault(row.queue, {})[row.id] = message
        if unreadable:
            await self._in_thread(lambda: self._set_aside(unreadable))
            told = ", ".join(map(str, unreadable))
            _log.error("rows of %s that cannot be read, set aside with a due_at below 0: id %s", TABLE, told)
        done: list[int] = []
        try:
            for queue, some in by_queue.items():
                sent = await self._send(queue, some)
                done += sent
                self._rest(queue, begin=not sent)
        finally:
            if done:
                await self._in_thread(lambda: self._remove(done))
                self.sent += len(done)
        return len(rows)

    async def _send(self, queue: str, rows: Mapping[int, Outgoing]) -> list[int]:
        """In order; behind one that failed, none of a FIFO queue counts as sent. Answers which rows are done."""
        try:
            answers = await self._transport.send(queue, list(rows.values()))
        except TransportError as error:
            answers = [error] * len(rows)
        except Exception as error:  # of this queue's messages only: the others go on
            answers = [TransportError(f"{type(error).__name__}: {error}")] * len(rows)
        done: list[int] = []
        failed: TransportError | None = None
        for number, answer in zip(rows, answers, strict=True):
            if isinstance(answer, TransportError):
                failed = failed or answer
            elif failed is None or not queue.endswith(".fifo"):
                done.append(number)
        if failed is not None:
            left = len(rows) - len(done)
            _log.warning("%d messages for %s stay in the outbox, trying again: %s", left, queue, failed)
        return done

    def _rest(self, queue: str, *, begin: bool) -> None:
        if not begin:
            self._pauses.pop(queue, None)
            self._rests.pop(queue, None)
            return
        pause = self._pauses[queue] = min(PAUSE_SECONDS_MAX, self._pauses.get(queue, LOOK_SECONDS) * 2)
        self._rests[queue] = time.monotonic() + pause

    # In the thread of the database -------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        """A connection on which something failed is not used again."""

        def run() -> Answer:
            try:
                return work()
            except BaseException:
                self._close()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def _opened(self) -> Any:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is broken: why else would it be closed?
                connection.close()

    def _take(self, resting: Sequence[str]) -> list[Row]:
        """The oldest rows of queues that do not rest, if the lead is ours (or free, or its holder is dead)."""
        connection = self._opened()
        if not self._leads(connection):
            return []
        marks = ", ".join("{}" for _ in resting)
        awake = f" AND queue NOT IN ({marks})" if resting else ""
        query = f"SELECT id, queue, message, due_at FROM {TABLE} WHERE due_at >= 0{awake}"  # noqa: S608 - names of ours
        query += f" ORDER BY id LIMIT {BATCH_MAX}"
        _, rows = execute(connection, query, resting)
        connection.commit()
        return [Row(row[0], row[1], row[2], row[3]) for row in rows]

    def _leads(self, connection: Any) -> bool:
        """Renews the lead when a third of it is over. To look at an empty table, or to stand by, writes nothing."""
        now = time.time()
        if now < self._led_until - LEASE_SECONDS * 2 / 3:
            return True
        _, found = execute(connection, f"SELECT owner, until_at FROM {LEADER} WHERE id = 1")  # noqa: S608
        if not found:
            first = f"INSERT INTO {LEADER} (id, owner, until_at) VALUES (1, {{}}, 0) ON CONFLICT DO NOTHING"  # noqa: S608
            execute(connection, first, (self._owner,))
        elif found[0][0] != self._owner and found[0][1] >= now * 1000:
            connection.commit()
            self._led_until = 0.0
            return False
        until = now + LEASE_SECONDS
        led, _ = execute(
            connection,
            f"UPDATE {LEADER} SET owner = {{}}, until_at = {{}} WHERE id = 1"  # noqa: S608 - a name of ours
            " AND (owner = {} OR until_at < {})",
            (self._owner, int(until * 1000), self._owner, int(now * 1000)),
        )
        connection.commit()
        self._led_until = until if led == 1 else 0.0
        return led == 1

    def _leave(self) -> None:
        """Another may take over at once."""
        if self._led_until:
            with contextlib.suppress(Exception):  # then it takes over when the lead has run out
                connection = self._opened()
                execute(connection, f"UPDATE {LEADER} SET until_at = 0 WHERE owner = {{}}", (self._owner,))  # noqa: S608
                connection.commit()
        self._close()

    def _set_aside(self, numbers: Sequence[int]) -> None:
        connection = self._opened()
        marks = ", ".join("{}" for _ in numbers)
        execute(connection, f"UPDATE {TABLE} SET due_at = -1 - due_at WHERE id IN ({marks})", numbers)  # noqa: S608
        connection.commit()

    def _remove(self, numbers: Sequence[int]) -> None:
        connection = self._opened()
        marks = ", ".join("{}" for _ in numbers)
        execute(connection, f"DELETE FROM {TABLE} WHERE id IN ({marks})", numbers)  # noqa: S608 - a name of ours
        connection.commit()


def _read(row: Row) -> Outgoing:
    """The message of a row, with what is left of its delay. Raises what shows that the row is not one of ours."""
    message = msgspec.json.decode(row.message, type=Outgoing)
    if not row.queue.strip():
        raise ValueError("a row without a queue")
    delay = max(0.0, row.due_at / 1000 - time.time()) if row.due_at else 0.0
    return msgspec.structs.replace(message, delay=delay)
