"""Lanes: looked up, created, and kept at the right time. The rules are ``engine.lanes``."""

import apsw

from encola.engine.lanes import ordered_ready_at
from encola.engine.message import Instant, MessageId, MessageState
from encola.stores.sqlite.connection import Execute
from encola.stores.sqlite.ledger import Ledger, Shelf
from encola.stores.sqlite.schema import NEVER

HEAD = (
    "SELECT id, ready_at, lease, receives, sent_at, first_received_at, leased_at"
    " FROM message WHERE lane = ? AND ordered = 1 ORDER BY id LIMIT ?"
)
LEASES_END = "SELECT max(ready_at) FROM message WHERE lane = ? AND ordered = 1 AND leased_at > 0"
EARLIEST = "SELECT ready_at, id FROM message WHERE lane = ? ORDER BY ready_at, id LIMIT 1"
FIND = "SELECT id, ready_at FROM lane WHERE partition = ? AND name = ?"
PARTITION_OF = "SELECT partition FROM lane WHERE id = ?"
CREATE = "INSERT INTO lane (partition, name, ready_at, head) VALUES (?, ?, ?, ?)"
SET_TIME = "UPDATE lane SET ready_at = ?, head = ? WHERE id = ?"
DELETE = "DELETE FROM lane WHERE id = ?"


class Lanes:
    """The table ``lane``; used by ``Writer``, ``Claimer`` and ``Sweeper`` within one transaction."""

    def __init__(self, connection: apsw.Connection, ledger: Ledger) -> None:
        self._execute: Execute = connection.execute
        self._connection = connection
        self._ledger = ledger

    def belongs(self, lane: int, shelf: Shelf) -> bool:
        """Whether a lane is one of this queue, now: the receipts of purged messages are void."""
        if lane == shelf.common_lane:
            return True
        row = self._execute(PARTITION_OF, (lane,)).fetchone()
        return row is not None and row[0] == shelf.partition

    def enter(self, shelf: Shelf, group: str, message: MessageId, ready_at: Instant) -> int:
        """The lane of a group for a new message that is ready at ``ready_at``, created if need be.

        A new message stands last in an ordered lane: the lane's time stays, unless nothing waits in it.
        """
        if not group and not shelf.queue.ordered:
            return shelf.common_lane
        row = self._execute(FIND, (shelf.partition, group)).fetchone()
        if row is None:
            self._execute(CREATE, (shelf.partition, group, ready_at, message))
            shelf.grouped = True
            return self._connection.last_insert_rowid()
        lane, lane_ready_at = row
        if ready_at < lane_ready_at and (lane_ready_at == NEVER or not shelf.queue.ordered):
            self._execute(SET_TIME, (ready_at, message, lane))
        return int(lane)

    def refresh(self, shelf: Shelf, lane: int) -> None:
        """Sets a lane's time and place right after its messages changed; an empty one goes."""
        if lane == shelf.common_lane and not shelf.queue.ordered:
            return  # always looked at, so its time is not kept
        ready_at, head = self._first_in_order(lane) if shelf.queue.ordered else self._first_in_time(lane)
        if ready_at is not None:
            self._execute(SET_TIME, (ready_at, head, lane))
            self._ledger.wake(shelf.queue.id, ready_at)
        elif lane == shelf.common_lane:
            self._execute(SET_TIME, (NEVER, 0, lane))
        else:
            self._execute(DELETE, (lane,))

    def head(self, lane: int, limit: int) -> list[MessageState]:
        """The first messages of an ordered lane, in order."""
        return [MessageState(*row) for row in self._execute(HEAD, (lane, limit))]

    def _first_in_order(self, lane: int) -> tuple[Instant | None, int]:
        first = next(iter(self.head(lane, 1)), None)
        (leases_end,) = self._execute(LEASES_END, (lane,)).fetchone()
        return ordered_ready_at(first, leases_end or 0), first.id if first else 0

    def _first_in_time(self, lane: int) -> tuple[Instant | None, int]:
        return self._execute(EARLIEST, (lane,)).fetchone() or (None, 0)
