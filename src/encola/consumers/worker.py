"""The pull worker: fetches messages for free slots, runs their tasks, stops without losing anything.

    worker = Worker(app, concurrency=32)
    await worker.run()          # until stop(), or a signal in ``encola work``

A message is ours from its receive until it is settled, and its lease is kept all the time (``leases``). What happens to
it is in ``runner``; how many are fetched, in ``slots`` and ``fetcher``.
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from encola.consumers.app import App
from encola.consumers.batches import BatchTask
from encola.consumers.batching import BatchHandler, BatchRunner
from encola.consumers.clockwork import Clockwork
from encola.consumers.connection import Connection
from encola.consumers.execution import Executor
from encola.consumers.fetcher import Fetcher, Liveness
from encola.consumers.follow import Follow
from encola.consumers.gate import Gate
from encola.consumers.leases import Hold, LeaseKeeper
from encola.consumers.middleware import Outcome
from encola.consumers.options import WINDOW_DEFAULT
from encola.consumers.preparing import prepare_queues, require_records
from encola.consumers.queues import QueueOptions
from encola.consumers.reports import Reporter, report_of
from encola.consumers.resources import Resources
from encola.consumers.runner import Runner
from encola.consumers.slots import Slots, SlotTurn
from encola.consumers.task_processes import TaskProcesses
from encola.consumers.transport import Incoming
from encola.consumers.watchdog import Watchdog
from encola.engine.workers import REPORT_SECONDS, Report

CONCURRENCY_DEFAULT = 32
CONCURRENCY_MAX = 1000
GRACE_SECONDS = 30.0
STOP_SECONDS_MAX = 10.0
"""After the grace period: for giving back what was not finished."""

CLOSE_SECONDS_MAX = 2.0
"""At the very end: for requests that a service does not answer."""

_log = logging.getLogger("encola.worker")


class Running(msgspec.Struct, frozen=True):
    """One job that a worker runs now."""

    job: str
    task: str
    queue: str
    attempt: int


class Worker:
    """See the module. ``queues`` limits it to some of the application's; ``max_jobs`` lets it stop after so many.

    ``path`` is the application's ``module:name`` for tasks in processes; without it, it is looked for. Every
    ``report_seconds`` it tells an encola server that it is there.
    """

    def __init__(
        self,
        app: App,
        *,
        queues: Sequence[str] | None = None,
        concurrency: int = CONCURRENCY_DEFAULT,
        grace: float = GRACE_SECONDS,
        name: str | None = None,
        max_jobs: int | None = None,
        path: str | None = None,
        report_seconds: float = REPORT_SECONDS,
    ) -> None:
        """Raises ValueError."""
        if not 1 <= concurrency <= CONCURRENCY_MAX:
            raise ValueError(f"the concurrency is between 1 and {CONCURRENCY_MAX}")
        known = {task.queue for task in app.tasks.values()}
        if queues is not None and (unknown := set(queues) - known):
            raise ValueError(f"no task of {app.name} is on {', '.join(sorted(unknown))}")
        self.app = app
        self.queues = sorted(known if queues is None else set(queues))
        if not self.queues:
            raise ValueError(f"{app.name} has no tasks")
        self.id = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(3)}"
        self.name = name or self.id
        self.started_at = time.time_ns() // 1_000_000
        self.dismissed = False
        self.outcomes: Counter[Outcome] = Counter()
        self.polled: dict[str, bool] = {}
        self.liveness = Liveness()
        self.jobs_done = 0
        self._grace = grace
        self._max_jobs = max_jobs
        self._path = path
        self._report_seconds = report_seconds
        self._slots = Slots(concurrency)
        self.stopping = asyncio.Event()
        self._work: set[asyncio.Task[Any]] = set()
        self._ready: list[Callable[[], None]] = []

    def stop(self) -> None:
        """Begins a graceful stop; ``run`` returns when it is over. Of the worker's loop only."""
        self.stopping.set()

    def dismiss(self) -> None:
        """Begins a graceful stop because an operator wishes so, for good: whoever has started it does not do so again.

        ``dismissed`` tells of it, also where it came while the worker was about to stop anyway.
        """
        if not self.dismissed:
            _log.info("worker %s was asked to stop", self.name)
        self.dismissed = True
        self.stop()

    def on_ready(self, call: Callable[[], None]) -> None:
        """Called when the worker polls."""
        self._ready.append(call)

    @property
    def at_work(self) -> Sequence[Hold]:
        """A message of each job that runs now; a batch is one job."""
        keeper: LeaseKeeper | None = getattr(self, "_keeper", None)  # none before it has begun
        holds = keeper.holds if keeper is not None else ()
        jobs = {hold.job: hold for hold in holds if hold.job and (hold.running is not None or hold.job.is_batch)}
        return list(jobs.values())

    @property
    def running(self) -> Sequence[Running]:
        """What it runs now; a batch is one job."""
        jobs = [hold.job for hold in self.at_work if hold.job]
        return [Running(job.id, job.task, job.queue, job.attempt) for job in jobs]

    @property
    def slots(self) -> Slots:
        return self._slots

    # The life of a worker -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Works until it is stopped. Raises TransportError, JobStoreError, ConfigurationError when it cannot begin."""
        processes = TaskProcesses(self.app, self._path)
        processes.require(self.queues)
        connection = self.app.connect()
        await connection.open()
        try:
            queues = [self.app.queue_options(name) for name in self.queues]
            if connection.jobs is None:
                require_records(self.app, self.queues)
            await prepare_queues(self.app, connection.transport, queues)
            self.app.use(connection)
            reporter = self._reporter(connection, queues)
            try:
                await self._serve(connection, queues, Executor(processes), reporter)
            finally:
                await reporter.close()
                self.app.leave()
        finally:
            await connection.close(CLOSE_SECONDS_MAX)

    def _reporter(self, connection: Connection, queues: Sequence[QueueOptions]) -> Reporter:
        self.polled = {lane: self.app.batch_on(queue.name) is not None for queue in queues for lane in queue.lanes}

        def report(last: bool) -> Report:
            return report_of(self, "stopped" if last else "stopping" if self.stopping.is_set() else "running")

        return Reporter(connection.transport.desk(), report, self.dismiss, self._report_seconds)

    async def _serve(
        self, connection: Connection, queues: Sequence[QueueOptions], executor: Executor, reporter: Reporter
    ) -> None:
        prefix, transport = self.app.record_key(""), connection.transport
        resources = Resources()
        gate = Gate(connection, prefix, self.app.lease)
        self._keeper = LeaseKeeper(connection, self.app.lease)
        self._runner = Runner(
            connection,
            executor,
            resources,
            gate,
            Follow(connection, prefix, int(WINDOW_DEFAULT * 1000), self.app.middleware),
            tasks=self.app.tasks,
            lease=self.app.lease,
            worker=self.name,
            outcomes=self.outcomes,
        )
        fetchers: list[Fetcher | BatchRunner] = []
        batches = {task.queue: task for task in self.app.tasks.values() if isinstance(task, BatchTask)}
        for queue in queues:
            if (batch := batches.get(queue.name)) is not None:
                handler = BatchHandler(
                    batch, connection, self._keeper, executor, resources, self.name, outcomes=self.outcomes
                )
                fetchers.append(BatchRunner(handler, queue, transport, gate, self))
            else:
                deliver = self._deliver_ordered if queue.name.endswith(".fifo") else self._deliver
                fetchers.append(
                    Fetcher(queue, transport, self._slots, self.app.lease, deliver, self.liveness.polled, len(queues))
                )
        clockwork = Clockwork(self.app.schedules, connection, prefix, self.name)
        watchdog = Watchdog()
        self._keeper.start()
        watchdog.start()
        clockwork.start()
        for fetcher in fetchers:
            fetcher.start()
        reporter.start()
        for call in self._ready:
            call()
        _log.info("worker %s of %s polls %s", self.name, self.app.name, ", ".join(self.queues))
        try:
            await self.stopping.wait()
        finally:
            reporter.soon()
            await clockwork.close()
            await asyncio.gather(*(fetcher.stop() for fetcher in fetchers))
            await self._finish()
            await self._keeper.close()
            await executor.close()
            await resources.close()
            watchdog.stop()

    async def _finish(self) -> None:
        """Lets running jobs end within the grace period, then gives them back, with no attempt counted."""
        for hold in self._keeper.holds:
            if hold.job is None:
                hold.stop("shutdown")
        if self._work:
            _log.info("worker %s stops: %d jobs may end within %g s", self.name, len(self._work), self._grace)
            await asyncio.wait(self._work, timeout=self._grace)
        if self._work:
            _log.warning("%d jobs are given back to the queue", len(self._work))
            for hold in self._keeper.holds:
                hold.stop("shutdown")
            await asyncio.wait(self._work, timeout=STOP_SECONDS_MAX)
        for task in tuple(self._work):
            task.cancel()

    # One message --------------------------------------------------------------------------------------

    def begin(self, work: "asyncio.Task[Any]") -> None:
        """Work that a stop waits for."""
        self._work.add(work)
        work.add_done_callback(self._work.discard)

    def ended(self, jobs: int = 1) -> None:
        """So many jobs are off the queue."""
        self.jobs_done += jobs
        if self._max_jobs is not None and self.jobs_done >= self._max_jobs and not self.stopping.is_set():
            _log.info("worker %s stops after %d jobs", self.name, self.jobs_done)
            self.stop()

    def _deliver(self, messages: Sequence[Incoming]) -> None:
        loop = asyncio.get_running_loop()
        for message in messages:
            self.begin(loop.create_task(self._one(self._keeper.hold(message))))

    def _deliver_ordered(self, messages: Sequence[Incoming]) -> None:
        """Messages of one group one after the other."""
        groups: dict[str, list[Hold]] = {}
        for message in messages:
            groups.setdefault(message.group or "", []).append(self._keeper.hold(message))
        loop = asyncio.get_running_loop()
        for holds in groups.values():
            self.begin(loop.create_task(self._in_order(holds)))

    async def _in_order(self, holds: Sequence[Hold]) -> None:
        """If one does not get off the queue, those behind it must not overtake it: they go back, uncounted."""
        blocked = False
        for hold in holds:
            if blocked:
                await self._runner.give_back(hold)
                self._keeper.let_go(hold)
                self._slots.give_back(1)
            else:
                blocked = not await self._one(hold)

    async def _one(self, hold: Hold) -> bool:
        """Works on it; its slot is free as soon as its function is over."""
        turn = SlotTurn(self._slots)
        try:
            if hold.stopped is not None:
                await self._runner.give_back(hold)
                return False
            over = await self._runner.handle(hold, turn)
            if over:
                self.ended()
            return over
        except Exception:
            _log.exception("message %s could not be handled, and comes again", hold.message.message_id)
            return False
        finally:
            turn.end()
            self._keeper.let_go(hold)
