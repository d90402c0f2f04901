"""How queues stand: counts and ages, of many queues at once, on a connection and in a thread of its own.

What is not ready is walked over, as for ``Reader.counts``. Of what is ready the front is looked at, and the partial
index ``message_retrying`` tells the oldest of those that came back more than once, wherever they stand.

Standard queues without groups, which most are, are asked in portions: one statement, so that a thousand queues do not
contend a thousand times with the event loop for the interpreter. The time of a portion is shared among its queues by
the rows that were walked. A queue with groups is asked by itself: its lanes are walked for the counts; of the lanes
that are due, the first few.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

import apsw
import msgspec

from encola.engine.message import Counts, Instant, QueueId
from encola.engine.metrics import FRONT_MAX, Backlog
from encola.stores.sqlite.connection import Execute
from encola.stores.sqlite.ledger import Shelf

PORTION = 100
"""Queues that are asked in one statement."""

PLAIN = """
SELECT p.id, p.messages, count(m.id), coalesce(sum(m.leased_at > 0), 0), coalesce(min(m.sent_at), 0),
    coalesce(min(CASE WHEN m.receives = 0 THEN m.sent_at END), 0),
    coalesce(min(CASE WHEN m.receives > (m.leased_at > 0) THEN m.sent_at END), 0),
    (SELECT coalesce(min(CASE WHEN receives = 0 THEN sent_at END), 0) || ' '
        || coalesce(min(CASE WHEN receives > 0 THEN sent_at END), 0)
        FROM (SELECT sent_at, receives FROM message
            WHERE lane = p.common_lane AND ready_at <= ? ORDER BY ready_at LIMIT ?)),
    (SELECT sent_at FROM message WHERE lane = p.common_lane AND receives > 1 ORDER BY sent_at LIMIT 1)
FROM partition p LEFT JOIN message m ON m.lane = p.common_lane AND m.ready_at > ?
WHERE p.id IN (SELECT value FROM json_each(?)) GROUP BY p.id
"""
GROUPED = """
SELECT p.messages, count(m.id), coalesce(sum(m.leased_at > 0), 0), coalesce(min(m.sent_at), 0),
    coalesce(min(CASE WHEN m.receives = 0 THEN m.sent_at END), 0),
    coalesce(min(CASE WHEN m.receives > (m.leased_at > 0) THEN m.sent_at END), 0)
FROM partition p LEFT JOIN lane l ON l.partition = p.id LEFT JOIN message m ON m.lane = l.id AND m.ready_at > ?
WHERE p.id = ?
"""
FRONT = "SELECT sent_at, receives FROM message WHERE lane = ? AND ready_at <= ? ORDER BY ready_at LIMIT ?"
FRONT_OF_LANES = (
    "SELECT m.sent_at, m.receives FROM lane l CROSS JOIN message m ON m.id = l.head"
    " WHERE l.partition = ? AND l.ready_at <= ? ORDER BY l.ready_at, l.head LIMIT ?"
)


class Backlogs:
    """See the module. Serves one thread at a time."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute: Execute = connection.execute

    def look(self, shelves: Sequence[Shelf], now: Instant) -> Mapping[QueueId, Backlog]:
        """The backlogs of these queues; one that was purged or deleted meanwhile is left out."""
        found: dict[QueueId, Backlog] = {}
        plain = {shelf.partition: shelf for shelf in shelves if not (shelf.queue.ordered or shelf.grouped)}
        partitions = list(plain)
        for begin in range(0, len(partitions), PORTION):
            portion = partitions[begin : begin + PORTION]
            found.update((plain[partition].queue.id, backlog) for partition, backlog in self._plain(portion, now))
        for shelf in shelves:
            if shelf.partition not in plain:
                backlog = self._grouped(shelf, now)
                if backlog is not None:
                    found[shelf.queue.id] = backlog
        return found

    def _plain(self, partitions: Sequence[int], now: Instant) -> Iterator[tuple[int, Backlog]]:
        began = time.perf_counter()
        rows = self._execute(PLAIN, (now, FRONT_MAX, now, msgspec.json.encode(partitions).decode())).fetchall()
        seconds = time.perf_counter() - began
        walked = sum(row[2] + FRONT_MAX for row in rows)
        for partition, messages, waiting, leased, oldest, new, retrying, front, back in rows:
            front_new, front_retrying = map(int, front.split())
            yield (
                partition,
                Backlog(
                    Counts(messages - waiting, leased, waiting - leased),
                    _earliest(oldest, front_new, front_retrying, back or 0),
                    _earliest(new, front_new),
                    _earliest(retrying, front_retrying, back or 0),
                    seconds * (waiting + FRONT_MAX) / walked,
                ),
            )

    def _grouped(self, shelf: Shelf, now: Instant) -> Backlog | None:
        began = time.perf_counter()
        row = self._execute(GROUPED, (now, shelf.partition)).fetchone()
        messages, waiting, leased, oldest, new, retrying = row
        if messages is None:
            return None
        front = self._execute(FRONT_OF_LANES, (shelf.partition, now, FRONT_MAX)).fetchall()
        if not shelf.queue.ordered:  # whose common lane is a lane as any other
            front += self._execute(FRONT, (shelf.common_lane, now, FRONT_MAX)).fetchall()
        front_new = _earliest(*(sent_at for sent_at, receives in front if not receives))
        front_retrying = _earliest(*(sent_at for sent_at, receives in front if receives))
        return Backlog(
            Counts(messages - waiting, leased, waiting - leased),
            _earliest(oldest, front_new, front_retrying),
            _earliest(new, front_new),
            _earliest(retrying, front_retrying),
            time.perf_counter() - began,
        )


def _earliest(*instants: Instant) -> Instant:
    """The first of these moments; 0 stands for none."""
    return min(filter(None, instants), default=0)
