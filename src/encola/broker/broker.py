"""The broker: the face that every protocol calls.

It knows the queues, the clock and who waits; it asks the engine for decisions and the store to make them durable. It
speaks the engine's words and units (milliseconds, bytes); a protocol maps its own words to these.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from encola.broker.attempts import Attempts
from encola.broker.chores import Chores
from encola.broker.clock import Clock
from encola.broker.errors import (
    PurgeInProgressError,
    QueueDeletedRecentlyError,
    QueueExistsError,
    QueueGoneError,
)
from encola.broker.hands import Hands
from encola.broker.message_ids import MessageIds
from encola.broker.moves import Moves, MoveTask
from encola.broker.receiving import Receiving, Wanted, always
from encola.broker.records import Records
from encola.broker.registry import Registry
from encola.broker.tallies import Tallies
from encola.broker.workers import Workers
from encola.engine.changes import (
    Applied,
    Change,
    Declare,
    Deduplication,
    Delete,
    Drop,
    Extend,
    Note,
    Purge,
    Put,
    Reject,
    Release,
    Stored,
)
from encola.engine.lifecycle import Outcome
from encola.engine.message import (
    Counts,
    Delivery,
    Duration,
    Envelope,
    Header,
    Instant,
    MessageId,
    Peek,
    QueueId,
    Receipt,
    size_of,
)
from encola.engine.queue import (
    DEDUPLICATION_WINDOW,
    LEASE_TOTAL_MAX,
    LONG_DELAY,
    MINUTE,
    Address,
    Queue,
    Settings,
)
from encola.engine.store import Store, StoreError

PURGE_PAUSE: Duration = MINUTE

__all__ = ["Broker", "Draft", "MoveTask"]


class Draft(msgspec.Struct, frozen=True):
    """A message as a producer hands it in. ``delay=None`` takes the queue's; a long one puts off its retention, too.

    ``deduplication_id`` is None where nothing is to be deduplicated; the caller has applied content deduplication and
    the scope (a key that is limited to a group contains the group).
    """

    body: bytes
    sender: str = ""
    group: str = ""
    deduplication_id: str | None = None
    delay: Duration | None = None
    headers: dict[str, Header] = {}
    properties: dict[str, str] = {}


class Broker:
    """See the module. ``relaxed`` lifts the sixty-second rules of delete and purge (for development)."""

    def __init__(self, store: Store, clock: Clock, *, relaxed: bool = False) -> None:
        self._store = store
        self._clock = clock
        self._relaxed = relaxed
        self._queues = Registry()
        self.find = self._queues.find  # (address: Address) -> Queue | None
        self._purged_at: dict[QueueId, Instant] = {}
        self._administration = asyncio.Lock()
        self._message_ids = MessageIds()
        self._attempts = Attempts()
        self.tallies = Tallies()
        self._receiving = Receiving(store, clock, self._queues, self._attempts, self.tallies)
        self._chores = Chores(store, clock, self._queues)
        self._moves = Moves(store, clock, self._queues, self._message_ids)
        self.records = Records(store, clock)
        self.hands = Hands(store, clock, self._queues, self._message_ids)
        self.workers = Workers(clock)

    async def open(self) -> None:
        """Reads the catalog, starts the chores (retention, sweeps, move tasks)."""
        catalog = await self._store.catalog()
        self._clock.start_after(catalog.last_instant)
        for queue in catalog.queues:
            self._queues.put(queue)
            self.tallies.begin(queue.id)
        self._store.watch(self._receiving.waiters.on_wakeup)
        self._moves.open(catalog.notes)
        self._chores.start()

    async def close(self) -> None:
        """Answers parked receives with nothing, stops the chores; the store stays open (its owner closes it)."""
        self._receiving.close()
        await self._moves.close()
        await self._chores.close()

    def stop_waiting(self) -> None:
        """Answers all parked receives with nothing, and later ones at once: the first step of a graceful stop."""
        self._receiving.close()

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def waiting(self) -> int:
        """Parked receives."""
        return len(self._receiving.waiters)

    def parked_by_queue(self) -> Mapping[QueueId, int]:
        """Parked receives of each queue that has any."""
        return self._receiving.waiters.by_queue()

    # Queues -----------------------------------------------------------------------------------------

    def queues(self, account: str | None = None) -> Sequence[Queue]:
        """Queues of an account (of all without one), by name."""
        return self._queues.all(account)

    def sources_of(self, target: Address) -> Sequence[Queue]:
        """The queues whose dead-letter rule names ``target``, by name."""
        return self._queues.sources_of(target)

    async def create(self, address: Address, *, ordered: bool, settings: Settings, tags: dict[str, str]) -> Queue:
        """Raises QueueExistsError, QueueDeletedRecentlyError (not when ``relaxed``)."""
        async with self._administration:
            now = self._clock.now()
            if self._queues.find(address) is not None:
                raise QueueExistsError(str(address))
            if not self._relaxed and self._queues.deleted_recently(address, now):
                raise QueueDeletedRecentlyError(address)
            queue = Queue(
                id=self._queues.new_id(now),
                address=address,
                ordered=ordered,
                settings=settings,
                tags=tags,
                created_at=now,
                modified_at=now,
            )
            return await self._declare(queue)

    async def update(
        self, queue: Queue, *, settings: Settings | None = None, tags: dict[str, str] | None = None
    ) -> Queue:
        """Replaces settings and/or tags. Raises QueueGoneError."""
        async with self._administration:
            current = self._current(queue)
            changed = msgspec.structs.replace(
                current,
                settings=current.settings if settings is None else settings,
                tags=current.tags if tags is None else tags,
                modified_at=self._clock.now() if settings is not None else current.modified_at,
            )
            return await self._declare(changed)

    async def pause(self, queue: Queue) -> Queue:
        """Nobody receives from the queue any more, until it is resumed; all else goes on. Raises QueueGoneError.

        Once this has answered, no receive leases a message: those that wait go on waiting.
        """
        return await self._set_paused(queue, paused=True)

    async def resume(self, queue: Queue) -> Queue:
        """Ends a pause; the receives that wait look at once. Raises QueueGoneError."""
        return await self._set_paused(queue, paused=False)

    async def _set_paused(self, queue: Queue, *, paused: bool) -> Queue:
        async with self._administration:
            current = self._current(queue)
            if current.paused is paused:
                return current
            changed = msgspec.structs.replace(current, paused=paused)
            if paused:  # it holds before it is durable: the claims that the store has by now come before it
                self._queues.put(changed)
            try:
                return await self._declare(changed)
            except StoreError:
                self._queues.put(current)
                raise
            finally:
                if not self._queues.is_paused(current.id):
                    self._receiving.waiters.wake_all(current.id)

    async def drop(self, queue: Queue) -> None:
        """Deletes a queue and all it holds; its parked receives end. Raises QueueGoneError."""
        async with self._administration:
            current = self._current(queue)
            try:
                await self._store.apply([Drop(current.id)])
            except asyncio.CancelledError:  # as in _declare
                self._forget(current)
                raise
            self._forget(current)

    def _forget(self, queue: Queue) -> None:
        self._queues.remove(queue, self._clock.now())
        self._purged_at.pop(queue.id, None)
        self._receiving.forget(queue.id)
        self.tallies.forget(queue.id)
        self._chores.soon()

    async def purge(self, queue: Queue) -> None:
        """Deletes all messages of a queue. Raises PurgeInProgressError (not when ``relaxed``), QueueGoneError."""
        async with self._administration:
            current, now = self._current(queue), self._clock.now()
            if not self._relaxed and now - self._purged_at.get(current.id, now - PURGE_PAUSE) < PURGE_PAUSE:
                raise PurgeInProgressError(current.address.name)
            await self._store.apply([Purge(current.id)])
            self._purged_at[current.id] = now
        self._chores.soon()

    def _current(self, queue: Queue) -> Queue:
        current = self._queues.by_id(queue.id)
        if current is None:
            raise QueueGoneError(str(queue.address))
        return current

    async def _declare(self, queue: Queue) -> Queue:
        try:
            await self._store.apply([Declare(queue)])
        except asyncio.CancelledError:  # who asked has left, but the store does what it was asked
            self._known(queue)
            raise
        return self._known(queue)

    def _known(self, queue: Queue) -> Queue:
        self._queues.put(queue)
        self.tallies.begin(queue.id)
        return queue

    # Messages ---------------------------------------------------------------------------------------

    async def send(self, queue: Queue, drafts: Sequence[Draft]) -> Sequence[Stored]:
        """Durable on return; all drafts in one transaction, in order. Raises QueueGoneError."""
        now = self._clock.now()
        if not queue.ordered:
            for draft in drafts:
                if draft.group:
                    self._receiving.tenants.seen(queue.id)
                    break
        stored = await self._store.apply([self._put(queue, draft, now) for draft in drafts])
        if stored and stored[0] is Outcome.GONE:  # all of them, or none
            raise QueueGoneError(str(queue.address))
        answers: Sequence[Stored] = stored  # type: ignore[assignment]  # a Put answers Stored, or GONE
        self.tallies.sent(queue.id, [size_of(draft.body, draft.headers) for draft in drafts], answers)
        return answers

    def _put(self, queue: Queue, draft: Draft, now: Instant) -> Put:
        key = draft.deduplication_id
        delay = queue.settings.delay if draft.delay is None else draft.delay
        long = delay > LONG_DELAY
        envelope = Envelope(
            self._message_ids.new(),
            draft.sender,
            draft.group,
            key or "",
            "",
            draft.headers,
            draft.properties,
            now if long else 0,
        )
        return Put(
            queue.id,
            envelope,
            draft.body,
            now,
            now + delay,
            None if key is None else Deduplication(key, now + DEDUPLICATION_WINDOW),
            now + delay if long else 0,
        )

    async def receive(
        self,
        queue: Queue,
        *,
        limit: int,
        lease: Duration | None = None,
        wait: Duration | None = None,
        attempt_id: str | None = None,
        wanted: Wanted = always,
    ) -> Sequence[Delivery]:
        """Leases up to ``limit`` messages, waiting up to ``wait`` for the first (None: the queue's settings).

        Messages over their dead-letter rule's receives are moved there instead of being delivered. ``attempt_id``
        makes a repeated receive on an ordered queue answer the same deliveries. A receive that waits gets nothing
        once it is not ``wanted`` any more. Raises TooManyLeasedError (short
        polls of standard queues only), QueueGoneError.
        """
        lease = queue.settings.lease if lease is None else lease
        wait = queue.settings.wait if wait is None else wait
        if attempt_id is not None and queue.ordered:
            deliveries = await self._receiving.attempt(queue, attempt_id, limit, lease, wait, wanted)
        else:
            deliveries = await self._receiving.receive(queue, limit, lease, wait, wanted)
        self.tallies.answered(queue.id, len(deliveries))
        return deliveries

    async def collect(self, queue: Queue, *, limit: int, lease: Duration, wait: Duration) -> Sequence[Delivery]:
        """As ``receive``, for a caller that may be cancelled at any moment: nothing that it had just got is counted.

        A queue at its cap on leases answers nothing. Raises QueueGoneError.
        """
        deliveries = await self._receiving.park(queue, limit, lease, self._clock.now() + wait, always)
        self.tallies.answered(queue.id, len(deliveries))
        return deliveries

    async def delete(self, queue: Queue, receipts: Sequence[Receipt]) -> Sequence[Outcome]:
        """Deletes deliveries; on an ordered queue their leases must still run."""
        now, live = self._clock.now(), queue.ordered
        outcomes = await self._settle(
            [Delete(queue.id, receipt.message, receipt.lease, now, live) for receipt in receipts], receipts
        )
        self.tallies.deleted(queue.id, outcomes)
        return outcomes

    async def extend(self, queue: Queue, leases: Sequence[tuple[Receipt, Duration]]) -> Sequence[Outcome]:
        """Each message becomes ready that long from now; 0 gives it back at once."""
        now = self._clock.now()
        return await self._settle(
            [
                Extend(queue.id, receipt.message, receipt.lease, now + duration, now, LEASE_TOTAL_MAX)
                for receipt, duration in leases
            ],
            [receipt for receipt, _ in leases],
        )

    async def release(self, queue: Queue, receipts: Sequence[tuple[Receipt, Duration]]) -> Sequence[Outcome]:
        """Takes deliveries back as if they had never happened; each message comes that long from now."""
        now = self._clock.now()
        return await self._settle(
            [Release(queue.id, receipt.message, receipt.lease, now + pause, now) for receipt, pause in receipts],
            [receipt for receipt, _ in receipts],
        )

    async def reject(
        self, queue: Queue, rejections: Sequence[tuple[Receipt, Mapping[str, Header]]]
    ) -> Sequence[Outcome]:
        """Moves deliveries to the dead-letter queue, with headers that say why. NO_TARGET: the queue has none."""
        target = self._queues.dead_letters(queue)
        if target is None:
            return [Outcome.NO_TARGET] * len(rejections)
        now, live = self._clock.now(), queue.ordered
        outcomes = await self._settle(
            [
                Reject(queue.id, receipt.message, receipt.lease, target.id, dict(headers), now, live)
                for receipt, headers in rejections
            ],
            [receipt for receipt, _ in rejections],
        )
        self.tallies.dead_lettered(queue.id, outcomes)
        return outcomes

    async def _settle(self, changes: Sequence[Change], receipts: Sequence[Receipt]) -> Sequence[Outcome]:
        outcomes: Sequence[Applied] = await self._store.apply(changes)
        for receipt in receipts:
            self._attempts.void(receipt.message)
        return outcomes  # type: ignore[return-value]  # they answer Outcomes

    async def counts(self, queue: Queue) -> Counts:
        """Ready, leased and delayed messages now."""
        counts = await self._store.counts([queue.id], self._clock.now())
        return counts.get(queue.id, Counts())

    async def browse(
        self, queue: Queue, after: MessageId | None = None, limit: int = 100, *, newest_first: bool = False
    ) -> Sequence[Peek]:
        """Messages by id, those behind ``after`` in this direction, without leasing any.

        ``after`` need not be there. Each page costs about the same, however many are before it.
        """
        return await self._store.browse(queue.id, after, limit, newest_first=newest_first)

    async def browse_from(self, queue: Queue, sent_at: Instant) -> MessageId:
        """What to browse after to see the messages that were sent at ``sent_at`` or later.

        To see those that were sent before it, the newest first, browse before the id that follows this one. It is
        found by bisection: near it only, where messages were dead-lettered or put off.
        """
        return await self._store.browse_from(queue.id, sent_at)

    async def peek(self, queue: Queue, message: MessageId) -> Peek | None:
        """A message, without leasing it; None when it is not on this queue (any more)."""
        (found,) = await self._store.peek(queue.id, [message])
        return found

    # Notes ------------------------------------------------------------------------------------------

    async def notes(self, kind: str) -> dict[str, bytes]:
        """The small records that somebody above the broker keeps in the store under ``kind``: read at a start."""
        catalog = await self._store.catalog()
        return {key: value for (of, key), value in catalog.notes.items() if of == kind}

    async def keep(self, kind: str, notes: Mapping[str, bytes | None]) -> None:
        """Keeps notes, durable on return and all in one transaction; None forgets one."""
        await self._store.apply([Note(kind, key, value) for key, value in notes.items()])

    # Move tasks (redrive) ---------------------------------------------------------------------------

    async def start_move(self, source: Queue, target: Address | None, rate: int | None) -> MoveTask:
        """Starts a redrive of all ready messages. Raises MoveTaskRunningError, TooManyMoveTasksError."""
        to_move = (await self.counts(source)).ready
        return await self._moves.start(source, target, rate, to_move)

    async def cancel_move(self, task_id: str) -> MoveTask:
        """Raises MoveTaskNotFoundError."""
        return await self._moves.cancel(task_id)

    def moves(self, source: Address) -> Sequence[MoveTask]:
        """The newest first, at most ten."""
        return self._moves.of_source(source)
