"""The reports of a worker: what it says of itself to its server every few seconds, and what it hears in return.

Work never waits for a report. One that fails is told of once, for who debugs, and the next is tried as if nothing were;
the last one, which says that the worker has left, has half a second.
"""

import asyncio
import contextlib
import logging
import os
import platform
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from encola import __version__
from encola.consumers.transport import RefusedError, ReportDesk
from encola.engine.message import Instant
from encola.engine.records import COUNT_MAX, KEY_LENGTH_MAX, NAME_LENGTH_MAX
from encola.engine.workers import (
    QUEUES_MAX,
    REPORT_SECONDS,
    RUNNING_MAX,
    Report,
    RunningJob,
    Served,
    WorkerState,
)

if TYPE_CHECKING:
    from encola.consumers.leases import Hold
    from encola.consumers.worker import Worker

REFUSED_SECONDS = 60.0
"""To the next report where the server refuses them: a credential without the right, an older server."""

LAST_SECONDS_MAX = 0.5
SPREAD = 0.2
"""Workers that were started together do not report together for ever."""

_log = logging.getLogger("encola.worker")


class Reporter:
    """``report`` makes the next report, with True the last; ``obey`` is called when the server asks for a stop."""

    def __init__(
        self,
        desk: ReportDesk | None,
        report: Callable[[bool], Report],
        obey: Callable[[], None],
        seconds: float = REPORT_SECONDS,
    ) -> None:
        self._desk = desk
        self._report = report
        self._obey = obey
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None
        self._now = asyncio.Event()
        self._ended = False
        self._failed = False

    def start(self) -> None:
        """The first report is made at once. Without a desk there is nobody to tell."""
        if self._desk is not None:
            self._task = asyncio.get_running_loop().create_task(self._go_on(self._desk))

    def soon(self) -> None:
        """There is something new to tell."""
        self._now.set()

    async def close(self) -> None:
        """Says that the worker has left. A server that did not answer the last time is not told."""
        task, self._task = self._task, None
        if task is None:
            return
        self._ended = True
        self._now.set()
        await asyncio.wait([task], timeout=LAST_SECONDS_MAX)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _go_on(self, desk: ReportDesk) -> None:
        while not self._ended:
            self._now.clear()
            pause = await self._tell(desk, last=False)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._now.wait()
        if not self._failed:
            await self._tell(desk, last=True)

    async def _tell(self, desk: ReportDesk, *, last: bool) -> float:
        """Answers the seconds to the next report."""
        pause = self._seconds * random.uniform(1 - SPREAD, 1)  # noqa: S311 - to spread, not to be secret
        try:
            async with asyncio.timeout(self._seconds):
                orders = await desk.report(self._report(last))
        except Exception as error:  # whatever it is: nobody's work is to suffer from it
            if not self._failed:
                self._failed = True
                _log.debug("the worker could not report to its server, and goes on trying: %s", error or "no answer")
            return max(pause, REFUSED_SECONDS) if isinstance(error, RefusedError) else pause
        self._failed = False
        if orders.stop:
            self._obey()
        return pause


def report_of(worker: "Worker", state: WorkerState, now: Instant | None = None) -> Report:
    """What a worker has to say. Names that are too long are cut, and what is too much is left out."""
    now = _wall() if now is None else now
    held = worker.at_work
    busy = Counter(hold.message.queue for hold in held)
    free = max(0, worker.slots.concurrency - worker.slots.busy)
    # A batch task has one slot for itself; all other queues share what is free.
    queues = [
        Served(queue=_name(lane), slots=min(COUNT_MAX, 1 if alone else busy[lane] + free), busy=busy[lane])
        for lane, alone in worker.polled.items()
    ]
    alone = sum(worker.polled.values())
    shared = worker.slots.concurrency if alone < len(worker.polled) else 0
    outcomes = worker.outcomes
    return Report(
        id=worker.id,
        at=now,
        state=state,
        started_at=worker.started_at,
        name=_name(worker.name),
        host=_name(socket.gethostname()),
        pid=os.getpid(),
        app=_name(worker.app.name),
        encola=__version__,
        python=platform.python_version(),
        slots=shared + alone,
        busy=len(held),
        queues=queues[:QUEUES_MAX],
        running=sorted(map(_running, held), key=lambda one: one.since)[:RUNNING_MAX],
        done=outcomes["completed"],
        failed=outcomes["dead"],
        retried=outcomes["retrying"],
        last_poll_at=max(0, now - int(worker.liveness.seconds * 1000)) if worker.liveness.polls else 0,
    )


def _running(hold: "Hold") -> RunningJob:
    job = hold.job
    assert job is not None  # noqa: S101 - that is what being at work means
    return RunningJob(
        task=_name(job.task),
        queue=_name(hold.message.queue),
        message=_name(job.messages[0].message_id),
        since=int(job.began * 1000),
        attempt=min(COUNT_MAX, job.attempt),
        key=hold.record_key[:KEY_LENGTH_MAX],
        messages=len(job.messages),
    )


def _name(text: str) -> str:
    return text[:NAME_LENGTH_MAX].encode("utf-8", "replace").decode()


def _wall() -> Instant:
    return time.time_ns() // 1_000_000
