"""Freeing what nobody can see any more: in small steps, so that nobody waits long behind one."""

import apsw

from encola.engine.changes import Sweep, Swept
from encola.engine.message import Instant
from encola.stores.sqlite.connection import Execute
from encola.stores.sqlite.lanes import Lanes
from encola.stores.sqlite.ledger import Ledger, Shelf
from encola.stores.sqlite.records import Amender

LANE_ANY = "SELECT id FROM message WHERE lane = ? LIMIT ?"
LANE_BEFORE = "SELECT id FROM message WHERE lane = ? AND ready_at < ? LIMIT ?"
LANES_BEFORE = "SELECT id FROM lane WHERE partition = ? AND ready_at < ? LIMIT ?"
DEDUP_OVER = "SELECT partition, key FROM dedup WHERE expires_at <= ? LIMIT ?"


class Sweeper:
    """Carries out ``Sweep``; used by ``Writer`` within its transaction."""

    def __init__(self, connection: apsw.Connection, ledger: Ledger, lanes: Lanes, records: Amender) -> None:
        self._connection = connection
        self._execute: Execute = connection.execute
        self._ledger = ledger
        self._lanes = lanes
        self._records = records

    def sweep(self, sweep: Sweep) -> Swept:
        """One step: ended deduplication windows and records first, then what was purged or dropped, then retention."""
        room = sweep.limit
        forgotten = self._forget_deduplication(sweep.now, room)
        forgotten += self._records.forget(sweep.now, room - forgotten)
        room -= forgotten
        room -= self._empty_trash(room)
        removed = 0
        for queue, sent_before in sweep.sent_before.items():
            if room - removed <= 0:
                break
            shelf = self._ledger.shelves.get(queue)
            if shelf is not None and shelf.messages:
                removed += self._retire(shelf, sent_before, room - removed)
        if removed or forgotten:  # with the clock set back they would be missed
            self._ledger.saw(sweep.now)
        return Swept(removed, more=room - removed <= 0)

    def _forget_deduplication(self, now: Instant, limit: int) -> int:
        over = self._execute(DEDUP_OVER, (now, limit)).fetchall()
        if over:
            self._connection.executemany("DELETE FROM dedup WHERE partition = ? AND key = ?", over)
            self._ledger.dirty = True
        return len(over)

    def _empty_trash(self, limit: int) -> int:
        """Frees up to ``limit`` rows of partitions that no queue has any more."""
        freed = 0
        while self._ledger.trash and freed < limit:
            partition = self._ledger.trash[0]
            self._ledger.dirty = True
            lane = self._execute("SELECT id FROM lane WHERE partition = ? LIMIT 1", (partition,)).fetchone()
            if lane is None:
                freed += 1
                over = self._execute("SELECT key FROM dedup WHERE partition = ? LIMIT ?", (partition, limit)).fetchall()
                self._connection.executemany(
                    "DELETE FROM dedup WHERE partition = ? AND key = ?", [(partition, key) for (key,) in over]
                )
                freed += len(over)
                if len(over) < limit:
                    self._execute("DELETE FROM partition WHERE id = ?", (partition,))
                    self._ledger.trash.pop(0)
                continue
            found = self._execute(LANE_ANY, (lane[0], limit - freed)).fetchall()
            self._remove(found)
            freed += len(found)
            if freed < limit:
                self._execute("DELETE FROM lane WHERE id = ?", lane)
                freed += 1
        return freed

    def _retire(self, shelf: Shelf, sent_before: Instant, limit: int) -> int:
        """Removes messages past their retention.

        Nobody is ready before it was sent, so what was ready before the cutoff was sent before it too, and is not
        leased. Messages whose last lease ended after the cutoff follow once that is long ago enough; until then a
        claim removes the ones it meets.
        """
        retired = 0
        lanes = [shelf.common_lane]
        if shelf.grouped:
            lanes += [lane for (lane,) in self._execute(LANES_BEFORE, (shelf.partition, sent_before, limit))]
        for lane in dict.fromkeys(lanes):
            found = self._execute(LANE_BEFORE, (lane, sent_before, limit - retired)).fetchall()
            if found:
                self._remove(found)
                self._ledger.count(shelf, -len(found))
                self._lanes.refresh(shelf, lane)
                retired += len(found)
            if retired >= limit:
                break
        return retired

    def _remove(self, messages: list[tuple[int]]) -> None:
        self._connection.executemany("DELETE FROM message WHERE id = ?", messages)
        self._connection.executemany("DELETE FROM body WHERE id = ?", messages)
