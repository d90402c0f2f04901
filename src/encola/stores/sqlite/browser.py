"""Looking at messages by their ids, page by page, on a connection that only reads.

Messages have an order by id over all queues only: no index has the ids of one queue in order, as each would cost every
send and every receive. A page is found by walking over all messages from where it begins, until enough of them are the
queue's own. Where many of other queues lie between, the walk ends after as many as the queue has itself; then all ids
of the queue are looked at, in an index that has them, and the first few kept. So a page costs the same wherever it
begins, but for those few that begin before a long row of others' messages.
"""

from collections.abc import Sequence

import apsw
import msgspec

from encola.engine.message import Envelope, Instant, MessageId, MessageState, Peek
from encola.stores.sqlite.ledger import Shelf

BY_ID = (
    "SELECT m.id, m.ready_at, m.lease, m.receives, m.sent_at, m.first_received_at, m.leased_at, b.meta, b.data"
    " FROM message m CROSS JOIN lane l ON l.id = m.lane CROSS JOIN body b ON b.id = m.id"
    " WHERE m.id = ? AND l.partition = ?"
)
SENT_AFTER = (
    "SELECT l.partition, m.sent_at, b.meta"
    " FROM message m CROSS JOIN lane l ON l.id = m.lane CROSS JOIN body b ON b.id = m.id"
    " WHERE m.id > ? ORDER BY m.id LIMIT ?"
)
BEFORE_FIRST = "SELECT coalesce(min(id) - 1, 0) FROM message"
LAST = "SELECT coalesce(max(id), 0) FROM message"

NO_ID = 2**63 - 1
WALK_FIRST = 2_000
WALK_GROWS = 5
WALK_MAX = 50_000
"""Messages that are walked over at first, by how much longer each walk on is, and how long at most: to see how far a
walk goes costs a fifth of it, also where it finds enough at once."""

NEAR = 16
"""Messages that are asked when something was sent, as single ones may tell a later time (moved ones, for example)."""

_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode


class _Direction(msgspec.Struct, frozen=True):
    """The statements of one direction. ``far`` tells the id so many rows on; a walk goes up to there."""

    start: int
    end: int
    far: str
    walk: str
    sort: str


OLDEST_FIRST = _Direction(
    0,
    NO_ID,
    "SELECT id FROM message WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?",
    "SELECT m.id FROM message m CROSS JOIN lane l ON l.id = m.lane"
    " WHERE m.id > ? AND m.id <= ? AND l.partition = ? ORDER BY m.id LIMIT ?",
    "SELECT id FROM message WHERE +id > ? AND lane IN (SELECT id FROM lane WHERE partition = ?) ORDER BY id LIMIT ?",
)
NEWEST_FIRST = _Direction(
    NO_ID,
    0,
    "SELECT id FROM message WHERE id < ? ORDER BY id DESC LIMIT 1 OFFSET ?",
    "SELECT m.id FROM message m CROSS JOIN lane l ON l.id = m.lane"
    " WHERE m.id < ? AND m.id >= ? AND l.partition = ? ORDER BY m.id DESC LIMIT ?",
    "SELECT id FROM message WHERE +id < ? AND lane IN (SELECT id FROM lane WHERE partition = ?)"
    " ORDER BY id DESC LIMIT ?",
)


class Browser:
    """See the module. It serves one thread at a time."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def browse(self, shelf: Shelf, after: MessageId | None, limit: int, newest_first: bool) -> list[Peek]:
        direction = NEWEST_FIRST if newest_first else OLDEST_FIRST
        with self._connection:  # one look: what is found is still there when it is read
            ids = self._ids(shelf, direction, direction.start if after is None else after, limit)
            peeks = self.peek(shelf, ids)
        return [peek for peek in peeks if peek is not None]

    def peek(self, shelf: Shelf, messages: Sequence[MessageId]) -> list[Peek | None]:
        rows = self._connection.executemany(BY_ID, [(message, shelf.partition) for message in messages])
        found = {row[0]: Peek(MessageState(*row[:7]), _decode_envelope(row[7]), row[8]) for row in rows}
        return [found.get(message) for message in messages]

    def _ids(self, shelf: Shelf, direction: _Direction, at: int, limit: int) -> list[MessageId]:
        """The next ids of a queue behind ``at``."""
        execute, partition = self._connection.execute, shelf.partition
        ids: list[MessageId] = []
        walked, step = 0, WALK_FIRST
        while step > 0:
            row = execute(direction.far, (at, step)).fetchone()
            end = row[0] if row else direction.end
            ids += [found for (found,) in execute(direction.walk, (at, end, partition, limit - len(ids)))]
            if row is None or len(ids) >= limit:
                return ids
            at, walked = end, walked + step
            step = min(step * WALK_GROWS, WALK_MAX, shelf.messages - walked)
        return ids + [found for (found,) in execute(direction.sort, (at, partition, limit - len(ids)))]

    def browse_from(self, shelf: Shelf, sent_at: Instant) -> MessageId:
        """By bisection: ids grow with the time of acceptance, over all queues."""
        with self._connection:
            low, high = (self._connection.execute(sql).get for sql in (BEFORE_FIRST, LAST))
            while low < high:
                middle = (low + high) // 2
                if self._sent_after(shelf, middle) >= sent_at:
                    high = middle
                else:
                    low = middle + 1
        return MessageId(low)

    def _sent_after(self, shelf: Shelf, message: int) -> Instant:
        """When the message behind this id was sent, as those near it tell: the queue's own, if there are any."""
        own: list[Instant] = []
        others: list[Instant] = []
        for partition, sent_at, meta in self._connection.execute(SENT_AFTER, (message, NEAR)):
            near = own if partition == shelf.partition else others
            near.append(_decode_envelope(meta).sent_at or sent_at)
        return min(own or others)
