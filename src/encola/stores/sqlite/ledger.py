"""What the writer keeps in memory: where each queue's messages are, how many, and which ids are free.

A mirror of a few rows, never of messages: its size depends on the number of queues only. It changes together with
the transaction; after a rollback it is loaded again.
"""

import apsw
import msgspec

from encola.engine.changes import Put
from encola.engine.message import Instant, MessageId, QueueId
from encola.engine.queue import Queue
from encola.engine.store import StoreError
from encola.stores.sqlite.connection import Execute

IDS_RESERVED = 100_000
"""Ids are reserved in blocks, so that none is used twice even if the last message was deleted before a crash."""


class Shelf(msgspec.Struct):
    """Where a queue's messages are: its partition, the partition's common lane, and their number.

    ``grouped`` says that there may be lanes besides the common one.
    """

    queue: Queue
    partition: int
    common_lane: int
    messages: int
    grouped: bool


class Ledger:
    """See the module. Belongs to the writer: readers may look at ``shelves``, and change nothing."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute: Execute = connection.execute
        self.shelves: dict[QueueId, Shelf] = {}
        self.trash: list[int] = []
        self.dirty = False
        self.bytes_written = 0
        self.wakeups: dict[QueueId, Instant] = {}
        self._counted: dict[int, Shelf] = {}
        self.clock: Instant = 0
        self._next_id = 1
        self._ids_reserved = 0

    def load(self) -> None:
        """Reads all anew: when the store opens, and after a rollback."""
        execute = self._execute
        meta = dict(execute("SELECT key, value FROM meta"))
        self.clock = meta["clock"]
        self._ids_reserved = meta["ids_reserved"]
        self._next_id = max(self._next_id, self._ids_reserved + 1)
        rows = execute(
            "SELECT q.doc, p.id, p.common_lane, p.messages,"
            " EXISTS (SELECT 1 FROM lane l WHERE l.partition = p.id AND l.name > '')"
            " FROM queue q JOIN partition p ON p.id = q.partition"
        )
        self.shelves = {}
        for doc, partition, common_lane, messages, grouped in rows:
            try:
                queue = msgspec.msgpack.decode(doc, type=Queue)
            except msgspec.MsgspecError:
                raise StoreError("the record of a queue is damaged: see encola check") from None
            self.shelves[queue.id] = Shelf(queue, partition, common_lane, messages, bool(grouped))
        self.trash = [
            partition
            for (partition,) in execute(
                "SELECT id FROM partition WHERE id NOT IN (SELECT partition FROM queue) ORDER BY id"
            )
        ]
        self.begin()

    def begin(self) -> None:
        """A new transaction starts."""
        self.dirty = False
        self.bytes_written = 0
        self._counted.clear()
        self.wakeups = {}

    def finish(self) -> None:
        """Writes what changed in memory, just before COMMIT."""
        execute = self._execute
        for shelf in self._counted.values():
            execute("UPDATE partition SET messages = ? WHERE id = ?", (shelf.messages, shelf.partition))
        execute("UPDATE meta SET value = ? WHERE key = 'clock'", (self.clock,))

    def new_id(self) -> MessageId:
        """An id greater than all that were ever handed out."""
        number = self._next_id
        self._next_id = number + 1
        if number > self._ids_reserved:
            self._ids_reserved = number + IDS_RESERVED - 1
            self._execute("UPDATE meta SET value = ? WHERE key = 'ids_reserved'", (self._ids_reserved,))
        return MessageId(number)

    def count(self, shelf: Shelf, difference: int) -> None:
        """Notes that a shelf gained or lost messages."""
        shelf.messages += difference
        self._counted[shelf.partition] = shelf
        self.dirty = True

    def added(self, shelf: Shelf, put: Put) -> None:
        """Notes a new message: ``count``, ``saw`` and ``wake`` in one, as this is done most often."""
        shelf.messages += 1
        self._counted[shelf.partition] = shelf
        self.dirty = True
        self.bytes_written += len(put.body)
        if put.sent_at > self.clock:
            self.clock = put.sent_at
        earlier = self.wakeups.get(put.queue)
        if earlier is None or put.ready_at < earlier:
            self.wakeups[put.queue] = put.ready_at

    def discard(self, shelf: Shelf) -> None:
        """A partition has no queue any more: it waits for the sweeper, and its count for nobody."""
        self.trash.append(shelf.partition)
        self._counted.pop(shelf.partition, None)  # its id may be used again, within this transaction
        self.dirty = True

    def saw(self, now: Instant) -> None:
        if now > self.clock:
            self.clock = now

    def wake(self, queue: QueueId, at: Instant) -> None:
        """Messages of ``queue`` can be delivered at ``at``: to be told after the commit."""
        earlier = self.wakeups.get(queue)
        if earlier is None or at < earlier:
            self.wakeups[queue] = at
