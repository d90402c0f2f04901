"""The broker: the face that every protocol calls.

It knows the queues, the clock and who waits; it asks the engine for decisions and the store to make them
durable. It speaks the engine's words and units (milliseconds, bytes); a protocol maps its own to these.
"""

from collections.abc import Sequence

import msgspec

from encola.broker.clock import Clock
from encola.engine.changes import Stored
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts, Delivery, Duration, Header, Instant, MessageId, Peek, QueueId, Receipt
from encola.engine.queue import Address, Queue, Settings
from encola.engine.store import Store


class Draft(msgspec.Struct, frozen=True):
    """A message as a producer hands it in. ``delay=None`` takes the queue's.

    ``deduplication_id`` is None where the queue is not ordered; the caller has applied content deduplication.
    """

    body: bytes
    sender: str = ""
    group: str = ""
    deduplication_id: str | None = None
    delay: Duration | None = None
    headers: dict[str, Header] = {}
    properties: dict[str, str] = {}


class MoveTask(msgspec.Struct):
    """A redrive in the background. ``target`` None: each message goes back to the queue it came from."""

    id: str
    source: Address
    target: Address | None
    rate: int | None  # messages a second, None for as fast as the store allows (at most 500)
    status: str  # RUNNING, COMPLETED, CANCELLING, CANCELLED, FAILED
    moved: int
    to_move: int
    started_at: Instant
    failure: str = ""


class Broker:
    def __init__(self, store: Store, clock: Clock, *, relaxed: bool = False) -> None: ...

    async def open(self) -> None:
        """Reads the catalog, starts the chores (retention, sweeps, move tasks)."""

    async def close(self) -> None:
        """Answers parked receives with nothing, stops the chores; the store stays open (its owner closes it)."""

    @property
    def clock(self) -> Clock: ...

    # Queues -----------------------------------------------------------------------------------------
    def find(self, address: Address) -> Queue | None: ...
    def queues(self, account: str | None = None) -> Sequence[Queue]:
        """Queues of an account (of all without one), by name."""

    def sources_of(self, target: Address) -> Sequence[Queue]:
        """The queues whose dead-letter rule names ``target``, by name."""

    async def create(self, address: Address, *, ordered: bool, settings: Settings, tags: dict[str, str]) -> Queue:
        """Raises QueueExistsError, QueueDeletedRecentlyError."""

    async def update(
        self, queue: Queue, *, settings: Settings | None = None, tags: dict[str, str] | None = None
    ) -> Queue:
        """Replaces settings and/or tags. Raises QueueGoneError."""

    async def drop(self, queue: Queue) -> None: ...
    async def purge(self, queue: Queue) -> None:
        """Raises PurgeInProgressError (not when ``relaxed``)."""

    # Messages ---------------------------------------------------------------------------------------
    async def send(self, queue: Queue, drafts: Sequence[Draft]) -> Sequence[Stored]:
        """Durable on return; all drafts in one transaction, in order."""

    async def receive(
        self,
        queue: Queue,
        *,
        limit: int,
        lease: Duration | None = None,
        wait: Duration | None = None,
        attempt_id: str | None = None,
    ) -> Sequence[Delivery]:
        """Leases up to ``limit`` messages, waiting up to ``wait`` for the first (None: the queue's settings).

        Messages over their dead-letter rule's receives are moved there instead of being delivered.
        ``attempt_id`` makes a repeated receive on an ordered queue answer the same deliveries.
        Raises TooManyLeasedError (short polls on standard queues only), QueueGoneError.
        """

    async def delete(self, queue: Queue, receipts: Sequence[Receipt]) -> Sequence[Outcome]: ...
    async def extend(self, queue: Queue, leases: Sequence[tuple[Receipt, Duration]]) -> Sequence[Outcome]:
        """Each message becomes ready that long from now; 0 gives it back at once."""

    async def counts(self, queue: Queue) -> Counts: ...
    async def browse(self, queue: Queue, after: MessageId | None = None, limit: int = 100) -> Sequence[Peek]: ...

    # Move tasks (redrive) ---------------------------------------------------------------------------
    async def start_move(self, source: Queue, target: Address | None, rate: int | None) -> MoveTask:
        """Raises MoveTaskRunningError, TooManyMoveTasksError."""

    async def cancel_move(self, task_id: str) -> MoveTask:
        """Raises MoveTaskNotFoundError."""

    def moves(self, source: Address) -> Sequence[MoveTask]:
        """The newest first, at most ten."""
