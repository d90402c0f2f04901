"""The memory store: the executable specification of what a store does.

Plain dictionaries, each operation at once, no care for speed or size. Nothing survives the process; all else is
as in the durable stores, and one conformance suite holds for all. Where a durable store is clever (lanes, partitions,
counters), this one looks at every message of the queue.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec

from encola.engine.changes import (
    Amend,
    Applied,
    Change,
    Claim,
    Declare,
    Delete,
    Drop,
    Extend,
    Move,
    Note,
    Purge,
    Put,
    Refused,
    Reject,
    Release,
    Resend,
    Stored,
    Sweep,
    Swept,
    Wakeup,
)
from encola.engine.lanes import merge, ordered_pick, ordered_ready_at
from encola.engine.lifecycle import (
    Outcome,
    State,
    delayed_by_queue,
    judge_delete,
    judge_extend,
    judge_release,
    rejected,
    released,
    state_of,
)
from encola.engine.message import (
    Counts,
    Delivery,
    Envelope,
    Instant,
    MessageId,
    MessageState,
    Peek,
    QueueId,
)
from encola.engine.metrics import Backlog, Vitals, backlog_of
from encola.engine.queue import Queue
from encola.engine.record_rules import WrongRecordError, decide
from encola.engine.records import FoundJobs, Job, JobSearch, Reply, pack, unpack
from encola.engine.store import Catalog

_log = logging.getLogger("encola.store")


class _Stored(msgspec.Struct):
    state: MessageState
    envelope: Envelope
    body: bytes


class _Shelf(msgspec.Struct):
    """One queue and its messages, in the order of their ids."""

    queue: Queue
    messages: dict[MessageId, _Stored] = {}
    seen: dict[str, tuple[Instant, MessageId, str]] = {}  # deduplication: until, first message


class MemoryStore:
    """See the module. Of use for tests, and wherever a restart may forget everything."""

    def __init__(self) -> None:
        self._shelves: dict[QueueId, _Shelf] = {}
        self._notes: dict[tuple[str, str], bytes] = {}
        self._records: dict[tuple[str, str], bytes] = {}  # packed, so that none shares memory with a request
        self._last_id = 0
        self._last_instant: Instant = 0
        self._listeners: list[Callable[[Wakeup], None]] = []
        self._wakeups: dict[QueueId, Instant] = {}
        self._vitals = Vitals()

    async def open(self) -> None:
        """Nothing to do: there is no medium."""

    async def close(self) -> None:
        """Nothing to do: what was stored stays, as long as this object does."""

    def watch(self, listener: Callable[[Wakeup], None]) -> None:
        self._listeners.append(listener)

    # Changes ----------------------------------------------------------------------------------------

    async def apply(self, changes: Sequence[Change]) -> Sequence[Applied]:
        applied = [self._apply(change) for change in changes]
        self._vitals.commits += 1
        self._vitals.calls += 1
        self._vitals.commit_buckets[0] += 1
        self._vitals.group_buckets[0] += 1
        wakeups, self._wakeups = self._wakeups, {}
        for queue, at in wakeups.items():
            for listener in self._listeners:
                try:
                    listener(Wakeup(queue, at))
                except Exception:  # its own fault: the change is made, and the others are told
                    _log.exception("a watcher of the store failed")
        return applied

    def _apply(self, change: Change) -> Applied:
        match change:
            case Put():
                return self._put(change)
            case Delete():
                return self._delete(change)
            case Extend():
                return self._extend(change)
            case Release():
                return self._release(change)
            case Reject():
                return self._reject(change)
            case Move():
                return self._move(change)
            case Resend():
                return self._resend(change)
            case Declare():
                return self._declare(change)
            case Drop():
                return Outcome.DONE if self._shelves.pop(change.queue, None) else Outcome.GONE
            case Purge():
                return self._purge(change)
            case Note():
                return self._note(change)
            case Amend():
                return self._amend(change)
            case Sweep():
                return self._sweep(change)

    def _put(self, put: Put) -> Stored | Outcome:
        shelf = self._shelves.get(put.queue)
        if shelf is None:
            return Outcome.GONE
        key = put.deduplication
        if key is not None and key.key in shelf.seen:
            until, message, message_id = shelf.seen[key.key]
            if until > put.sent_at:
                return Stored(message, message_id, duplicate=True)
        message = self._new_id()
        state = MessageState(message, put.ready_at, 0, 0, max(put.sent_at, put.kept_from), 0, 0)
        shelf.messages[message] = _Stored(state, put.envelope, put.body)
        if key is not None:
            shelf.seen[key.key] = (key.until, message, put.envelope.message_id)
        self._saw(put.sent_at)
        self._wake(put.queue, put.ready_at)
        return Stored(message, put.envelope.message_id)

    def _delete(self, delete: Delete) -> Outcome:
        shelf, stored = self._find(delete.queue, delete.message)
        state = stored.state if stored else None
        outcome = judge_delete(state, delete.lease, delete.now, live_lease=delete.live_lease, unheld=delete.unheld)
        if outcome is Outcome.DONE and shelf:
            del shelf.messages[delete.message]
            self._saw(delete.now)
            self._wake_group(shelf, delete.now)
        return outcome

    def _extend(self, extend: Extend) -> Outcome:
        shelf, stored = self._find(extend.queue, extend.message)
        outcome = judge_extend(
            stored.state if stored else None, extend.lease, extend.until, extend.now, extend.lease_total_max
        )
        if outcome is Outcome.DONE and stored and shelf:
            stored.state.ready_at = extend.until
            if extend.uncounted:
                stored.state.receives -= 1
            self._saw(extend.now)
            self._wake(extend.queue, extend.until)
            self._wake_group(shelf, extend.now)
        return outcome

    def _move(self, move: Move) -> Outcome:
        shelf, stored = self._find(move.queue, move.message)
        target = self._shelves.get(move.target)
        if stored is None or shelf is None or target is None:
            return Outcome.GONE
        if stored.state.lease != move.lease:
            return Outcome.STALE
        self._shift(shelf, stored, target, move.envelope, move.sent_at, move.now)
        return Outcome.DONE

    def _shift(
        self, shelf: _Shelf, stored: _Stored, target: _Shelf, envelope: Envelope, sent_at: Instant, now: Instant
    ) -> None:
        self._saw(now)
        message = stored.state.id
        del shelf.messages[message]
        state = MessageState(message, now, stored.state.lease + 1, 0, sent_at, 0, 0)
        target.messages[message] = _Stored(state, envelope, stored.body)
        target.messages = dict(sorted(target.messages.items()))
        self._wake_group(shelf, now)
        self._wake(target.queue.id, now)

    def _release(self, release: Release) -> Outcome:
        shelf, stored = self._find(release.queue, release.message)
        outcome = judge_release(stored.state if stored else None, release.lease, release.now)
        if outcome is Outcome.DONE and stored and shelf:
            stored.state, stored.envelope = released(stored.state, stored.envelope, release.until, release.now)
            self._saw(release.now)
            self._wake(release.queue, release.until)
            self._wake_group(shelf, release.now)
        return outcome

    def _reject(self, reject: Reject) -> Outcome:
        shelf, stored = self._find(reject.queue, reject.message)
        outcome = judge_delete(stored.state if stored else None, reject.lease, reject.now, live_lease=reject.live_lease)
        if outcome is not Outcome.DONE or stored is None or shelf is None:
            return outcome
        target = self._shelves.get(reject.target)
        if target is None:
            return Outcome.NO_TARGET
        envelope = rejected(stored.envelope, shelf.queue, target.queue, reject.headers)
        sent_at = reject.now if target.queue.ordered else stored.state.sent_at
        self._shift(shelf, stored, target, envelope, sent_at, reject.now)
        return Outcome.DONE

    def _resend(self, resend: Resend) -> Outcome:
        shelf, stored = self._find(resend.queue, resend.message)
        state = stored.state if stored else None
        outcome = judge_delete(state, resend.lease, resend.now, live_lease=False, unheld=resend.unheld)
        if outcome is not Outcome.DONE or stored is None or shelf is None:
            return outcome
        if resend.target not in self._shelves:
            return Outcome.NO_TARGET
        del shelf.messages[resend.message]
        body = stored.body if resend.body is None else resend.body
        self._put(Put(resend.target, resend.envelope, body, resend.now, resend.now))
        self._wake_group(shelf, resend.now)
        return Outcome.DONE

    def _declare(self, declare: Declare) -> Outcome:
        queue = declare.queue
        self._saw(queue.modified_at)
        shelf = self._shelves.get(queue.id)
        if shelf is None:
            self._shelves[queue.id] = _Shelf(queue)
            return Outcome.DONE
        if queue.ordered and queue.settings.delay != shelf.queue.settings.delay:
            for stored in shelf.messages.values():
                if delayed_by_queue(stored.state, queue.modified_at):
                    stored.state.ready_at = stored.state.sent_at + queue.settings.delay
                    self._wake(queue.id, stored.state.ready_at)
        shelf.queue = queue
        return Outcome.DONE

    def _purge(self, purge: Purge) -> Outcome:
        shelf = self._shelves.get(purge.queue)
        if shelf is None:
            return Outcome.GONE
        shelf.messages.clear()
        shelf.seen.clear()
        return Outcome.DONE

    def _note(self, note: Note) -> Outcome:
        if note.value is None:
            self._notes.pop((note.kind, note.key), None)
        else:
            self._notes[note.kind, note.key] = note.value
        return Outcome.DONE

    def _amend(self, amend: Amend) -> Reply | Refused:
        place = amend.account, amend.command.key
        stored = self._records.get(place)
        record = None if stored is None else unpack(stored)
        try:
            changed, reply = decide(record, amend.command, amend.now)
        except WrongRecordError as error:
            return Refused(str(error))
        if changed is not record:
            self._saw(amend.now)
            if changed is None:
                del self._records[place]
            else:
                self._records[place] = pack(changed)
        return reply

    def _sweep(self, sweep: Sweep) -> Swept:
        removed = 0
        for queue, sent_before in sweep.sent_before.items():
            shelf = self._shelves.get(queue)
            for stored in list(shelf.messages.values()) if shelf else ():
                over = stored.state.sent_at < sent_before and stored.state.ready_at <= sweep.now
                if over and removed < sweep.limit and shelf:
                    del shelf.messages[stored.state.id]
                    removed += 1
        forgotten = 0
        for shelf in self._shelves.values():
            seen = {key: entry for key, entry in shelf.seen.items() if entry[0] > sweep.now}
            forgotten += len(shelf.seen) - len(seen)
            shelf.seen = seen
        records = {place: doc for place, doc in self._records.items() if unpack(doc).expires_at > sweep.now}
        forgotten += len(self._records) - len(records)
        self._records = records
        if removed or forgotten:
            self._saw(sweep.now)
        return Swept(removed, more=removed >= sweep.limit)

    # Claims and reads -------------------------------------------------------------------------------

    async def claim(self, claim: Claim) -> Sequence[Delivery]:
        shelf = self._shelves.get(claim.queue)
        if shelf is None:
            return ()
        lanes = self._lanes(shelf, claim)
        if shelf.queue.ordered:
            picked = self._pick_ordered(lanes, claim)
        else:
            ready = {
                group: sorted((m for m in messages if m.ready_at <= claim.now), key=lambda m: (m.ready_at, m.id))
                for group, messages in lanes.items()
            }
            picked = merge(ready, claim.limit, claim.noisy)
        if picked:
            self._saw(claim.now)
        return tuple(self._lease(shelf.messages[state.id], claim) for state in picked)

    def _pick_ordered(self, lanes: Mapping[str, list[MessageState]], claim: Claim) -> list[MessageState]:
        picked: list[MessageState] = []
        for lane in sorted(lanes.values(), key=lambda lane: (_ordered_ready_at(lane), lane[0].id)):
            picked += ordered_pick(lane, claim.now, claim.limit - len(picked))
        return picked

    def _lease(self, stored: _Stored, claim: Claim) -> Delivery:
        state = stored.state
        state.lease += 1
        state.receives += 1
        state.ready_at = claim.lease_until
        state.leased_at = claim.now
        state.first_received_at = state.first_received_at or claim.now
        return Delivery(
            state.id,
            state.lease,
            state.ready_at,
            state.receives,
            state.sent_at,
            state.first_received_at,
            stored.envelope,
            stored.body,
        )

    async def catalog(self) -> Catalog:
        return Catalog([shelf.queue for shelf in self._shelves.values()], dict(self._notes), self._last_instant)

    async def next_ready(self, queue: QueueId, now: Instant) -> Instant | None:
        shelf = self._shelves.get(queue)
        if shelf is None or not shelf.messages:
            return None
        if not shelf.queue.ordered:
            return min(stored.state.ready_at for stored in shelf.messages.values())
        return min(_ordered_ready_at(lane) for lane in self._lanes(shelf).values())

    async def browse(
        self, queue: QueueId, after: MessageId | None, limit: int, *, newest_first: bool = False
    ) -> Sequence[Peek]:
        shelf = self._shelves.get(queue)
        found = [
            _peek(stored)
            for message, stored in (shelf.messages.items() if shelf else ())
            if after is None or (message < after if newest_first else message > after)
        ]
        return found[: -limit - 1 : -1] if newest_first else found[:limit]

    async def browse_from(self, queue: QueueId, sent_at: Instant) -> MessageId:
        shelf = self._shelves.get(queue)
        held = shelf.messages.values() if shelf else ()
        before = [one.state.id for one in held if (one.envelope.sent_at or one.state.sent_at) < sent_at]
        return max(before, default=MessageId(0))

    async def peek(self, queue: QueueId, messages: Sequence[MessageId]) -> Sequence[Peek | None]:
        found = [self._find(queue, message)[1] for message in messages]
        return [_peek(stored) if stored else None for stored in found]

    async def counts(self, queues: Sequence[QueueId], now: Instant) -> Mapping[QueueId, Counts]:
        counts = {}
        for queue in queues:
            if queue in self._shelves:
                states = [state_of(stored.state, now) for stored in self._shelves[queue].messages.values()]
                counts[queue] = Counts(
                    states.count(State.READY), states.count(State.LEASED), states.count(State.DELAYED)
                )
        return counts

    async def backlogs(self, queues: Sequence[QueueId], now: Instant) -> Mapping[QueueId, Backlog]:
        shelves = {queue: self._shelves[queue] for queue in queues if queue in self._shelves}
        return {
            queue: backlog_of([stored.state for stored in shelf.messages.values()], now)
            for queue, shelf in shelves.items()
        }

    def vitals(self) -> Vitals:
        return self._vitals.take()

    async def leased_by_group(self, queue: QueueId, now: Instant) -> Mapping[str, int]:
        leased: dict[str, int] = {}
        shelf = self._shelves.get(queue)
        for stored in shelf.messages.values() if shelf else ():
            if state_of(stored.state, now) is State.LEASED:
                leased[stored.envelope.group] = leased.get(stored.envelope.group, 0) + 1
        return leased

    async def jobs(self, account: str, keys: Sequence[str], now: Instant) -> Sequence[Job | None]:
        kept = self._jobs(account, now)
        return [kept.get(key) for key in keys]

    async def find_jobs(self, account: str, search: JobSearch, now: Instant) -> FoundJobs:
        fitting = [job for job in self._jobs(account, now).values() if search.fits(job)]
        fitting.sort(key=lambda job: (job.updated_at, job.key), reverse=True)
        page = fitting[: search.limit]
        return FoundJobs(page, (page[-1].updated_at, page[-1].key) if len(fitting) > len(page) else None)

    def _jobs(self, account: str, now: Instant) -> dict[str, Job]:
        records = (unpack(doc) for (of, _), doc in self._records.items() if of == account)
        return {one.key: one for one in records if isinstance(one, Job) and one.expires_at > now}

    # Helpers ----------------------------------------------------------------------------------------

    def _find(self, queue: QueueId, message: MessageId) -> tuple[_Shelf | None, _Stored | None]:
        shelf = self._shelves.get(queue)
        return shelf, shelf.messages.get(message) if shelf else None

    def _lanes(self, shelf: _Shelf, claim: Claim | None = None) -> dict[str, list[MessageState]]:
        """The messages by group, without those that ``claim`` passes over because their retention is over."""
        lanes: dict[str, list[MessageState]] = {}
        for stored in shelf.messages.values():
            state = stored.state
            if claim is None or state.sent_at >= claim.sent_after or state.ready_at > claim.now:
                lanes.setdefault(stored.envelope.group, []).append(state)
        return lanes

    def _new_id(self) -> MessageId:
        self._last_id += 1
        return MessageId(self._last_id)

    def _saw(self, now: Instant) -> None:
        self._last_instant = max(self._last_instant, now)

    def _wake(self, queue: QueueId, at: Instant) -> None:
        self._wakeups[queue] = min(at, self._wakeups.get(queue, at))

    def _wake_group(self, shelf: _Shelf, now: Instant) -> None:
        """On an ordered queue a settled message may unlock its group."""
        if shelf.queue.ordered and shelf.messages:
            self._wake(shelf.queue.id, now)


def _peek(stored: _Stored) -> Peek:
    return Peek(msgspec.structs.replace(stored.state), stored.envelope, stored.body)


def _ordered_ready_at(lane: list[MessageState]) -> Instant:
    """When an ordered lane (never an empty one) can deliver next."""
    ready_at = ordered_ready_at(lane[0], max((state.ready_at for state in lane if state.leased_at), default=0))
    assert ready_at is not None  # noqa: S101 - narrows the type
    return ready_at
