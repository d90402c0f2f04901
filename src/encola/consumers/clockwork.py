"""The loop that looks at the clock for all schedules of an application (see ``cron``)."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from datetime import UTC, datetime

from encola.consumers.connection import Connection
from encola.consumers.cron import CLAIM_SECONDS, Schedule, tick
from encola.consumers.jobstore import JobStoreError
from encola.consumers.transport import TransportError
from encola.engine import records

SPREAD_SECONDS = 0.05
"""Workers come a little apart, so that the first has claimed before the others ask."""

PAUSE_SECONDS = 2.0
WINDOW_MS = 2 * 86_400_000

_log = logging.getLogger("encola.worker")


class Clockwork:
    """``prefix`` begins the keys of the application's records; ``worker`` names the one who claims."""

    def __init__(self, schedules: Sequence[Schedule], connection: Connection, prefix: str, worker: str) -> None:
        self._schedules = schedules
        self._connection = connection
        self._prefix = prefix
        self._worker = worker
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._loops = [loop.create_task(self._follow(schedule)) for schedule in self._schedules]

    async def close(self) -> None:
        """A time that is being sent is sent: another worker would only have to wait for our claim to end."""
        for task in self._loops:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._loops, return_exceptions=True)

    async def _follow(self, schedule: Schedule) -> None:
        now = datetime.now(UTC)
        missed = schedule.missed(now)
        if missed is not None:
            await self._fire(schedule, missed)
        time = schedule.next_after(now)
        while True:
            # In steps: a clock that is set, or a machine that slept, is noticed.
            while (remaining := (time - datetime.now(UTC)).total_seconds()) > 0:
                await asyncio.sleep(min(remaining, 60.0))
            await asyncio.sleep(random.uniform(0, SPREAD_SECONDS))  # noqa: S311 - to spread, not to be secret
            await self._fire(schedule, time)
            time = schedule.next_after(max(time, datetime.now(UTC)))

    async def _fire(self, schedule: Schedule, time: datetime) -> None:
        """Sends it once, or sees that another worker did. Goes on until one of both is certain."""
        task = schedule.task
        name = tick(time)
        # Two schedules of one task may meet at one time: then they are two who ask.
        key, owner = f"{self._prefix}cron/{task.name}/{name}", f"{self._worker}/{self._schedules.index(schedule)}"
        while True:
            try:
                claim = records.Claim(key, owner, "cron", task.queue, "", int(CLAIM_SECONDS * 1000), WINDOW_MS)
                reply = await self._connection.command(claim)
                if isinstance(reply, records.Run):
                    prepared = task.prepare_data(b"{}", job=f"{task.name}/{name}")
                    await self._connection.send(prepared.queue, prepared.message)
                    await self._connection.command(records.Complete(key, owner, reply.fence, WINDOW_MS))
                    _log.info("%s was sent for %s", task.name, time.isoformat())
                    return
                if not isinstance(reply, records.Busy):
                    return
                await asyncio.sleep(PAUSE_SECONDS)
            except (TransportError, JobStoreError) as error:
                _log.warning("%s could not be sent for %s, trying again: %s", task.name, name, error)
                await asyncio.sleep(PAUSE_SECONDS)
            except Exception:  # of middleware: the schedule goes on
                _log.exception("%s could not be sent for %s, trying again", task.name, name)
                await asyncio.sleep(PAUSE_SECONDS)
