"""Claims: which messages go next, found through the lanes, and leased."""

from collections.abc import Sequence

import apsw
import msgspec

from encola.engine.changes import Claim
from encola.engine.lanes import merge, ordered_pick
from encola.engine.message import Delivery, Envelope, Instant, MessageId, MessageState
from encola.stores.sqlite.connection import Execute
from encola.stores.sqlite.lanes import Lanes
from encola.stores.sqlite.ledger import Ledger, Shelf

OLDEST_WITH_BODY = (
    "SELECT m.id, m.ready_at, m.lease, m.receives, m.sent_at, m.first_received_at, m.leased_at, b.meta, b.data"
    " FROM message m JOIN body b ON b.id = m.id"
    " WHERE m.lane = ? AND m.ready_at <= ? ORDER BY m.ready_at, m.id LIMIT ?"
)
OLDEST = (
    "SELECT id, ready_at, lease, receives, sent_at, first_received_at, leased_at"
    " FROM message WHERE lane = ? AND ready_at <= ? ORDER BY ready_at, id LIMIT ?"
)
DUE_LANES = "SELECT id, name FROM lane WHERE partition = ? AND ready_at <= ? ORDER BY ready_at, head LIMIT ?"
BODY = "SELECT meta, data FROM body WHERE id = ?"
LEASE = "UPDATE message SET ready_at = ?, lease = ?, receives = ?, first_received_at = ?, leased_at = ? WHERE id = ?"

RETIRED_MAX = 2_000
LOOK_MAX = 100
"""A claim that meets messages past their retention removes them and looks again: at more lanes each time, and at this
many messages of a lane, until it has removed so many altogether."""

_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode


class Claimer:
    """Carries out a ``Claim`` within a transaction that somebody else opens and commits."""

    def __init__(self, connection: apsw.Connection, ledger: Ledger, lanes: Lanes) -> None:
        self._connection = connection
        self._execute: Execute = connection.execute
        self._ledger = ledger
        self._lanes = lanes
        self._retired = 0  # by the claim that is under way

    def claim(self, claim: Claim) -> Sequence[Delivery]:
        shelf = self._ledger.shelves.get(claim.queue)
        if shelf is None or not shelf.messages:
            return ()
        standard = self._claim_fair if shelf.grouped else self._claim_common
        look = self._claim_ordered if shelf.queue.ordered else standard
        self._retired = 0
        while self._retired < RETIRED_MAX:
            deliveries = look(shelf, claim)
            if deliveries is not None:
                return deliveries
        return ()

    # Each look answers None when it met messages past their retention: they are removed, nothing was leased.

    def _claim_common(self, shelf: Shelf, claim: Claim) -> list[Delivery] | None:
        """A standard queue without groups: one look at the common lane."""
        rows = self._execute(OLDEST_WITH_BODY, (shelf.common_lane, claim.now, claim.limit)).fetchall()
        for row in rows:
            if row[4] < claim.sent_after:
                self._retire(shelf, shelf.common_lane, claim)
                return None
        lease = self._lease
        return [lease(row[0], row[2], row[3], row[4], row[5], row[7], row[8], claim) for row in rows]

    def _claim_fair(self, shelf: Shelf, claim: Claim) -> list[Delivery] | None:
        """A standard queue with groups: the oldest of each due lane, merged; quiet tenants first."""
        due = self._due(shelf, claim, claim.limit + len(claim.noisy))
        lanes = {"": shelf.common_lane, **{name: lane for lane, name in due}}
        ready: dict[str, list[MessageState]] = {}
        retired = False
        for name, lane in lanes.items():
            ready[name] = [MessageState(*row) for row in self._execute(OLDEST, (lane, claim.now, claim.limit))]
            if any(message.sent_at < claim.sent_after for message in ready[name]):
                self._retire(shelf, lane, claim)
                retired = True
        if retired:
            return None
        lane_of = {message.id: lanes[name] for name, messages in ready.items() for message in messages}
        picked = merge(ready, claim.limit, claim.noisy)
        deliveries = [self._lease_state(message, claim) for message in picked]
        for lane in {lane_of[message.id] for message in picked}:
            self._lanes.refresh(shelf, lane)
        return deliveries

    def _claim_ordered(self, shelf: Shelf, claim: Claim) -> list[Delivery] | None:
        """An ordered queue: from the lane that is due longest, then from the next, until there is enough."""
        picked: list[MessageState] = []
        lanes: list[int] = []
        retired = False
        for lane, _ in self._due(shelf, claim, claim.limit):
            head = self._lanes.head(lane, claim.limit - len(picked))
            if any(_past_retention(message, claim) for message in head):
                self._retire(shelf, lane, claim)
                retired = True
            picked += ordered_pick(head, claim.now, claim.limit - len(picked))
            lanes.append(lane)
            if len(picked) >= claim.limit:
                break
        if retired:
            return None
        deliveries = [self._lease_state(message, claim) for message in picked]
        for lane in lanes:
            self._lanes.refresh(shelf, lane)
        return deliveries

    def _due(self, shelf: Shelf, claim: Claim, wanted: int) -> list[tuple[int, str]]:
        """The lanes that can deliver now, the one that could for longest first."""
        lanes_max = wanted + min(self._retired, LOOK_MAX)
        due: list[tuple[int, str]] = self._execute(DUE_LANES, (shelf.partition, claim.now, lanes_max)).fetchall()
        return due

    def _body(self, message: MessageState) -> tuple[bytes, bytes]:
        meta, data = self._execute(BODY, (message.id,)).fetchone()
        return meta, data

    def _lease_state(self, state: MessageState, claim: Claim) -> Delivery:
        meta, data = self._body(state)
        return self._lease(
            state.id, state.lease, state.receives, state.sent_at, state.first_received_at, meta, data, claim
        )

    def _lease(
        self,
        message: MessageId,
        lease: int,
        receives: int,
        sent_at: Instant,
        first: Instant,
        meta: bytes,
        data: bytes,
        claim: Claim,
    ) -> Delivery:
        now, until = claim.now, claim.lease_until
        lease, receives, first = lease + 1, receives + 1, first or now
        self._execute(LEASE, (until, lease, receives, first, now, message))
        ledger = self._ledger
        ledger.dirty = True
        ledger.bytes_written += len(data)
        ledger.saw(now)
        return Delivery(message, lease, until, receives, sent_at, first, _decode_envelope(meta), data)

    def _retire(self, shelf: Shelf, lane: int, claim: Claim) -> None:
        """Removes messages past their retention from the front of a lane."""
        look = max(LOOK_MAX, claim.limit)
        if shelf.queue.ordered:
            front = self._lanes.head(lane, look)
        else:
            front = [MessageState(*row) for row in self._execute(OLDEST, (lane, claim.now, look))]
        rows = [(message.id,) for message in front if _past_retention(message, claim)]
        self._connection.executemany("DELETE FROM message WHERE id = ?", rows)
        self._connection.executemany("DELETE FROM body WHERE id = ?", rows)
        self._retired += len(rows)
        self._ledger.count(shelf, -len(rows))
        self._lanes.refresh(shelf, lane)


def _past_retention(message: MessageState, claim: Claim) -> bool:
    """Nobody may receive it any more. A lease that runs, or a delay, is let run out first."""
    return message.sent_at < claim.sent_after and message.ready_at <= claim.now
