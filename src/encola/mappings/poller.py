"""One mapping at work: gathers batches, has them invoked, settles what comes of it.

A task gathers, one batch after the other; each batch then has a task of its own. How many of these may run at once is
the scaler's business. What the answer of a function means for the messages:

    returned    deleted, but for those that the response names                    (``response.judge``)
    failed      left alone: they come again when their visibility timeout is over
    refused     given back at once, uncounted; and nothing is received for a while
"""

import asyncio
import contextlib
import logging
import random
import time
import traceback
import uuid

import msgspec

from encola.broker.broker import Broker
from encola.broker.errors import BrokerError
from encola.engine.message import Delivery
from encola.engine.store import StoreError
from encola.mappings.event import Words
from encola.mappings.functions import DeclaredFunction
from encola.mappings.gate import Gate
from encola.mappings.gatherer import Batch, Gatherer
from encola.mappings.model import Mapping
from encola.mappings.response import Verdict, judge
from encola.mappings.scaling import Scaler, bounds_of
from encola.mappings.status import FAILED, OK, Status
from encola.mappings.targets.target import Answer, Failed, Invocation, Refused, Target

LOOK_AGAIN_SECONDS = 1.0
"""Pause after a look at a queue that is not there, or at a store that does not answer."""

NO_QUEUE = "the queue does not exist"

_log = logging.getLogger("encola.mappings")


class _Job(msgspec.Struct, frozen=True):
    """What the tasks of a poller need, from one change of its settings to the next."""

    mapping: Mapping
    gatherer: Gatherer
    gate: Gate
    target: Target
    function_arn: str


