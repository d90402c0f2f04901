"""The interface between the runtime and a queue service, and the values that cross it.

Implementations: any SQS endpoint (``sqs/transport.py``) and, for tests, a broker in this process. Times are in seconds.
A queue is named by its name; the transport knows its URL.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from encola.consumers.jobstore import JobStore
from encola.engine.workers import Orders, Report

BATCH_MAX = 10
"""Messages in one request (Amazon SQS API reference, SendMessageBatch); some services take more: ``batch_max``."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be sent. ``delay`` may be any number of seconds up to 14 days.

    ``attributes`` are text attributes. ``group`` and ``deduplication_id`` are for FIFO queues.
    """

    body: str
    attributes: dict[str, str] = {}
    delay: float = 0.0
    group: str | None = None
    deduplication_id: str | None = None


class Incoming(msgspec.Struct, kw_only=True):
    """A message that was received under a lease.

    ``receives`` counts this delivery, and leaves out those that were given back uncounted. ``sent_at`` is in
    milliseconds since 1970, by the server's clock; ``received_at`` by ``time.monotonic`` (taken before the request was
    sent, so that ``received_at + lease`` is never later than the end of the lease). ``trace`` is the header of AWS
    X-Ray, the system attribute AWSTraceHeader.
    """

    queue: str
    message_id: str
    receipt: str
    body: str
    attributes: dict[str, str]
    receives: int
    sent_at: int
    received_at: float
    group: str | None = None
    sequence: str | None = None
    trace: str | None = None


class QueueFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker must know of a queue. ``dead_letters`` is the name of the dead-letter queue, if there is one."""

    name: str
    fifo: bool
    lease: float
    retention: float
    dead_letters: str | None = None
    receives_max: int | None = None


class QueueWish(msgspec.Struct, frozen=True, kw_only=True):
    """A queue to be made if it is missing. ``dead_letters`` is made, too, and kept 14 days."""

    name: str
    lease: float = 60.0
    retention: float = 4 * 86_400.0
    dead_letters: str | None = None
    receives_max: int = 1000


class TransportError(Exception):
    """The service could not be reached, or could not do it now: a later try may succeed."""


class RefusedError(TransportError):
    """The service refused it, and will again: no right, a bad value. ``code`` is the service's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class NoQueueError(RefusedError):
    """There is no such queue."""


class ReportDesk(Protocol):
    """Where a worker reports to."""

    async def report(self, report: Report) -> Orders:
        """Raises TransportError."""
        ...


class Transport(Protocol):
    """See the module. In answers about several messages, None means done; an error means that this one was not."""

    async def open(self) -> None:
        """Learns whom it talks to. Raises TransportError."""
        ...

    async def close(self) -> None: ...

    @property
    def is_encola(self) -> bool:
        """Does the service keep long delays, take deliveries back uncounted, and move messages in one step?"""
        ...

    @property
    def batch_max(self) -> int:
        """How many messages one request takes."""
        ...

    def records(self) -> JobStore | None:
        """The store of records that the service keeps itself, over the same connection; None if it keeps none."""
        ...

    def desk(self) -> ReportDesk | None:
        """Where workers report to, over the same connection; None if the service keeps no list of them."""
        ...

    async def describe(self, queue: str) -> QueueFacts:
        """Raises NoQueueError, TransportError."""
        ...

    async def create(self, wish: QueueWish) -> None:
        """Makes a queue (and its dead-letter queue) if it is missing, changes none. Raises TransportError."""
        ...

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> Sequence[str | TransportError]:
        """Any number of messages, in order, in as many requests as it takes. Answers ids. Raises TransportError."""
        ...

    async def receive(self, queue: str, limit: int, wait: float, lease: float) -> Sequence[Incoming]:
        """Up to ``batch_max`` messages. Cancelled, it leaves nothing leased if the service can tell. Raises
        TransportError.
        """
        ...

    async def delete(self, messages: Sequence[Incoming]) -> Sequence[TransportError | None]:
        """They are done. Raises TransportError."""
        ...

    async def extend(self, messages: Sequence[Incoming], lease: float) -> Sequence[TransportError | None]:
        """Their leases last that long from now (RefusedError: the lease was lost). Raises TransportError."""
        ...

    async def retry(self, messages: Sequence[tuple[Incoming, float]]) -> Sequence[TransportError | None]:
        """They come again after so many seconds, and this delivery counts. Raises TransportError."""
        ...

    async def release(self, messages: Sequence[tuple[Incoming, float]]) -> Sequence[TransportError | None]:
        """They come again after so many seconds (up to 14 days), and this delivery does not count.

        Where the service cannot do that, a copy is sent that knows how often it was received, and the message is
        deleted: it then has a new id. On a FIFO queue of such a service the delivery counts instead, and order is kept.
        """
        ...

    async def reject(self, messages: Sequence[tuple[Incoming, str, str]]) -> Sequence[TransportError | None]:
        """To the dead-letter queue, with a reason (one word) and an explanation, as attributes of the message.

        The attributes are called ``encola.reason`` and ``encola.error``. One step where the service can do that; else
        the copy is sent first and the message deleted then. RefusedError: the queue has no dead-letter queue.
        """
        ...
