"""Reads on a connection of their own: they see what is committed, and only that, and wait for no writer."""

from collections.abc import Iterable, Mapping

import apsw
import msgspec

from encola.engine.message import Counts, Instant
from encola.engine.queue import Queue
from encola.engine.store import Catalog
from encola.stores.sqlite.connection import Execute
from encola.stores.sqlite.ledger import Shelf
from encola.stores.sqlite.schema import NEVER

COUNTS = (
    "SELECT p.messages, count(m.id), coalesce(sum(m.leased_at > 0), 0) FROM partition p"
    " LEFT JOIN lane l ON l.partition = p.id LEFT JOIN message m ON m.lane = l.id AND m.ready_at > ?"
    " WHERE p.id = ?"
)
LEASED_BY_GROUP = (
    "SELECT l.name, count(*) FROM lane l JOIN message m ON m.lane = l.id AND m.ready_at > ?"
    " WHERE l.partition = ? AND m.leased_at > 0 GROUP BY l.name"
)
NEXT_IN_LANE = "SELECT ready_at FROM message WHERE lane = ? ORDER BY ready_at LIMIT 1"
NEXT_LANE = "SELECT ready_at FROM lane WHERE partition = ? ORDER BY ready_at LIMIT 1"


class Reader:
    """Reads by ``Shelf``, on a connection of its own. One reader serves one thread at a time."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute: Execute = connection.execute

    def catalog(self) -> Catalog:
        queues = [msgspec.msgpack.decode(doc, type=Queue) for (doc,) in self._execute("SELECT doc FROM queue")]
        notes = {(kind, key): value for kind, key, value in self._execute("SELECT kind, key, value FROM note")}
        (clock,) = self._execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()
        return Catalog(queues, notes, clock)

    def counts(self, shelf: Shelf, now: Instant) -> Counts:
        """Costs a walk over what is leased or delayed, not over what is ready."""
        row = self._execute(COUNTS, (now, shelf.partition)).fetchone()
        total, waiting, leased = row
        if total is None:
            return Counts()
        return Counts(ready=total - waiting, leased=leased, delayed=waiting - leased)

    def leased_by_group(self, shelf: Shelf, now: Instant) -> Mapping[str, int]:
        return dict(self._execute(LEASED_BY_GROUP, (now, shelf.partition)))

    def next_ready(self, shelf: Shelf) -> Instant | None:
        times: Iterable[Instant] = (row[0] for row in self._execute(NEXT_LANE, (shelf.partition,)))
        if not shelf.queue.ordered:
            times = [*times, *(row[0] for row in self._execute(NEXT_IN_LANE, (shelf.common_lane,)))]
        return min((at for at in times if at < NEVER), default=None)
