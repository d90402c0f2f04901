"""The pushed form of an application: a handler that AWS Lambda, or encola's own event source mappings, call with
messages.

    handler = app.lambda_handler()      # configure the mapping with ReportBatchItemFailures

The same tasks with the same rules as under a worker: what differs is who holds the lease (the mapping does), and how a
message is settled: those that the answer does not name as failed are deleted by the mapping. A failed message is given
its back-off by ChangeMessageVisibility where the function may do that; one that is over goes to the dead-letter queue,
and counts as done. Source: AWS Lambda developer guide, "Handling errors for an SQS event source".
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from encola.consumers.batches import BatchTask
from encola.consumers.batching import BatchHandler, Item
from encola.consumers.connection import Connection
from encola.consumers.execution import Executor
from encola.consumers.follow import Follow
from encola.consumers.gate import Gate
from encola.consumers.leases import Hold, LeaseKeeper
from encola.consumers.options import WINDOW_DEFAULT
from encola.consumers.resources import Resources
from encola.consumers.runner import Runner
from encola.consumers.slots import FreeTurn
from encola.consumers.transport import Incoming, TransportError

if TYPE_CHECKING:
    from encola.consumers.app import App

CONCURRENCY_DEFAULT = 32
REMAINING_DEFAULT = 900.0
"""Seconds: the longest that a Lambda function may run."""

MARGIN_SECONDS = 1.0
"""Before the function's time is over its jobs are stopped, so that they can be given back in order."""

_log = logging.getLogger("encola.worker")


class LambdaHandler:
    """Made by ``App.lambda_handler``. Call it as ``handler(event, context)``; it may be called again and again."""

    def __init__(self, app: "App", concurrency: int) -> None:
        self._app = app
        self._concurrency = concurrency
        self._function: _Function | None = None

    def __call__(self, event: Mapping[str, Any], context: Any = None) -> dict[str, Any]:
        """Answers ``{"batchItemFailures": [...]}``. Raises ValueError for an event that is none of SQS."""
        return self._app.wait(self._handle(event, context))

    async def _handle(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        messages = messages_of(event)
        remaining = REMAINING_DEFAULT
        tell = getattr(context, "get_remaining_time_in_millis", None)
        if tell is not None:
            remaining = max(MARGIN_SECONDS, tell() / 1000 - MARGIN_SECONDS)
        return await self._app.connected(lambda connection: self._with(connection, messages, remaining))

    async def _with(self, connection: Connection, messages: Sequence[Incoming], remaining: float) -> dict[str, Any]:
        if self._function is None or self._function.connection is not connection:
            self._function = _Function(self._app, connection, self._concurrency)
        failed = await self._function.invoke(messages, remaining)
        return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


class _Function:
    """What lives from one invocation to the next: resources, threads, limits."""

    def __init__(self, app: "App", connection: Connection, concurrency: int) -> None:
        self._app = app
        self.connection = connection
        self._executor, self._resources = Executor(), Resources()
        self._turns = asyncio.Semaphore(concurrency)
        prefix = app.record_key("")
        self._gate = Gate(connection, prefix, REMAINING_DEFAULT)
        self._follow = Follow(connection, prefix, int(WINDOW_DEFAULT * 1000), app.middleware)
        self._worker = f"lambda/{random.getrandbits(32):08x}"

    async def invoke(self, messages: Sequence[Incoming], remaining: float) -> list[str]:
        """Works on one batch; answers the ids of the messages that are to come again, in their order."""
        settled = _Settled(self.connection)
        keeper = LeaseKeeper(settled, remaining)
        runner = Runner(
            settled,
            self._executor,
            self._resources,
            self._gate,
            self._follow,
            tasks=self._app.tasks,
            lease=remaining,
            worker=self._worker,
        )
        holds = [keeper.hold(message) for message in messages]
        lines = [self._line(runner, line) for line in _lines(holds)]
        stopper = asyncio.get_running_loop().call_later(remaining, _stop_all, holds)
        try:
            await self._run_batches(settled, keeper, holds)
            await asyncio.gather(*lines)
        finally:
            stopper.cancel()
        return [message.message_id for message in messages if message.message_id not in settled.done]

    async def _line(self, runner: Runner, holds: Sequence[Hold]) -> None:
        """Messages of one group in order; behind one that failed, none is begun."""
        for hold in holds:
            if isinstance(self._app.batch_on(hold.message.queue), BatchTask):
                continue
            async with self._turns:
                try:
                    over = await runner.handle(hold, FreeTurn())
                except Exception:
                    _log.exception("message %s could not be handled, and comes again", hold.message.message_id)
                    over = False
            if not over and len(holds) > 1:
                return

    async def _run_batches(self, settled: "_Settled", keeper: LeaseKeeper, holds: Sequence[Hold]) -> None:
        batches: dict[str, list[Incoming]] = {}
        for hold in holds:
            if self._app.batch_on(hold.message.queue) is not None:
                batches.setdefault(hold.message.queue, []).append(hold.message)
        for queue, messages in batches.items():
            task = self._app.batch_on(queue)
            if task is None:
                continue
            handler = BatchHandler(task, settled, keeper, self._executor, self._resources, self._worker)
            items: list[Item] = []
            for message in messages:
                await handler.read(message, items)
            await self._gate.pace(task, len(items))
            await handler.run(items)


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
        await self.retry(message, delay)

    async def reject(self, message: Incoming, reason: str, error: str) -> None:
        await self._real.reject(message, reason, error)
        self.done.add(message.message_id)


def messages_of(event: Mapping[str, Any]) -> list[Incoming]:
    """The messages of a Lambda event from SQS. Raises ValueError."""
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        raise ValueError("the event has no Records: this handler is for messages from SQS")
    received_at = time.monotonic()
    try:
        return [_message(record, received_at) for record in records]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the event is none of SQS: {error!r}") from None


def _message(record: Mapping[str, Any], received_at: float) -> Incoming:
    attributes = record["attributes"]
    given = record.get("messageAttributes") or {}
    return Incoming(
        queue=record["eventSourceARN"].rpartition(":")[2],
        message_id=record["messageId"],
        receipt=record["receiptHandle"],
        body=record["body"],
        attributes={name: one["stringValue"] for name, one in given.items() if one.get("stringValue") is not None},
        receives=int(attributes["ApproximateReceiveCount"]),
        sent_at=int(attributes["SentTimestamp"]),
        received_at=received_at,
        group=attributes.get("MessageGroupId"),
        sequence=attributes.get("SequenceNumber"),
        trace=attributes.get("AWSTraceHeader"),
    )


def _lines(holds: Sequence[Hold]) -> list[list[Hold]]:
    """What must go in order: on FIFO queues the messages of one group; others are each a line of its own."""
    groups: dict[tuple[str, str], list[Hold]] = {}
    lines: list[list[Hold]] = []
    for hold in holds:
        message = hold.message
        if not message.queue.endswith(".fifo"):
            lines.append([hold])
            continue
        key = (message.queue, message.group or "")
        if key not in groups:
            lines.append(groups.setdefault(key, []))
        groups[key].append(hold)
    return lines


def _stop_all(holds: Sequence[Hold]) -> None:
    for hold in holds:
        hold.stop("shutdown")
