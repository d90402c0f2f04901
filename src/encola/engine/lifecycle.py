"""The life of a message: its states, what may happen in each, and the rules that decide it.

This is the only place that says when a lease may be settled or extended. Stores read a row, ask here, and
carry out the answer in the same transaction. ``TRANSITIONS`` is the source of the diagram in
``docs/concepts/messages.md``.
"""

import enum
from collections.abc import Mapping

import msgspec

from encola.engine.message import Envelope, Header, Instant, MessageState
from encola.engine.queue import LONG_DELAY, Queue


class State(enum.Enum):
    """Where a message stands. All are readings of ``ready_at``; none is stored."""

    DELAYED = "delayed"
    READY = "ready"
    LEASED = "leased"
    GONE = "gone"


class Event(enum.Enum):
    """What can happen to a message."""

    DELAY_OVER = "delay over"
    CLAIM = "claim"
    EXTEND = "extend"
    RELEASE = "release"
    POSTPONE = "put off"
    LEASE_OVER = "lease over"
    DELETE = "delete"
    DEAD_LETTER = "dead-letter"
    RETIRE = "retire (retention)"
    PURGE = "purge"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.DELAYED, Event.DELAY_OVER): State.READY,
    (State.DELAYED, Event.DELETE): State.GONE,  # by an operator
    (State.DELAYED, Event.RETIRE): State.GONE,
    (State.DELAYED, Event.PURGE): State.GONE,
    (State.READY, Event.CLAIM): State.LEASED,
    (State.READY, Event.DELETE): State.GONE,  # by an operator; by the last receipt after its lease, on standard queues
    (State.READY, Event.DEAD_LETTER): State.READY,  # on the dead-letter queue
    (State.READY, Event.RETIRE): State.GONE,
    (State.READY, Event.PURGE): State.GONE,
    (State.LEASED, Event.EXTEND): State.LEASED,
    (State.LEASED, Event.RELEASE): State.READY,
    (State.LEASED, Event.POSTPONE): State.DELAYED,
    (State.LEASED, Event.LEASE_OVER): State.READY,
    (State.LEASED, Event.DELETE): State.GONE,
    (State.LEASED, Event.DEAD_LETTER): State.READY,  # on the dead-letter queue
    (State.LEASED, Event.PURGE): State.GONE,
}


class Outcome(enum.Enum):
    """The answer to a request about one delivery."""

    DONE = "done"
    GONE = "gone"  # no such message: deleted, expired, purged or moved
    STALE = "stale"  # leased anew since this receipt was given out
    EXPIRED = "expired"  # the lease ran out and the rule asked for a live one
    TOO_LONG = "too long"  # the lease would exceed its longest total time
    NO_TARGET = "no target"  # the queue that it was to go to does not exist
    HELD = "held"  # a consumer has it: its lease runs, and an operator leaves it alone


def state_of(message: MessageState | None, now: Instant) -> State:
    """Reads a message's state at ``now``."""
    if message is None:
        return State.GONE
    if message.ready_at <= now:
        return State.READY
    return State.LEASED if message.leased_at else State.DELAYED


def judge_delete(
    message: MessageState | None, lease: int, now: Instant, *, live_lease: bool, unheld: bool = False
) -> Outcome:
    """May the holder of lease number ``lease`` delete this message?

    With ``live_lease`` the lease must still run (ordered queues: another consumer may have the group by now);
    without it the last holder may delete late, as long as nobody received the message since. With ``unheld`` it is no
    holder who asks but an operator, who has seen the message under this number: it must not run.
    """
    if message is None:
        return Outcome.GONE
    if message.lease != lease:
        return Outcome.STALE
    if live_lease and message.ready_at <= now:
        return Outcome.EXPIRED
    return Outcome.HELD if unheld and state_of(message, now) is State.LEASED else Outcome.DONE


def judge_extend(
    message: MessageState | None, lease: int, until: Instant, now: Instant, lease_total_max: int
) -> Outcome:
    """May the holder of ``lease`` keep (or give back, with ``until <= now``) this message until ``until``?"""
    if message is None:
        return Outcome.GONE
    if message.lease != lease:
        return Outcome.STALE
    if message.ready_at <= now or not message.leased_at:
        return Outcome.EXPIRED
    if until > message.leased_at + lease_total_max:
        return Outcome.TOO_LONG
    return Outcome.DONE


def judge_release(message: MessageState | None, lease: int, now: Instant) -> Outcome:
    """May the holder of ``lease`` take this delivery back? Only while it runs: afterwards it has happened."""
    if message is None:
        return Outcome.GONE
    if message.lease != lease:
        return Outcome.STALE
    return Outcome.EXPIRED if message.ready_at <= now or not message.leased_at else Outcome.DONE


def released(message: MessageState, envelope: Envelope, until: Instant, now: Instant) -> tuple[MessageState, Envelope]:
    """A message whose delivery never happened, and that comes (again) at ``until``.

    Its lease number rises, so that the receipt is void. If it is put off for long, its retention counts from then.
    """
    receives = message.receives - 1
    kept_from = until if until - now > LONG_DELAY else message.sent_at
    state = msgspec.structs.replace(
        message,
        ready_at=until,
        lease=message.lease + 1,
        receives=receives,
        sent_at=max(message.sent_at, kept_from),
        first_received_at=message.first_received_at if receives else 0,
        leased_at=0,
    )
    if state.sent_at != message.sent_at and not envelope.sent_at:
        envelope = msgspec.structs.replace(envelope, sent_at=message.sent_at)
    return state, envelope


def delayed_by_queue(message: MessageState, now: Instant) -> bool:
    """Does a new delay of its (ordered) queue hold for this message too? Not if it is leased, or was put off."""
    return not message.leased_at and (not message.lease or message.ready_at <= now)


def dead_lettered(envelope: Envelope, source: Queue, target: Queue) -> Envelope:
    """The envelope of a message that goes to a dead-letter queue.

    On an ordered one the message id takes the place of the deduplication id, and retention counts from the move.
    """
    return msgspec.structs.replace(
        envelope,
        dead_letter_source=str(source.address),
        deduplication_id=envelope.message_id if target.ordered else envelope.deduplication_id,
        sent_at=0 if target.ordered else envelope.sent_at,
    )


def rejected(envelope: Envelope, source: Queue, target: Queue, headers: Mapping[str, Header]) -> Envelope:
    """As ``dead_lettered``, with these headers in the place of those of the same names; those without a value go."""
    merged = {**envelope.headers, **headers}
    kept = {name: header for name, header in merged.items() if header.value}
    return msgspec.structs.replace(dead_lettered(envelope, source, target), headers=kept)
