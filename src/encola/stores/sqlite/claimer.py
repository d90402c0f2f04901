"""Claims: which messages go next, found through the lanes, and leased."""

from collections.abc import Iterable, Sequence

import apsw
import msgspec

from encola.engine.changes import Claim
from encola.engine.lanes import HEAD_LENGTH, merge, ordered_pick
from encola.engine.message import Delivery, Envelope, MessageState
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
DUE_LANES = "SELECT id, name FROM lane WHERE partition = ? AND ready_at <= ? ORDER BY ready_at LIMIT ?"
BODY = "SELECT meta, data FROM body WHERE id = ?"
LEASE = "UPDATE message SET ready_at = ?, lease = ?, receives = ?, first_received_at = ?, leased_at = ? WHERE id = ?"

ROUNDS_MAX = 50
"""How often a claim looks again after it met only messages past their retention (which it removes)."""

_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode


class Claimer:
    def __init__(self, connection: apsw.Connection, ledger: Ledger, lanes: Lanes) -> None:
        self._connection = connection
        self._execute: Execute = connection.execute
        self._ledger = ledger
        self._lanes = lanes

    def claim(self, claim: Claim) -> Sequence[Delivery]:
        shelf = self._ledger.shelves.get(claim.queue)
        if shelf is None or not shelf.messages:
            return ()
        for _ in range(ROUNDS_MAX):
            if shelf.queue.ordered:
                deliveries, retired = self._claim_ordered(shelf, claim)
            elif shelf.grouped:
                deliveries, retired = self._claim_fair(shelf, claim)
            else:
                deliveries, retired = self._claim_common(shelf, claim)
            if deliveries or not retired:
                return deliveries
        return ()

    def _claim_common(self, shelf: Shelf, claim: Claim) -> tuple[list[Delivery], bool]:
        """A standard queue without groups: one look at the common lane."""
        deliveries = []
        retired = []
        for row in self._execute(OLDEST_WITH_BODY, (shelf.common_lane, claim.now, claim.limit)).fetchall():
            if row[4] < claim.sent_after:
                retired.append(row[0])
            else:
                deliveries.append(self._lease(MessageState(*row[:7]), row[7], row[8], claim))
        if retired:
            self._retire(shelf, retired)
        return deliveries, bool(retired)

    def _claim_fair(self, shelf: Shelf, claim: Claim) -> tuple[list[Delivery], bool]:
        """A standard queue with groups: the oldest of each due lane, merged; quiet tenants first."""
        wanted = claim.limit + len(claim.noisy)
        due = self._execute(DUE_LANES, (shelf.partition, claim.now, wanted)).fetchall()
        lanes = {"": shelf.common_lane, **{name: lane for lane, name in due}}
        ready: dict[str, list[MessageState]] = {}
        retired: list[int] = []
        touched: set[int] = set()
        for name, lane in lanes.items():
            found = [MessageState(*row) for row in self._execute(OLDEST, (lane, claim.now, claim.limit))]
            ready[name] = [message for message in found if message.sent_at >= claim.sent_after]
            if len(ready[name]) < len(found):
                retired += [message.id for message in found if message.sent_at < claim.sent_after]
                touched.add(lane)
        lane_of = {message.id: lanes[name] for name, messages in ready.items() for message in messages}
        picked = merge(ready, claim.limit, claim.noisy)
        deliveries = [self._lease(message, *self._body(message), claim) for message in picked]
        if retired:
            self._retire(shelf, retired)
        for lane in touched.union(lane_of[message.id] for message in picked):
            self._lanes.refresh(shelf, lane, claim.now)
        return deliveries, bool(retired)

    def _claim_ordered(self, shelf: Shelf, claim: Claim) -> tuple[list[Delivery], bool]:
        """An ordered queue: from the lane that is due longest, then from the next, until there is enough."""
        deliveries: list[Delivery] = []
        retired: list[int] = []
        due = self._execute(DUE_LANES, (shelf.partition, claim.now, claim.limit)).fetchall()
        for lane, _ in due:
            head = self._lanes.head(lane)
            fresh = [message for message in head if message.sent_at >= claim.sent_after or message.ready_at > claim.now]
            if len(fresh) < len(head):
                retired += [message.id for message in head if message not in fresh]
            picked = ordered_pick(fresh, claim.now, min(HEAD_LENGTH, claim.limit - len(deliveries)))
            deliveries += [self._lease(message, *self._body(message), claim) for message in picked]
            if retired:
                self._retire(shelf, retired)
                retired.clear()
            self._lanes.refresh(shelf, lane, claim.now)
            self._ledger.dirty = True  # the lane's time was set
            if len(deliveries) >= claim.limit:
                break
        return deliveries, bool(due) and not deliveries

    def _body(self, message: MessageState) -> tuple[bytes, bytes]:
        meta, data = self._execute(BODY, (message.id,)).fetchone()
        return meta, data

    def _lease(self, state: MessageState, meta: bytes, data: bytes, claim: Claim) -> Delivery:
        ledger = self._ledger
        lease, receives = state.lease + 1, state.receives + 1
        first = state.first_received_at or claim.now
        self._execute(LEASE, (claim.lease_until, lease, receives, first, claim.now, state.id))
        ledger.dirty = True
        ledger.bytes_written += len(data)
        ledger.saw(claim.now)
        return Delivery(
            state.id, lease, claim.lease_until, receives, state.sent_at, first, _decode_envelope(meta), data
        )

    def _retire(self, shelf: Shelf, messages: Iterable[int]) -> None:
        rows = [(message,) for message in messages]
        self._connection.executemany("DELETE FROM message WHERE id = ?", rows)
        self._connection.executemany("DELETE FROM body WHERE id = ?", rows)
        self._ledger.count(shelf, -len(rows))
