"""The life of a message: its states, what may happen in each, and the rules that decide it.

This is the only place that says when a lease may be settled or extended. Stores read a row, ask here, and
carry out the answer in the same transaction. ``TRANSITIONS`` is the source of the diagram in
``docs/concepts.md``.
"""

import enum

from encola.engine.message import Instant, MessageState


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
    LEASE_OVER = "lease over"
    DELETE = "delete"
    DEAD_LETTER = "dead-letter"
    RETIRE = "retire (retention)"
    PURGE = "purge"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.DELAYED, Event.DELAY_OVER): State.READY,
    (State.DELAYED, Event.RETIRE): State.GONE,
    (State.DELAYED, Event.PURGE): State.GONE,
    (State.READY, Event.CLAIM): State.LEASED,
    (State.READY, Event.DELETE): State.GONE,  # by the last receipt, after its lease ran out, on standard queues
    (State.READY, Event.DEAD_LETTER): State.READY,  # on the dead-letter queue
    (State.READY, Event.RETIRE): State.GONE,
    (State.READY, Event.PURGE): State.GONE,
    (State.LEASED, Event.EXTEND): State.LEASED,
    (State.LEASED, Event.RELEASE): State.READY,
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


def state_of(message: MessageState | None, now: Instant) -> State:
    """Reads a message's state at ``now``."""
    if message is None:
        return State.GONE
    if message.ready_at <= now:
        return State.READY
    return State.LEASED if message.leased_at else State.DELAYED


def judge_delete(message: MessageState | None, lease: int, now: Instant, *, live_lease: bool) -> Outcome:
    """May the holder of lease number ``lease`` delete this message?

    With ``live_lease`` the lease must still run (ordered queues: another consumer may have the group by now);
    without it the last holder may delete late, as long as nobody received the message since.
    """
    if message is None:
        return Outcome.GONE
    if message.lease != lease:
        return Outcome.STALE
    if live_lease and message.ready_at <= now:
        return Outcome.EXPIRED
    return Outcome.DONE


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
