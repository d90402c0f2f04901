"""The pushed form of an application: a handler that AWS Lambda, or encola's own event source mappings, call with
messages.

    handler = app.lambda_handler()      # configure the mapping with ReportBatchItemFailures

The same tasks with the same rules as under a worker: what differs is who holds the lease (the mapping does), and how a
message is settled: those that the answer does not name as failed are deleted by the mapping. A failed message is given
its back-off by ChangeMessageVisibility where the function may do that; one that is over goes to the dead-letter queue,
and counts as done. Source: AWS Lambda developer guide, "Handling errors for an SQS event source".
"""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from encola.consumers.batches import BatchTask
from encola.consumers.batching import BatchHandler, Item
from encola.consumers.connection import Connection
from encola.consumers.execution import Executor
from encola.consumers.follow import Follow
from encola.consumers.gate import Gate
from encola.consumers.jobstore import JobStoreError
from encola.consumers.leases import Hold, LeaseKeeper
from encola.consumers.options import WINDOW_DEFAULT
from encola.consumers.preparing import require_records
from encola.consumers.resources import Resources
from encola.consumers.runner import Runner
from encola.consumers.slots import FreeTurn
from encola.consumers.sqs import copies
from encola.consumers.sqs.shapes import AttributeValue, Message
from encola.consumers.task_processes import TaskProcesses
from encola.consumers.transport import Incoming, RefusedError, TransportError

if TYPE_CHECKING:
    from encola.consumers.app import App

CONCURRENCY_DEFAULT = 32
REMAINING_DEFAULT = 900.0
"""Seconds: the longest that a Lambda function may run."""

MARGIN_SECONDS_MAX = 3.0
MARGIN_SHARE = 0.25
"""So much before the function's time is over its jobs are stopped, so that they can be given back in order."""

SOURCE = "aws:sqs"

_log = logging.getLogger("encola.worker")


