"""The consumer side of batch tasks: collect items, wait for the rate, call the function once, settle each item."""

import asyncio
import logging
import math
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from encola.consumers.batches import ITEM, BatchTask
from encola.consumers.connection import Connection
from encola.consumers.context import CurrentJob
from encola.consumers.errors import AlreadyDone, BadMessageError, BadPayloadError, Permanent, TaskExitError
from encola.consumers.execution import Executor
from encola.consumers.gate import Gate
from encola.consumers.jobstore import JobStoreError
from encola.consumers.leases import Hold, LeaseKeeper
from encola.consumers.message import decode, due_in
from encola.consumers.middleware import Outcome, tell_ended
from encola.consumers.queues import QueueOptions
from encola.consumers.resources import Resources
from encola.consumers.transport import Incoming, Transport, TransportError
from encola.consumers.verdicts import Again, BadResultError, describe, explanation, judge

if TYPE_CHECKING:
    from encola.consumers.worker import Worker

WAIT_SECONDS = 20.0
POLLS_MAX = 8
SHORT_SECONDS = 0.1
"""Between two looks when less than a second of the window is left: polls wait whole seconds."""

PAUSE_SECONDS = 1.0
ALONE_MAX = 10
"""Calls for itself that an item has which may have killed workers."""

_BY_LUCK: Sequence[Outcome] = ("completed", "lost", "retrying", "dead")

_log = logging.getLogger("encola.worker")


class Item(msgspec.Struct):
    """A message of a batch, and what it holds."""

    hold: Hold
    value: Any