class Poller:
    """See the module. ``start`` and ``stop`` may alternate; batches that run are not touched by either."""

    def __init__(self, broker: Broker, words: Words, mapping: Mapping) -> None:
        self._broker = broker
        self._words = words
        self._mapping = mapping
        self._scaler = Scaler(bounds_of(mapping.settings.maximum_concurrency, mapping.settings.pollers))
        self._job: _Job | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._runs: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[Answer]] = set()
        self._freed = asyncio.Event()
        self._not_before = 0.0
        self.status = Status()

    def start(self, mapping: Mapping, function: DeclaredFunction, gate: Gate, target: Target, arn: str) -> None:
        """Begins to gather, with these settings."""
        self._mapping = mapping
        self._scaler.rebound(bounds_of(mapping.settings.maximum_concurrency, mapping.settings.pollers))
        self._not_before = 0.0
        gatherer = Gatherer(self._broker, self._words, mapping, function, gate, self.status)
        self._job = _Job(mapping, gatherer, gate, target, arn)
        self._begin()

    async def stop(self) -> None:
        """Stops gathering; what was not invoked yet has been given back when this returns."""
        job, self._job = self._job, None
        self._end()
        await asyncio.gather(*self._ending, return_exceptions=True)
        if job is not None:
            await job.gatherer.finish()

    def _begin(self) -> None:
        if self._job is not None:
            self._task = asyncio.create_task(self._work(self._job), name=f"mapping {self._mapping.uuid}")

    def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def drained(self) -> None:
        """Waits until no batch runs."""
        while self._runs:
            await asyncio.wait(self._runs)

    def abort(self) -> None:
        """Ends the calls that run; their messages are given back, uncounted."""
        for call in self._calls:
            call.cancel()

    @property
    def limit(self) -> int:
        return self._scaler.limit

    # Gathering --------------------------------------------------------------------------------------

    async def _work(self, job: _Job) -> None:
        while True:
            await self._slot()
            queue = self._broker.find(self._mapping.queue)
            if queue is None:
                self.status.problem(self._broker.clock.now(), NO_QUEUE)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
                continue
            try:
                batch = await job.gatherer.gather(queue)
            except (StoreError, BrokerError) as error:
                _log.info("mapping %s waits: %s", self._mapping.uuid, type(error).__name__)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
                continue
            except Exception as error:
                _log_ours(error, "gathering")
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
                continue
            if batch is not None:
                run = asyncio.create_task(self._run(batch, job))
                self._runs.add(run)
                run.add_done_callback(self._ended)
            elif not self._runs:
                self._scaler.idle()

    async def _slot(self) -> None:
        """Waits until one more batch may run."""
        while True:
            now = time.monotonic()
            if now < self._not_before:
                await asyncio.sleep(self._not_before - now)
            elif len(self._runs) < self._scaler.limit:
                self._scaler.unsaturated(now)
                self.status.limit = self._scaler.limit
                return
            else:
                self._freed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._scaler.saturated(now)):
                        await self._freed.wait()

    def _ended(self, run: "asyncio.Task[None]") -> None:
        self._runs.discard(run)
        self.status.running = len(self._runs)
        self._freed.set()
        if not run.cancelled() and (error := run.exception()) is not None:
            _log_ours(error, "a batch")

    # One batch --------------------------------------------------------------------------------------

    async def _run(self, batch: Batch, job: _Job) -> None:
        self.status.running = len(self._runs)
        self.status.invocations += 1
        self.status.received += len(batch.deliveries)
        self.status.last_invoked_at = self._broker.clock.now()
        try:
            answer = await self._call(job.target, Invocation(str(uuid.uuid4()), batch.payload, job.function_arn))
        finally:
            job.gate.leave()
        if answer is None:
            await job.gatherer.give_back(batch.queue, batch.deliveries)
        elif isinstance(answer, Refused):
            await self._refused(batch, job, answer)
        elif isinstance(answer, Failed):
            self._failed(batch, job, answer.problem)
        else:
            reports = job.mapping.settings.reports_failures
            await self._settle(batch, job, judge(answer.payload, batch.ids, batch.groups, reports=reports))

    async def _call(self, target: Target, invocation: Invocation) -> Answer | None:
        """The answer of the target; None when the call was aborted."""
        call = asyncio.ensure_future(target.invoke(invocation))
        self._calls.add(call)
        try:
            await asyncio.wait([call])
        finally:
            self._calls.discard(call)
        if call.cancelled():
            return None
        error = call.exception()
        if error is None:
            return call.result()
        _log_ours(error, "a target")
        return Failed(f"the target failed with {type(error).__name__}")

    async def _refused(self, batch: Batch, job: _Job, answer: Refused) -> None:
        now = time.monotonic()
        if job is self._job and now >= self._not_before:  # what is refused together counts once
            pause = self._scaler.refused(len(self._runs) - 1)
            self._not_before = now + pause * random.uniform(0.5, 1.0)  # noqa: S311  no secret
        self.status.refusals += 1
        word = "throttled" if answer.throttled else "not reached"
        self._tell(batch, f"the function was {word}: {answer.problem}")
        self._end()  # who waits for messages now would get these at once
        self._begin()
        await job.gatherer.give_back(batch.queue, batch.deliveries)

    def _failed(self, batch: Batch, job: _Job, problem: str) -> None:
        """The messages come again by themselves. With ReportBatchItemFailures polling is not slowed."""
        if not job.mapping.settings.reports_failures:
            self._scaler.failed()
        self.status.failures += 1
        self.status.failed += len(batch.deliveries)
        self._tell(batch, problem, result=FAILED)

    async def _settle(self, batch: Batch, job: _Job, verdict: Verdict) -> None:
        if verdict.problem:
            self._failed(batch, job, verdict.problem)
            return
        self._scaler.succeeded()
        self.status.last_result = OK
        self.status.done += len(verdict.done)
        self.status.failed += len(verdict.failed)
        await self._delete(batch, [batch.deliveries[at] for at in verdict.done])
        if verdict.held:
            await job.gatherer.give_back(batch.queue, [batch.deliveries[at] for at in verdict.held])

    async def _delete(self, batch: Batch, deliveries: list[Delivery]) -> None:
        if not deliveries:
            return
        try:
            await self._broker.delete(batch.queue, [delivery.receipt for delivery in deliveries])
        except (StoreError, BrokerError) as error:
            self._tell(batch, f"the store did not delete what was processed ({type(error).__name__}): it comes again")

    def _tell(self, batch: Batch, problem: str, *, result: str = "") -> None:
        self.status.problem(self._broker.clock.now(), problem, len(batch.deliveries), result=result)
        fields = {
            "mapping": self._mapping.uuid,
            "queue": self._mapping.queue.name,
            "function": self._mapping.settings.function,
            "messages": len(batch.deliveries),
        }
        _log.warning("%s", problem, extra={"fields": fields})


def _log_ours(error: BaseException, what: str) -> None:
    # Not the error's own text, which might quote a message.
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s failed with %s\n%s", what, type(error).__name__, frames)
