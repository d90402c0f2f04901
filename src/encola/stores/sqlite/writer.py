"""Carrying out Changes, within a transaction that somebody else opens and commits.

Each method reads the row it needs, asks the engine's rule, and writes. None of them waits.
"""

from collections.abc import Callable, Sequence
from typing import Any

import apsw
import msgspec

from encola.engine.changes import (
    Amend,
    Applied,
    Change,
    Declare,
    Delete,
    Drop,
    Extend,
    Move,
    Note,
    Purge,
    Put,
    Reject,
    Release,
    Resend,
    Stored,
    Sweep,
)
from encola.engine.lifecycle import (
    Outcome,
    judge_delete,
    judge_extend,
    judge_release,
    rejected,
    released,
)
from encola.engine.message import Envelope, Instant, MessageId, MessageState, QueueId
from encola.stores.sqlite.connection import Execute
from encola.stores.sqlite.lanes import Lanes
from encola.stores.sqlite.ledger import Ledger, Shelf
from encola.stores.sqlite.records import Amender
from encola.stores.sqlite.schema import NEVER
from encola.stores.sqlite.sweeper import Sweeper

INSERT_MESSAGE = "INSERT INTO message VALUES (?, ?, ?, 0, 0, ?, 0, 0, ?)"
INSERT_BODY = "INSERT INTO body VALUES (?, ?, ?)"
STATE = "SELECT id, ready_at, lease, receives, sent_at, first_received_at, leased_at, lane FROM message WHERE id = ?"
DELETE_MESSAGE = "DELETE FROM message WHERE id = ?"
DELETE_LEASED = "DELETE FROM message WHERE id = ? AND lane = ? AND lease = ?"
DELETE_BODY = "DELETE FROM body WHERE id = ?"
FIND_DUPLICATE = "SELECT message, message_id, expires_at FROM dedup WHERE partition = ? AND key = ?"

MOVE = (
    "UPDATE message SET lane = ?, ready_at = ?, lease = lease + 1, receives = 0, sent_at = ?,"
    " first_received_at = 0, leased_at = 0, ordered = ? WHERE id = ?"
)
RELEASE = (
    "UPDATE message SET ready_at = ?, lease = ?, receives = ?, sent_at = ?, first_received_at = ?, leased_at = ?"
    " WHERE id = ?"
)
ENVELOPE = "SELECT meta FROM body WHERE id = ?"
SET_ENVELOPE = "UPDATE body SET meta = ? WHERE id = ?"
DELAY_ANEW = (  # ``delayed_by_queue``, for all messages of a lane at once
    "UPDATE message SET ready_at = sent_at + ? WHERE lane = ? AND leased_at = 0 AND (lease = 0 OR ready_at <= ?)"
)

_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
_encode_envelope = msgspec.msgpack.Encoder().encode
_encode_queue = msgspec.msgpack.Encoder().encode