class LambdaHandler:
    """Made by ``App.lambda_handler``. Call it as ``handler(event, context)``; it may be called again and again."""

    def __init__(self, app: "App", concurrency: int) -> None:
        self._app = app
        self._concurrency = concurrency
        self._function: _Function | None = None

    def __call__(self, event: Mapping[str, Any], context: Any = None) -> dict[str, Any]:
        """Answers ``{"batchItemFailures": [...]}``. Raises ValueError for an event that is none of SQS.

        Raises ConfigurationError where tasks need a store of records, and there is none.
        """
        return self._app.wait(self._handle(event, context))

    async def _handle(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        messages = messages_of(event)
        remaining = REMAINING_DEFAULT
        tell = getattr(context, "get_remaining_time_in_millis", None)
        if tell is not None:
            remaining = tell() / 1000
            remaining -= min(MARGIN_SECONDS_MAX, remaining * MARGIN_SHARE)
        return await self._app.connected(lambda connection: self._with(connection, messages, remaining))

    async def _with(self, connection: Connection, messages: Sequence[Incoming], remaining: float) -> dict[str, Any]:
        if self._function is None or self._function.connection is not connection:
            if connection.jobs is None:
                require_records(self._app, {message.queue for message in messages})
            self._function = _Function(self._app, connection, self._concurrency)
        failed = await self._function.invoke(messages, remaining)
        return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


class _Function:
    """What lives from one invocation to the next: resources, threads, limits."""

    def __init__(self, app: "App", connection: Connection, concurrency: int) -> None:
        self._app = app
        self.connection = connection
        processes = TaskProcesses(app)
        processes.require({task.queue for task in app.tasks.values()})
        self._executor, self._resources = Executor(processes), Resources()
        self._turns = asyncio.Semaphore(concurrency)
        prefix = app.record_key("")
        self._gate = Gate(connection, prefix, app.lease)
        self._follow = Follow(connection, prefix, int(WINDOW_DEFAULT * 1000), app.middleware)
        self._name = f"lambda/{random.getrandbits(32):08x}"
        self._numbers = itertools.count(1)

    async def invoke(self, messages: Sequence[Incoming], remaining: float) -> list[str]:
        """Works on one batch; answers the ids of the messages that are to come again, in their order."""
        settled = _Settled(self.connection)
        keeper = LeaseKeeper(settled, self._app.lease, messages=False)
        worker = f"{self._name}/{next(self._numbers)}"  # claims of two invocations must not look the same
        runner = Runner(
            settled,
            self._executor,
            self._resources,
            self._gate,
            self._follow,
            tasks=self._app.tasks,
            lease=self._app.lease,
            worker=worker,
        )
        work = []
        holds = []
        for queue, some in _by_queue(messages).items():
            task = self._app.batch_on(queue)
            if task is not None:
                handler = BatchHandler(task, settled, keeper, self._executor, self._resources, worker)
                work.append(self._batch(task, handler, keeper, some, remaining))
                continue
            held = [keeper.hold(message) for message in some]
            holds += held
            work += [self._line(runner, keeper, line) for line in _lines(queue, held)]
        keeper.start()
        stopper = asyncio.get_running_loop().call_later(remaining, _stop_all, holds)
        try:
            await asyncio.gather(*work)
        finally:
            stopper.cancel()
            await keeper.close()
        return [message.message_id for message in messages if message.message_id not in settled.done]

    async def _line(self, runner: Runner, keeper: LeaseKeeper, holds: Sequence[Hold]) -> None:
        """Messages in order. Behind one that failed, none is begun: they go back, so that they come right behind it."""
        over = True
        for hold in holds:
            async with self._turns:
                try:
                    if over and hold.stopped is None:
                        over = await runner.handle(hold, FreeTurn())
                    else:
                        over = False
                        await runner.give_back(hold)
                except Exception:
                    _log.exception("message %s could not be handled, and comes again", hold.message.message_id)
                    over = False
                finally:
                    keeper.let_go(hold)

    async def _batch(
        self,
        task: BatchTask,
        handler: BatchHandler,
        keeper: LeaseKeeper,
        messages: Sequence[Incoming],
        remaining: float,
    ) -> None:
        """All items in one call. They go back when the time is over, and when their rate cannot be asked for."""
        items: list[Item] = []
        try:
            async with asyncio.timeout(remaining) as limit:
                for message in messages:
                    await handler.read(message, items)
                await self._gate.pace(task, len(items))
                await handler.run(items)
            return
        except JobStoreError as error:
            _log.warning("a batch of %s waits for its rate in vain, and comes again: %s", task.name, error)
        except Exception as error:
            if not (isinstance(error, TimeoutError) and limit.expired()):
                _log.exception("a batch of %s could not be handled, and comes again", task.name)
                return
            _log.warning("a batch of %s was stopped: the function's time is over", task.name)
        unsettled = set(keeper.holds)
        await asyncio.gather(*(handler.give_back(item) for item in items if item.hold in unsettled))


class _Settled(Connection):
    """A connection on which settling a message means to remember how it ended: the mapping does the rest."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.transport, False)
        self.jobs = connection.jobs
        self._real = connection
        self.done: set[str] = set()
        self.send = connection.send  # type: ignore[method-assign]
        self.command = connection.command  # type: ignore[method-assign]

    async def delete(self, message: Incoming) -> None:
        self.done.add(message.message_id)

    async def retry(self, message: Incoming, delay: float) -> None:
        """Its back-off, if the function may set it; otherwise it comes again when its lease is over."""
        try:
            await self._real.retry(message, delay)
        except TransportError as error:
            _log.info("message %s comes again when its visibility timeout is over: %s", message.message_id, error)

    async def release(self, message: Incoming, delay: float) -> None:
        """As if it had not been delivered, if the function may do that. Raises TransportError."""
        try:
            await self._real.release(message, delay)
        except RefusedError:
            await self.retry(message, delay)
            return
        if not (self.transport.is_encola or message.queue.endswith(".fifo")):
            self.done.add(message.message_id)  # a copy comes in its place

    async def reject(self, message: Incoming, reason: str, error: str) -> None:
        await self._real.reject(message, reason, error)
        self.done.add(message.message_id)


# The event ------------------------------------------------------------------------------------------


class _Value(msgspec.Struct, rename="camel"):
    data_type: str
    string_value: str | None = None
    binary_value: bytes | None = None


class _Record(msgspec.Struct, rename="camel"):
    message_id: str
    receipt_handle: str
    body: str
    attributes: dict[str, str]
    queue: str = msgspec.field(name="eventSourceARN")
    event_source: str = SOURCE
    message_attributes: dict[str, _Value] | None = None


class _Event(msgspec.Struct):
    records: list[_Record] = msgspec.field(name="Records")


def messages_of(event: Mapping[str, Any]) -> list[Incoming]:
    """The messages of a Lambda event from SQS. Raises ValueError."""
    received_at = time.monotonic()
    try:
        records = msgspec.convert(event, _Event).records
        return [_message(record, received_at) for record in records]
    except (msgspec.ValidationError, KeyError) as error:
        raise ValueError(f"this handler is for messages from SQS, and the event is none of SQS: {error}") from None


def _message(record: _Record, received_at: float) -> Incoming:
    if record.event_source != SOURCE:
        raise ValueError(f"this handler is for messages from SQS, not from {record.event_source[:100]}")
    for name in ("ApproximateReceiveCount", "SentTimestamp"):
        int(record.attributes[name])
    given = (record.message_attributes or {}).items()
    values = {name: AttributeValue(one.data_type, one.string_value, one.binary_value) for name, one in given}
    message = Message(record.message_id, record.receipt_handle, record.body, record.attributes, values)
    return copies.received(record.queue.rpartition(":")[2], message, received_at)


def _by_queue(messages: Sequence[Incoming]) -> dict[str, list[Incoming]]:
    found: dict[str, list[Incoming]] = {}
    for message in messages:
        found.setdefault(message.queue, []).append(message)
    return found


def _lines(queue: str, holds: Sequence[Hold]) -> Sequence[Sequence[Hold]]:
    """What must go in order: on FIFO queues the messages of one group; others are each a line of its own."""
    if not queue.endswith(".fifo"):
        return [[hold] for hold in holds]
    groups: dict[str, list[Hold]] = {}
    for hold in holds:
        groups.setdefault(hold.message.group or "", []).append(hold)
    return list(groups.values())


def _stop_all(holds: Sequence[Hold]) -> None:
    for hold in holds:
        hold.stop("shutdown")
