"""The values that describe a message: what was sent, where it stands, what a consumer gets.

A message is kept in two parts. The *envelope* and *body* never change after the send (only a move to another
queue rewrites the envelope). The *state* is a narrow row of integers that changes at each receive. Keeping
them apart means that a receive rewrites some fifty bytes, not a megabyte.
"""

from typing import NewType

import msgspec

Instant = int
"""A moment: milliseconds since 1970-01-01T00:00:00Z."""

Duration = int
"""A length of time in milliseconds."""

QueueId = NewType("QueueId", int)
"""Names one queue for ever; a queue that is deleted and created again under its old name has a new one."""

MessageId = NewType("MessageId", int)
"""Names one message in its store; larger means accepted later. Never used twice, also across restarts."""


class Header(msgspec.Struct, frozen=True, array_like=True):
    """A typed value that a producer attached to a message, e.g. ``Header("Number", b"42")``; text is in UTF-8."""

    type: str
    value: bytes


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a message besides its body; the same for every protocol.

    ``group`` orders messages on an ordered queue and names the tenant on a standard one ("" for none).
    ``dead_letter_source`` is the address (``account/name``) of the queue from which the message was
    dead-lettered. ``properties`` holds what one protocol wants back and no rule reads. ``sent_at`` is when the message
    was sent, where its state tells a later moment from which retention counts (0: it does not).
    """

    message_id: str
    sender: str = ""
    group: str = ""
    deduplication_id: str = ""
    dead_letter_source: str = ""
    headers: dict[str, Header] = {}
    properties: dict[str, str] = {}
    sent_at: Instant = 0


def size_of(body: bytes, headers: dict[str, Header]) -> int:
    """What counts against a message's largest size: the body and the headers' names, types and values, in bytes."""
    if not headers:
        return len(body)
    return len(body) + sum(len(n.encode()) + len(h.type.encode()) + len(h.value) for n, h in headers.items())


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """A fencing token: the right to settle one delivery, void as soon as the message is leased anew."""

    message: MessageId
    lease: int


class MessageState(msgspec.Struct, array_like=True):
    """The narrow row that changes.

    ``ready_at`` is the one clock of a message: ready when ``ready_at <= now``; otherwise delayed if it has no
    lease (``leased_at == 0``), else leased until then. ``lease`` counts leases and is part of every receipt.
    ``receives`` counts for the dead-letter rule and is reset by a move.
    """

    id: MessageId
    ready_at: Instant
    lease: int
    receives: int
    sent_at: Instant
    first_received_at: Instant
    leased_at: Instant


class Delivery(msgspec.Struct):
    """A message handed to a consumer under a lease."""

    id: MessageId
    lease: int
    lease_until: Instant
    receives: int
    sent_at: Instant
    first_received_at: Instant
    envelope: Envelope
    body: bytes

    @property
    def receipt(self) -> Receipt:
        return Receipt(self.id, self.lease)


class Peek(msgspec.Struct):
    """A message looked at without a lease."""

    state: MessageState
    envelope: Envelope
    body: bytes


class Counts(msgspec.Struct, frozen=True):
    """How many messages of a queue are ready, leased and delayed at one moment."""

    ready: int = 0
    leased: int = 0
    delayed: int = 0

    @property
    def total(self) -> int:
        return self.ready + self.leased + self.delayed