class Writer:
    """See the module. ``apply`` is run by ``GroupCommit``."""

    def __init__(self, connection: apsw.Connection, ledger: Ledger, lanes: Lanes) -> None:
        self._execute: Execute = connection.execute
        self._connection = connection
        self._ledger = ledger
        self._lanes = lanes
        records = Amender(connection, ledger)
        self._carry_out: dict[type, Callable[[Any], Applied]] = {
            Put: self._put,
            Delete: self._delete,
            Extend: self._extend,
            Release: self._release,
            Reject: self._reject,
            Move: self._move,
            Resend: self._resend,
            Declare: self._declare,
            Drop: self._drop,
            Purge: self._purge,
            Note: self._note,
            Amend: records.amend,
            Sweep: Sweeper(connection, ledger, lanes, records).sweep,
        }

    def apply(self, changes: Sequence[Change]) -> Sequence[Applied]:
        carry_out = self._carry_out
        if len(changes) == 1:
            return [carry_out[type(changes[0])](changes[0])]
        return [carry_out[type(change)](change) for change in changes]

    def _put(self, put: Put) -> Applied:
        ledger = self._ledger
        shelf = ledger.shelves.get(put.queue)
        if shelf is None:
            return Outcome.GONE
        if put.deduplication is not None and (first := self._first(shelf, put)) is not None:
            return first
        message = ledger.new_id()
        envelope = put.envelope
        ordered = shelf.queue.ordered
        group = envelope.group
        lane = self._lanes.enter(shelf, group, message, put.ready_at) if group or ordered else shelf.common_lane
        sent_at = put.sent_at if put.sent_at >= put.kept_from else put.kept_from
        self._execute(INSERT_MESSAGE, (message, lane, put.ready_at, sent_at, ordered))
        self._execute(INSERT_BODY, (message, _encode_envelope(envelope), put.body))
        if put.deduplication is not None:
            self._execute(
                "INSERT OR REPLACE INTO dedup VALUES (?, ?, ?, ?, ?)",
                (shelf.partition, put.deduplication.key, message, envelope.message_id, put.deduplication.until),
            )
        ledger.added(shelf, put)
        return Stored(message, envelope.message_id)

    def _first(self, shelf: Shelf, put: Put) -> Stored | None:
        """The message that was accepted under the same deduplication key, while its window lasts."""
        assert put.deduplication is not None  # noqa: S101 - narrows the type, the caller has checked
        row = self._execute(FIND_DUPLICATE, (shelf.partition, put.deduplication.key)).fetchone()
        if row is None or row[2] <= put.sent_at:
            return None
        return Stored(row[0], row[1], duplicate=True)

    def _find(self, queue: QueueId, message: MessageId) -> tuple[Shelf, MessageState, int] | None:
        """A message of this queue with its lane, or None when it is gone."""
        shelf = self._ledger.shelves.get(queue)
        if shelf is None:
            return None
        row = self._execute(STATE, (message,)).fetchone()
        if row is None or not self._lanes.belongs(row[7], shelf):
            return None
        return shelf, MessageState(*row[:7]), row[7]

    def _delete(self, delete: Delete) -> Outcome:
        shelf = self._ledger.shelves.get(delete.queue)
        if shelf is not None and not delete.live_lease and not delete.unheld and not shelf.queue.ordered:
            # The usual case at once: what waits in the common lane under its last lease is let go by judge_delete.
            # Whatever else it may be, nothing has happened to it, and the rule is asked.
            self._execute(DELETE_LEASED, (delete.message, shelf.common_lane, delete.lease))
            if self._connection.changes():
                self._execute(DELETE_BODY, (delete.message,))
                self._ledger.count(shelf, -1)
                self._ledger.saw(delete.now)
                return Outcome.DONE
        found = self._find(delete.queue, delete.message)
        if found is None:
            return Outcome.GONE
        shelf, state, lane = found
        outcome = judge_delete(state, delete.lease, delete.now, live_lease=delete.live_lease, unheld=delete.unheld)
        if outcome is Outcome.DONE:
            self._remove(shelf, lane, delete.message, delete.now)
        return outcome

    def _remove(self, shelf: Shelf, lane: int, message: MessageId, now: Instant) -> None:
        self._execute(DELETE_MESSAGE, (message,))
        self._execute(DELETE_BODY, (message,))
        self._ledger.count(shelf, -1)
        self._ledger.saw(now)
        if lane != shelf.common_lane or shelf.queue.ordered:
            self._lanes.refresh(shelf, lane)

    def _extend(self, extend: Extend) -> Outcome:
        found = self._find(extend.queue, extend.message)
        if found is None:
            return Outcome.GONE
        shelf, state, lane = found
        outcome = judge_extend(state, extend.lease, extend.until, extend.now, extend.lease_total_max)
        if outcome is Outcome.DONE:
            self._execute(
                "UPDATE message SET ready_at = ?, receives = receives - ? WHERE id = ?",
                (extend.until, extend.uncounted, extend.message),
            )
            self._ledger.dirty = True
            self._ledger.saw(extend.now)
            self._ledger.wake(extend.queue, extend.until)
            self._lanes.refresh(shelf, lane)
        return outcome

    def _move(self, move: Move) -> Outcome:
        found = self._find(move.queue, move.message)
        target = self._ledger.shelves.get(move.target)
        if found is None or target is None:
            return Outcome.GONE
        shelf, state, lane = found
        if state.lease != move.lease:
            return Outcome.STALE
        self._shift(shelf, lane, move.message, target, move.envelope, move.sent_at, move.now)
        return Outcome.DONE

    def _shift(
        self,
        shelf: Shelf,
        lane: int,
        message: MessageId,
        target: Shelf,
        envelope: Envelope,
        sent_at: Instant,
        now: Instant,
    ) -> None:
        """Puts a message into a lane of another queue, ready at once; every receipt of it is void."""
        target_lane = self._lanes.enter(target, envelope.group, message, now)
        self._execute(MOVE, (target_lane, now, sent_at, target.queue.ordered, message))
        self._execute(SET_ENVELOPE, (_encode_envelope(envelope), message))
        self._ledger.count(shelf, -1)
        self._ledger.count(target, 1)
        self._ledger.saw(now)
        self._ledger.wake(target.queue.id, now)
        self._lanes.refresh(shelf, lane)
        self._lanes.refresh(target, target_lane)

    def _release(self, release: Release) -> Outcome:
        found = self._find(release.queue, release.message)
        if found is None:
            return Outcome.GONE
        shelf, state, lane = found
        outcome = judge_release(state, release.lease, release.now)
        if outcome is not Outcome.DONE:
            return outcome
        envelope = self._envelope(release.message)
        new, changed = released(state, envelope, release.until, release.now)
        self._execute(
            RELEASE,
            (new.ready_at, new.lease, new.receives, new.sent_at, new.first_received_at, new.leased_at, new.id),
        )
        if changed is not envelope:
            self._execute(SET_ENVELOPE, (_encode_envelope(changed), release.message))
        self._ledger.dirty = True
        self._ledger.saw(release.now)
        self._ledger.wake(release.queue, release.until)
        self._lanes.refresh(shelf, lane)
        return outcome

    def _reject(self, reject: Reject) -> Outcome:
        found = self._find(reject.queue, reject.message)
        if found is None:
            return Outcome.GONE
        shelf, state, lane = found
        outcome = judge_delete(state, reject.lease, reject.now, live_lease=reject.live_lease)
        if outcome is not Outcome.DONE:
            return outcome
        target = self._ledger.shelves.get(reject.target)
        if target is None:
            return Outcome.NO_TARGET
        envelope = rejected(self._envelope(reject.message), shelf.queue, target.queue, reject.headers)
        sent_at = reject.now if target.queue.ordered else state.sent_at
        self._shift(shelf, lane, reject.message, target, envelope, sent_at, reject.now)
        return outcome

    def _envelope(self, message: MessageId) -> Envelope:
        (meta,) = self._execute(ENVELOPE, (message,)).fetchone()
        return _decode_envelope(meta)

    def _resend(self, resend: Resend) -> Outcome:
        found = self._find(resend.queue, resend.message)
        if found is None:
            return Outcome.GONE
        shelf, state, lane = found
        outcome = judge_delete(state, resend.lease, resend.now, live_lease=False, unheld=resend.unheld)
        if outcome is not Outcome.DONE:
            return outcome
        if resend.target not in self._ledger.shelves:
            return Outcome.NO_TARGET
        data = resend.body
        if data is None:
            (data,) = self._execute("SELECT data FROM body WHERE id = ?", (resend.message,)).fetchone()
        self._remove(shelf, lane, resend.message, resend.now)
        self._put(Put(resend.target, resend.envelope, data, resend.now, resend.now))
        return Outcome.DONE

    def _declare(self, declare: Declare) -> Outcome:
        queue = declare.queue
        ledger = self._ledger
        ledger.dirty = True
        ledger.saw(queue.modified_at)
        shelf = ledger.shelves.get(queue.id)
        if shelf is None:
            partition, common_lane = self._new_partition()
            self._execute(
                "INSERT INTO queue VALUES (?, ?, ?, ?, ?)",
                (queue.id, queue.address.account, queue.address.name, partition, _encode_queue(queue)),
            )
            ledger.shelves[queue.id] = Shelf(queue, partition, common_lane, 0, False)
            return Outcome.DONE
        self._execute("UPDATE queue SET doc = ? WHERE id = ?", (_encode_queue(queue), queue.id))
        earlier, shelf.queue = shelf.queue, queue
        if queue.ordered and queue.settings.delay != earlier.settings.delay:
            self._delay_anew(shelf)
        return Outcome.DONE

    def _delay_anew(self, shelf: Shelf) -> None:
        """A changed delay of an ordered queue holds for what waits already. Rare, and as long as the queue."""
        delay, now = shelf.queue.settings.delay, shelf.queue.modified_at
        lanes = self._execute("SELECT id FROM lane WHERE partition = ?", (shelf.partition,)).fetchall()
        for (lane,) in lanes:
            self._execute(DELAY_ANEW, (delay, lane, now))
            self._lanes.refresh(shelf, lane)

    def _new_partition(self) -> tuple[int, int]:
        self._execute("INSERT INTO partition (common_lane, messages) VALUES (0, 0)")
        partition = self._connection.last_insert_rowid()
        self._execute("INSERT INTO lane (partition, name, ready_at, head) VALUES (?, '', ?, 0)", (partition, NEVER))
        common_lane = self._connection.last_insert_rowid()
        self._execute("UPDATE partition SET common_lane = ? WHERE id = ?", (common_lane, partition))
        return partition, common_lane

    def _drop(self, drop: Drop) -> Outcome:
        shelf = self._ledger.shelves.pop(drop.queue, None)
        if shelf is None:
            return Outcome.GONE
        self._execute("DELETE FROM queue WHERE id = ?", (drop.queue,))
        self._ledger.discard(shelf)
        return Outcome.DONE

    def _purge(self, purge: Purge) -> Outcome:
        shelf = self._ledger.shelves.get(purge.queue)
        if shelf is None:
            return Outcome.GONE
        partition, common_lane = self._new_partition()
        self._execute("UPDATE queue SET partition = ? WHERE id = ?", (partition, purge.queue))
        self._ledger.discard(shelf)
        self._ledger.shelves[purge.queue] = Shelf(shelf.queue, partition, common_lane, 0, False)
        return Outcome.DONE

    def _note(self, note: Note) -> Outcome:
        self._ledger.dirty = True
        if note.value is None:
            self._execute("DELETE FROM note WHERE kind = ? AND key = ?", (note.kind, note.key))
        else:
            self._execute("INSERT OR REPLACE INTO note VALUES (?, ?, ?)", (note.kind, note.key, note.value))
        return Outcome.DONE
