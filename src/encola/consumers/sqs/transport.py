"""The transport over any SQS endpoint: an encola server, AWS, or whoever else speaks the API.

What only encola can do (long delays, deliveries taken back, moves to the dead-letter queue in one step) is done there
by operations of its own, and elsewhere by copies: see ``copies``.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import msgspec

from encola.consumers.jobstore import JobStore
from encola.consumers.sqs import copies
from encola.consumers.sqs.answers import UNKNOWN_CALLER, decoder_of, shape_of
from encola.consumers.sqs.batches import outcomes
from encola.consumers.sqs.client import FaultError, ServiceClient
from encola.consumers.sqs.desk import ServerDesk
from encola.consumers.sqs.line import HANG_UP_SECONDS_MAX, Line, current_line
from encola.consumers.sqs.queues import FIFO_SUFFIX, LEASE_SECONDS_MAX, Queues
from encola.consumers.sqs.requests import Requests
from encola.consumers.sqs.shapes import Entry, Messages, SendEntry, Server, Wanted
from encola.consumers.sqs.tries import PASSING_STATUSES, Repeat
from encola.consumers.transport import (
    BATCH_MAX,
    Incoming,
    NoQueueError,
    Outgoing,
    QueueFacts,
    QueueWish,
    RefusedError,
    ReportDesk,
    TransportError,
)

ENCOLA_DELAY_SECONDS_MAX = 1_209_600
ENTRIES_MAX = 100
"""More than this in one request would gain nothing, whatever the server takes."""

WAIT_SECONDS_MAX = 20
LEASE_MARGIN_SECONDS = 5
"""The longest lease is that much shorter, for the time that a request takes."""

GIVE_BACK_SECONDS_MAX = 2.0
"""For giving back what came in the moment in which a receive was cancelled."""

NO_DEAD_LETTERS = "Encola.NoDeadLetterQueue"

_SYSTEM_ATTRIBUTES = (
    "ApproximateReceiveCount",
    "SentTimestamp",
    "MessageGroupId",
    "SequenceNumber",
    "AWSTraceHeader",
)
_ALL = ("All",)
_NAME = "encola"

_encode = msgspec.json.Encoder().encode
_messages_decoder = decoder_of(Messages)
_server_decoder = decoder_of(Server)

Outcomes = Sequence[TransportError | None]
QueueWork = Callable[[str, list[int]], Awaitable[Outcomes]]


class SqsTransport:
    """See the module; it is a ``Transport``. To be used in one event loop.

    ``endpoint`` is a URL or ``aws``. ``credentials`` are botocore's, for who has some already: without them they come
    from where AWS's tools look. A server on this machine may be talked to without any.
    """

    def __init__(
        self, endpoint: str, region: str | None = None, profile: str | None = None, *, credentials: Any = None
    ) -> None:
        self.client = ServiceClient(endpoint, region, profile, credentials)
        self._requests = Requests(self.client)
        self._queues = Queues(self.client)
        self._is_encola = False
        self._batch_max = BATCH_MAX

    # Whom it talks to -------------------------------------------------------------------------------

    async def open(self) -> None:
        await self.client.open()
        try:
            self._is_encola = not self.client.is_aws and await self._asks_encola()
        except BaseException:
            await self.client.close()
            raise

    async def close(self) -> None:
        await self.client.close()

    @property
    def is_encola(self) -> bool:
        return self._is_encola

    @property
    def batch_max(self) -> int:
        return self._batch_max

    def records(self) -> JobStore | None:
        """Of the server itself, over the same connections; None where it is not encola."""
        if not self._is_encola:
            return None
        from encola.consumers.stores.server import ServerJobStore

        return ServerJobStore(self.client)

    def desk(self) -> ReportDesk | None:
        """The server's own, over the same connections; None where it is not encola."""
        return ServerDesk(self.client) if self._is_encola else None

    async def _asks_encola(self) -> bool:
        """Another service does not know the operation, and says so in its own way."""
        try:
            answer = await self.client.ask("Encola.DescribeServer", b"{}", repeat=Repeat.UNANSWERED)
        except FaultError as error:
            if error.fault.code in UNKNOWN_CALLER or error.fault.status in PASSING_STATUSES:
                raise error.fault.error() from None
            return False
        try:
            server = shape_of(_server_decoder, answer)
        except TransportError:
            return False
        if server.name != _NAME:
            return False
        self._batch_max = max(BATCH_MAX, min(server.entries_max, ENTRIES_MAX))
        return True

    # Queues -----------------------------------------------------------------------------------------

    async def describe(self, queue: str) -> QueueFacts:
        return await self._queues.describe(queue)

    async def create(self, wish: QueueWish) -> None:
        await self._queues.create(wish)

    # Messages ---------------------------------------------------------------------------------------

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> Sequence[str | TransportError]:
        delay_max = ENCOLA_DELAY_SECONDS_MAX if self._is_encola else copies.DELAY_SECONDS_MAX
        now = _now()
        return await self._send(queue, [copies.draft(message, delay_max, now) for message in messages])

    async def _send(self, queue: str, entries: list[SendEntry]) -> Sequence[str | TransportError]:
        long = any((entry.delay_seconds or 0) > copies.DELAY_SECONDS_MAX for entry in entries)
        many = self._batch_max > BATCH_MAX and len(entries) > BATCH_MAX
        target = "Encola.SendMessageBatch" if long or many else "AmazonSQS.SendMessageBatch"
        size = self._batch_max if many else BATCH_MAX
        with self._forgetting(queue):
            return await self._requests.send(target, await self._queues.url(queue), entries, size)

    async def receive(self, queue: str, limit: int, wait: float, lease: float) -> Sequence[Incoming]:
        line = Line()
        token = current_line.set(line)
        request = asyncio.ensure_future(self._receive(queue, limit, wait, lease))
        current_line.reset(token)
        try:
            return await asyncio.shield(request)
        except asyncio.CancelledError:
            await self._take_back(request, line)
            raise

    async def _receive(self, queue: str, limit: int, wait: float, lease: float) -> Sequence[Incoming]:
        seconds = min(copies.whole(wait), WAIT_SECONDS_MAX)
        with self._forgetting(queue):
            wanted = Wanted(
                await self._queues.url(queue),
                max_number_of_messages=min(limit, self._batch_max),
                visibility_timeout=_lease_seconds(lease),
                wait_time_seconds=seconds,
                attribute_names=_SYSTEM_ATTRIBUTES,
                message_attribute_names=_ALL,
            )
            began = time.monotonic()
            target = (
                "Encola.ReceiveMessage" if wanted.max_number_of_messages > BATCH_MAX else "AmazonSQS.ReceiveMessage"
            )
            answer = await self.client.call(target, _encode(wanted), wait=float(seconds), repeat=Repeat.UNDONE)
        messages = shape_of(_messages_decoder, answer).messages
        return [copies.received(queue, message, began) for message in messages or ()]

    async def _take_back(self, request: "asyncio.Task[Sequence[Incoming]]", line: Line) -> None:
        """Cancels a receive: its connection is closed, so that the service can tell. What came is given back."""
        await asyncio.sleep(0)  # an answer that is here has that long to be read
        if not request.done() and self._is_encola and line.hang_up():
            await asyncio.wait([request], timeout=HANG_UP_SECONDS_MAX)
        request.cancel()
        await asyncio.wait([request])
        if request.cancelled() or request.exception() is not None or not request.result():
            return
        with contextlib.suppress(TransportError, TimeoutError):
            async with asyncio.timeout(GIVE_BACK_SECONDS_MAX):
                now = [(message, 0.0) for message in request.result()]
                await (self.release(now) if self._is_encola else self.retry(now))

    async def delete(self, messages: Sequence[Incoming]) -> Outcomes:
        many = self._batch_max > BATCH_MAX and len(messages) > BATCH_MAX
        target = "Encola.DeleteMessageBatch" if many else "AmazonSQS.DeleteMessageBatch"
        entries = [Entry("", message.receipt) for message in messages]
        return await self._settle(target, messages, entries, self._batch_max if many else BATCH_MAX)

    async def extend(self, messages: Sequence[Incoming], lease: float) -> Outcomes:
        return await self._change_leases([(message, lease) for message in messages])

    async def retry(self, messages: Sequence[tuple[Incoming, float]]) -> Outcomes:
        return await self._change_leases(messages)

    async def _change_leases(self, messages: Sequence[tuple[Incoming, float]]) -> Outcomes:
        return await self._settle(
            "AmazonSQS.ChangeMessageVisibilityBatch",
            [message for message, _ in messages],
            [
                Entry("", message.receipt, visibility_timeout=min(copies.whole(seconds), _lease_left(message)))
                for message, seconds in messages
            ],
        )

    # Operations of encola's, and what stands in for them ---------------------------------------------

    async def release(self, messages: Sequence[tuple[Incoming, float]]) -> Outcomes:
        if not self._is_encola:
            return await self._each_queue([message for message, _ in messages], self._postpone(messages))
        return await self._settle(
            "Encola.ReleaseMessageBatch",
            [message for message, _ in messages],
            [
                Entry("", message.receipt, visibility_timeout=min(copies.whole(seconds), ENCOLA_DELAY_SECONDS_MAX))
                for message, seconds in messages
            ],
            self._batch_max,
        )

    def _postpone(self, messages: Sequence[tuple[Incoming, float]]) -> QueueWork:
        async def work(queue: str, indexes: list[int]) -> Outcomes:
            some = [messages[index] for index in indexes]
            if queue.endswith(FIFO_SUFFIX):  # a copy would go behind the messages that wait for it
                return await self._change_leases(some)
            now = _now()
            sent = await self._send(queue, [copies.postponed(message, seconds, now) for message, seconds in some])
            return await self._delete_copied([message for message, _ in some], sent)

        return work

    async def reject(self, messages: Sequence[tuple[Incoming, str, str]]) -> Outcomes:
        if not self._is_encola:
            return await self._each_queue([message for message, _, _ in messages], self._bury(messages))
        return await self._settle(
            "Encola.RejectMessageBatch",
            [message for message, _, _ in messages],
            [
                Entry("", message.receipt, reason=copies.reason_of(reason), error=copies.error_of(error))
                for message, reason, error in messages
            ],
            self._batch_max,
        )

    def _bury(self, messages: Sequence[tuple[Incoming, str, str]]) -> QueueWork:
        async def work(queue: str, indexes: list[int]) -> Outcomes:
            some = [messages[index] for index in indexes]
            target = await self._queues.dead_letters(queue)
            if target is None:
                return [RefusedError(NO_DEAD_LETTERS, f"the queue {queue} has no dead-letter queue")] * len(some)
            fifo = target.name.endswith(FIFO_SUFFIX)
            entries = [copies.dead_letter(message, reason, error, fifo=fifo) for message, reason, error in some]
            sent = await self._requests.send("AmazonSQS.SendMessageBatch", target.url, entries)
            return await self._delete_copied([message for message, _, _ in some], sent)

        return work

    async def _delete_copied(self, messages: Sequence[Incoming], sent: Sequence[str | TransportError]) -> Outcomes:
        """Deletes those whose copy is there: never before, so that a crash in between makes two of one, not none."""
        found = outcomes(sent)
        there = [index for index, one in enumerate(found) if one is None]
        if not there:
            return found
        try:
            deleted = await self.delete([messages[index] for index in there])
        except TransportError as error:
            deleted = [error] * len(there)
        for index, one in zip(there, deleted, strict=True):
            found[index] = one
        return found

    # Queue by queue ---------------------------------------------------------------------------------

    async def _settle(
        self, target: str, messages: Sequence[Incoming], entries: Sequence[Entry], size: int = BATCH_MAX
    ) -> Outcomes:
        async def work(queue: str, indexes: list[int]) -> Outcomes:
            some = [entries[index] for index in indexes]
            return outcomes(await self._requests.settle(target, await self._queues.url(queue), some, size))

        return await self._each_queue(messages, work)

    async def _each_queue(self, messages: Sequence[Incoming], work: QueueWork) -> Outcomes:
        """Does the work for the messages of each queue, given by their places. Raises TransportError if all failed."""
        places: dict[str, list[int]] = {}
        for index, message in enumerate(messages):
            places.setdefault(message.queue, []).append(index)
        found: list[TransportError | None] = [None] * len(messages)
        failures: list[TransportError] = []
        for queue, indexes in places.items():
            try:
                with self._forgetting(queue):
                    results = await work(queue, indexes)
            except TransportError as error:
                failures.append(error)
                results = [error] * len(indexes)
            for index, one in zip(indexes, results, strict=True):
                found[index] = one
        if failures and len(failures) == len(places):
            raise failures[0]
        return found

    @contextlib.contextmanager
    def _forgetting(self, queue: str) -> Iterator[None]:
        try:
            yield
        except NoQueueError:
            self._queues.forget(queue)
            raise


def _lease_seconds(lease: float) -> int:
    return min(copies.whole(lease), LEASE_SECONDS_MAX)


def _lease_left(message: Incoming) -> int:
    """The longest lease that it may have from now on: from its receive on, twelve hours are the most."""
    held = math.ceil(time.monotonic() - message.received_at)
    return max(LEASE_SECONDS_MAX - LEASE_MARGIN_SECONDS - held, 0)


def _now() -> int:
    return time.time_ns() // 1_000_000
