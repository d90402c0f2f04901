"""Lanes: looked up, created, and kept at the right time. The rules are ``engine.lanes``."""

import apsw

from encola.engine.lanes import HEAD_LENGTH, ordered_ready_at
from encola.engine.message import Instant, MessageState
from encola.stores.sqlite.connection import Execute
from encola.stores.sqlite.ledger import Ledger, Shelf
from encola.stores.sqlite.schema import NEVER

HEAD = (
    "SELECT id, ready_at, lease, receives, sent_at, first_received_at, leased_at"
    " FROM message WHERE lane = ? AND ordered = 1 ORDER BY id LIMIT ?"
)
EARLIEST = "SELECT ready_at FROM message WHERE lane = ? ORDER BY ready_at LIMIT 1"
FIND = "SELECT id, ready_at FROM lane WHERE partition = ? AND name = ?"
PARTITION_OF = "SELECT partition FROM lane WHERE id = ?"


class Lanes:
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

    def enter(self, shelf: Shelf, group: str, ready_at: Instant) -> int:
        """The lane of a group for a message that is ready at ``ready_at``, created if need be.

        A new message never unlocks an ordered lane: its time stays, unless nothing waits in it.
        """
        if not group and not shelf.queue.ordered:
            return shelf.common_lane
        row = self._execute(FIND, (shelf.partition, group)).fetchone()
        if row is None:
            self._execute(
                "INSERT INTO lane (partition, name, ready_at) VALUES (?, ?, ?)", (shelf.partition, group, ready_at)
            )
            shelf.grouped = True
            return self._connection.last_insert_rowid()
        lane, lane_ready_at = row
        if ready_at < lane_ready_at and (lane_ready_at == NEVER or not shelf.queue.ordered):
            self._execute("UPDATE lane SET ready_at = ? WHERE id = ?", (ready_at, lane))
        return int(lane)

    def refresh(self, shelf: Shelf, lane: int, now: Instant) -> None:
        """Sets a lane's time right after its messages changed; an empty one goes."""
        if lane == shelf.common_lane and not shelf.queue.ordered:
            return  # always looked at, so its time is not kept
        ready_at = self._ready_at(shelf, lane, now)
        if ready_at is not None:
            self._execute("UPDATE lane SET ready_at = ? WHERE id = ?", (ready_at, lane))
            self._ledger.wake(shelf.queue.id, ready_at)
        elif lane == shelf.common_lane:
            self._execute("UPDATE lane SET ready_at = ? WHERE id = ?", (NEVER, lane))
        else:
            self._execute("DELETE FROM lane WHERE id = ?", (lane,))

    def head(self, lane: int) -> list[MessageState]:
        """The first messages of an ordered lane, in order."""
        return [MessageState(*row) for row in self._execute(HEAD, (lane, HEAD_LENGTH))]

    def _ready_at(self, shelf: Shelf, lane: int, now: Instant) -> Instant | None:
        if shelf.queue.ordered:
            return ordered_ready_at(self.head(lane), now)
        row = self._execute(EARLIEST, (lane,)).fetchone()
        return row[0] if row else None
