"""Limits over all workers: rates, and how many jobs of one key run at a time. Kept by the store of records."""

import asyncio
import time

from encola.consumers.connection import Connection
from encola.consumers.options import Rate
from encola.engine import records

PATIENCE_SECONDS = 2.0
"""A job that may start within about this time waits for it here; a later one is given back to the queue."""

LONG_PATIENCE_MS = 60_000
"""A batch waits so long for its turn before it asks anew: its items are held all the time."""


class RateLimit:
    """One rate. Starts are booked ahead for all who wait at the moment, in one step."""

    def __init__(self, connection: Connection, key: str, rate: Rate) -> None:
        self._connection = connection
        self._key = key
        self._rate = rate
        self._waiting: list[asyncio.Future[tuple[float, bool]]] = []
        self._booking: asyncio.Task[None] | None = None

    async def wait(self) -> float:
        """Returns 0.0 when a job may start, after a short wait; or the seconds after which to ask again.

        Raises JobStoreError.
        """
        future: asyncio.Future[tuple[float, bool]] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        if self._booking is None or self._booking.done():
            self._booking = asyncio.get_running_loop().create_task(self._book())
        start, booked = await future
        if not booked:
            return start
        if start > 0:
            await asyncio.sleep(start)
        return 0.0

    async def wait_for(self, count: int) -> None:
        """Returns when ``count`` may start together, however long it takes. Raises JobStoreError."""
        while True:
            reserve = records.Reserve(self._key, count, self._rate.interval_us, self._rate.burst, LONG_PATIENCE_MS)
            reply = await self._connection.command(reserve)
            assert isinstance(reply, records.Reserved)  # noqa: S101 - narrows the type
            await asyncio.sleep(max(0.0, (reply.start_at_us - reply.now_us) / 1_000_000))
            if reply.granted:
                return

    async def _book(self) -> None:
        """Answers each who waits with the seconds until its start, and whether it is booked."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                starts = await self._starts(len(waiting))
            except BaseException as error:
                for future in waiting:
                    if not future.done():
                        future.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
                if not isinstance(error, Exception):
                    raise
                continue
            for future, start in zip(waiting, starts, strict=True):
                if not future.done():
                    future.set_result(start)

    async def _starts(self, count: int) -> list[tuple[float, bool]]:
        """As many are booked as can start within the patience; the rest are told when to ask again.

        What is booked is used: others come after it. So a start may be up to twice the patience away.
        """
        interval = self._rate.interval_us
        booked = min(count, max(1, int(PATIENCE_SECONDS * 1_000_000 / interval)))
        reply = await self._connection.command(
            records.Reserve(self._key, booked, interval, self._rate.burst, int(PATIENCE_SECONDS * 1000))
        )
        assert isinstance(reply, records.Reserved)  # noqa: S101 - narrows the type
        first = max(0.0, (reply.start_at_us - reply.now_us) / 1_000_000)
        if not reply.granted:
            return [(PATIENCE_SECONDS + first, False)] * count
        step = interval / 1_000_000
        starts = [(first + index * step, True) for index in range(booked)]
        return starts + [(first + booked * step, False)] * (count - booked)


class SlotLimit:
    """One of ``limit`` slots under a key, held by a job while it runs."""

    def __init__(self, connection: Connection, lease: float) -> None:
        self._connection = connection
        self._lease = int(lease * 1000)

    def command(self, key: str, owner: str, limit: int) -> records.Enter:
        """Takes the slot; repeated, it holds on to it."""
        return records.Enter(key, owner, limit, self._lease)

    async def enter(self, key: str, owner: str, limit: int) -> float | None:
        """None when the slot is ours; else the seconds after which the first may be free. Raises JobStoreError."""
        reply = await self._connection.command(self.command(key, owner, limit))
        assert isinstance(reply, records.Entered)  # noqa: S101 - narrows the type
        if reply.granted:
            return None
        return max(0.0, reply.free_at / 1000 - time.time())

    async def leave(self, key: str, owner: str) -> None:
        """Raises JobStoreError."""
        await self._connection.command(records.Leave(key, owner))