class BatchRunner:
    """One batch task in one worker: one batch after the other."""

    def __init__(
        self, handler: "BatchHandler", queue: QueueOptions, transport: Transport, gate: Gate, worker: "Worker"
    ) -> None:
        self._handler = handler
        self._task = handler.task
        self._queue = queue
        self._transport = transport
        self._gate = gate
        self._worker = worker
        self._collecting: asyncio.Task[list[Item]] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._stopped = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop().create_task(self._work())
        self._worker.begin(self._loop)

    async def stop(self) -> None:
        """Collects no more; what was collected and not begun goes back. A batch that runs may end."""
        self._stopped = True
        if self._collecting is not None:
            self._collecting.cancel()

    async def _work(self) -> None:
        own = asyncio.current_task()
        while not self._stopped:
            try:
                await self._round()
            except GeneratorExit:  # the loop is gone
                raise
            except BaseException as error:  # whatever it is: the queue is not left without its worker
                if isinstance(error, asyncio.CancelledError) and own is not None and own.cancelling():
                    raise
                _log.exception("a batch of %s could not be handled, and comes again", self._task.name)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _round(self) -> None:
        """Collects one batch, and handles it."""
        self._collecting = collecting = asyncio.get_running_loop().create_task(self._collect())
        try:
            items = await collecting
        except asyncio.CancelledError:
            if self._stopped and collecting.cancelled():  # by ``stop``
                return
            raise
        except TransportError as error:
            _log.warning("the queue %s could not be polled, trying again: %s", self._queue.name, error)
            await asyncio.sleep(random.uniform(0, 2 * PAUSE_SECONDS))  # noqa: S311 - to spread
            return
        finally:
            self._collecting = None
        try:
            if items:
                await self._handle(items)
        finally:
            self._handler.let_go(items)

    # Collecting ---------------------------------------------------------------------------------------

    async def _collect(self) -> list[Item]:
        """Up to ``size`` items, or those that came within ``window`` of the first. Cancelled, it gives all back."""
        items: list[Item] = []
        deadline = math.inf
        try:
            while len(items) < self._task.size and (remaining := deadline - time.monotonic()) > 0:
                messages = await self._poll(self._task.size - len(items), remaining)
                for message in messages:
                    await self._handler.read(message, items)
                if items and deadline == math.inf:
                    deadline = time.monotonic() + self._task.window
                elif not messages and deadline < math.inf:
                    await asyncio.sleep(min(SHORT_SECONDS, max(0.0, deadline - time.monotonic())))
            return items
        except BaseException:
            for item in items:
                self._worker.begin(asyncio.ensure_future(self._handler.give_back(item)))
            raise

    async def _poll(self, wanted: int, remaining: float) -> Sequence[Incoming]:
        wait = WAIT_SECONDS if remaining == math.inf else min(WAIT_SECONDS, float(int(remaining)))
        lease, transport, lanes = self._worker.app.lease, self._transport, self._queue.lanes
        first = await transport.receive(lanes[0], min(transport.batch_max, wanted), wait, lease)
        self._worker.liveness.polled()
        wanted -= len(first)
        if len(first) < transport.batch_max or wanted <= 0:
            return first
        size = transport.batch_max
        more = min(POLLS_MAX, -(-wanted // size))
        polls = [transport.receive(lanes[0], min(size, wanted - size * n), 0, lease) for n in range(more)]
        answers = await asyncio.gather(*polls)
        return [*first, *(message for answer in answers for message in answer)]

    async def _handle(self, items: list[Item]) -> None:
        task = self._task
        try:
            await self._gate.pace(task, len(items))
        except JobStoreError as error:
            _log.warning("a batch of %s waits for its rate in vain, and comes again: %s", task.name, error)
            await asyncio.gather(*(self._handler.give_back(item) for item in items))
            return
        stopped = [item for item in items if item.hold.stopped is not None]  # while it waited for its rate
        await asyncio.gather(*(self._handler.give_back(item) for item in stopped))
        self._worker.ended(await self._handler.run([item for item in items if item.hold.stopped is None]))


class BatchHandler:
    """What is done with the messages of one batch: read, run, settle."""

    def __init__(
        self,
        task: BatchTask,
        connection: Connection,
        keeper: LeaseKeeper,
        executor: Executor,
        resources: Resources,
        worker: str,
        chance: Callable[[], float] = random.random,
        outcomes: Counter[Outcome] | None = None,
    ) -> None:
        self.task = task
        self._connection = connection
        self._keeper = keeper
        self._executor = executor
        self._resources = resources
        self._worker = worker
        self._chance = chance
        self._outcomes: Counter[Outcome] = Counter() if outcomes is None else outcomes

    async def read(self, message: Incoming, items: list[Item]) -> None:
        """Adds what the message holds. One that is not due yet goes back, one that holds nothing of use is rejected."""
        hold = self._keeper.hold(message)
        try:
            if (seconds := due_in(message.attributes, time.time())) > 0:
                await self._settle(hold, self._connection.release(message, seconds))
                return
            wish = decode(message.body)
            if wish.task != self.task.name:
                raise BadMessageError("unknown-task", f"the queue belongs to {self.task.name}, not {wish.task[:100]}")
            if wish.app and wish.app != self.task.app.name:
                raise BadMessageError("unknown-task", f"it is for the application {wish.app[:100]}")
            value = self.task.payload.decode(wish.args)[ITEM]
        except BadPayloadError as error:
            self._outcomes["dead"] += 1
            await self._reject(hold, "bad-payload", str(error))
        except BadMessageError as error:
            self._outcomes["dead"] += 1
            await self._reject(hold, error.reason, str(error))
        except BaseException:
            self._keeper.let_go(hold)
            raise
        else:
            items.append(Item(hold, value))

    async def run(self, items: list[Item]) -> int:
        """Calls the function; a batch that fails as a whole at its last attempt is halved, to find who is at fault.

        Items that came more often than their attempts may have killed workers: each has a call for itself, after the
        others, in a random order. Answers how many items are done.
        """
        if not items:
            return 0
        attempts = self.task.settings.retries + 1
        suspects = [item for item in items if item.hold.message.receives > attempts]
        if suspects and len(items) > 1:
            done = await self.run([item for item in items if item.hold.message.receives <= attempts])
            for item in random.sample(suspects, len(suspects)):
                done += await self.run([item])
            return done
        if suspects and (receives := suspects[0].hold.message.receives) > attempts + ALONE_MAX:
            why = f"it was received {receives - 1} times without an end (was its worker killed?)"
            self._outcomes["dead"] += 1
            await self._reject(suspects[0].hold, "crashed", why)
            return 1
        task, messages = self.task, tuple(item.hold.message for item in items)
        attempt = max(message.receives for message in messages)
        name = f"{task.name}/batch-{uuid.uuid4().hex}"
        job = CurrentJob(task.app.name, task.name, name, task.queue, attempt, messages=messages, is_batch=True)
        for item in items:
            item.hold.job = job
        outcome: Outcome = "lost"
        began, seconds = time.monotonic(), 0.0
        try:
            failed, error = items, None
            try:
                failed = await self._call(items, job)
            except AlreadyDone:
                failed = []
            except GeneratorExit:
                raise
            except BaseException as raised:  # what is no Exception would end more than this batch
                error = _failure_of(raised)
            finally:
                seconds = time.monotonic() - began
            last = attempt > task.settings.retries or isinstance(error, Permanent)
            if error is None or not last or len(items) == 1:
                outcome = await self._settle_all(items, failed, error)
                return len(items) - len(failed)
            outcome = "retrying"
        finally:
            tell_ended(task.app.middleware, job, outcome, seconds)
        half = len(items) // 2
        return await self.run(items[:half]) + await self.run(items[half:])

    async def _call(self, items: list[Item], job: CurrentJob) -> list[Item]:
        """Answers the items that failed. Raises what the function raises."""
        task = self.task
        arguments: dict[str, Any] = {task.list_name: [item.value for item in items]}
        for name, provider in task.payload.uses.items():
            arguments[name] = await self._resources.get(provider)
        middleware = task.app.middleware

        async def call(depth: int = 0) -> Any:
            if depth == len(middleware):
                return await self._executor.run(task, arguments, job)
            return await middleware[depth].running(job, {}, lambda: call(depth + 1))

        answer = await call()
        return _failed_items(items, answer)

    # Settling -----------------------------------------------------------------------------------------

    async def _settle_all(self, items: Sequence[Item], failed: Sequence[Item], error: Exception | None) -> Outcome:
        """Answers the outcome of the least lucky."""
        bad = {id(item) for item in failed}
        why = error or ItemFailedError("the task answered that this item failed")
        outcomes = await asyncio.gather(
            *(self._failed(item, why) if id(item) in bad else self._done(item) for item in items),
            return_exceptions=True,  # each is settled before one of them raises
        )
        told: list[Outcome] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            told.append(outcome)
        self._outcomes.update(told)
        return max(told, key=_BY_LUCK.index)

    async def _done(self, item: Item) -> Outcome:
        if item.hold.stopped == "lost":
            self._keeper.let_go(item.hold)
            return "lost"
        await self._settle(item.hold, self._connection.delete(item.hold.message))
        return "completed"

    async def _failed(self, item: Item, error: Exception) -> Outcome:
        if item.hold.stopped == "lost":
            self._keeper.let_go(item.hold)
            return "lost"
        message = item.hold.message
        verdict = judge(error, message.receives, self.task.settings, self._chance())
        cause = error.__cause__ if isinstance(error, TaskExitError) else None
        failure = describe(cause or error, message.receives, int(time.time() * 1000), self._worker)
        if isinstance(verdict, Again):
            await self._settle(item.hold, self._connection.retry(message, verdict.delay))
            return "retrying"
        await self._reject(item.hold, verdict.reason, explanation(failure))
        return "dead"

    async def _reject(self, hold: Hold, reason: str, error: str) -> None:
        _log.error("message %s goes to the dead-letter queue: %s", hold.message.message_id, reason)
        await self._settle(hold, self._connection.reject(hold.message, reason, error))

    async def give_back(self, item: Item) -> None:
        """It comes again at once, and this delivery does not count."""
        if item.hold.stopped == "lost":
            self._keeper.let_go(item.hold)
        else:
            await self._settle(item.hold, self._connection.release(item.hold.message, 0))

    def let_go(self, items: Sequence[Item]) -> None:
        """Those that were not settled come again when their leases are over."""
        for item in items:
            self._keeper.let_go(item.hold)

    async def _settle(self, hold: Hold, settling: Any) -> None:
        try:
            await settling
        except TransportError as error:
            _log.warning("message %s comes again: %s", hold.message.message_id, error)
        finally:
            self._keeper.let_go(hold)


def _failure_of(error: BaseException) -> Exception:
    """What a function raised, as its failure. Raises it if the runtime is what it comes from: its own cancellation."""
    if isinstance(error, Exception):
        return error
    if isinstance(error, asyncio.CancelledError):
        if (own := asyncio.current_task()) is not None and own.cancelling():
            raise error
        return TaskExitError("the task was cancelled from within")
    wrapped = TaskExitError(f"{error!r} was raised")
    wrapped.__cause__ = error
    return wrapped


class ItemFailedError(Exception):
    """The function said so."""


def _failed_items(items: Sequence[Item], answer: Any) -> list[Item]:
    """The items of a batch that a function answered as failed. Raises BadResultError for what was not in the batch."""
    if answer is None:
        return []
    if not isinstance(answer, list | tuple | set):
        raise BadResultError(
            f"a batch task answers a list of the items that failed, or None, not {type(answer).__name__}"
        )
    left = list(items)
    failed = []
    for value in answer:
        found = next((one for one in left if one.value is value), None) or next(
            (one for one in left if one.value == value), None
        )
        if found is None:
            raise BadResultError("a batch task answered an item that was not in its batch")
        left.remove(found)
        failed.append(found)
    return failed
