"""The rules of a message's life, as a table of cases."""

import pytest

from encola.engine.lifecycle import (
    TRANSITIONS,
    Event,
    Outcome,
    State,
    dead_lettered,
    delayed_by_queue,
    judge_delete,
    judge_extend,
    judge_release,
    rejected,
    released,
    state_of,
)
from encola.engine.message import Envelope, Header, MessageId, MessageState, QueueId
from encola.engine.queue import HOUR, LEASE_TOTAL_MAX, LONG_DELAY, Address, Queue

NOW = 1_000_000_000


def message(*, ready_at: int, lease: int = 0, leased_at: int = 0) -> MessageState:
    return MessageState(MessageId(1), ready_at, lease, lease, NOW - 5000, leased_at, leased_at)


WAITING = message(ready_at=NOW)
DELAYED = message(ready_at=NOW + 1)
LEASED = message(ready_at=NOW + 30_000, lease=3, leased_at=NOW - 10)
LAPSED = message(ready_at=NOW, lease=3, leased_at=NOW - 30_000)


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (None, State.GONE),
        (WAITING, State.READY),
        (DELAYED, State.DELAYED),
        (LEASED, State.LEASED),
        (LAPSED, State.READY),
    ],
)
def test_every_state_is_a_reading_of_one_clock(row: MessageState | None, state: State) -> None:
    assert state_of(row, NOW) is state


@pytest.mark.parametrize(
    ("row", "lease", "live", "outcome"),
    [
        (None, 3, False, Outcome.GONE),
        (LEASED, 3, True, Outcome.DONE),
        (LEASED, 2, False, Outcome.STALE),
        (LAPSED, 3, False, Outcome.DONE),  # late, but nobody received it since
        (LAPSED, 3, True, Outcome.EXPIRED),
    ],
)
def test_delete_is_fenced_by_the_lease_number(
    row: MessageState | None, lease: int, live: bool, outcome: Outcome
) -> None:
    assert judge_delete(row, lease, NOW, live_lease=live) is outcome


@pytest.mark.parametrize(
    ("row", "lease", "until", "outcome"),
    [
        (None, 3, NOW, Outcome.GONE),
        (LEASED, 2, NOW, Outcome.STALE),
        (LAPSED, 3, NOW + 1, Outcome.EXPIRED),
        (DELAYED, 0, NOW, Outcome.EXPIRED),  # delayed is not leased
        (LEASED, 3, NOW, Outcome.DONE),
        (LEASED, 3, NOW - 10 + 12 * HOUR, Outcome.DONE),
        (LEASED, 3, NOW - 10 + 12 * HOUR + 1, Outcome.TOO_LONG),
    ],
)
def test_a_lease_is_extended_by_its_holder_up_to_twelve_hours(
    row: MessageState | None, lease: int, until: int, outcome: Outcome
) -> None:
    assert judge_extend(row, lease, until, NOW, LEASE_TOTAL_MAX) is outcome


def test_a_gone_message_never_comes_back() -> None:
    assert not [event for state, event in TRANSITIONS if state is State.GONE]
    assert {event for _, event in TRANSITIONS} == set(Event)


@pytest.mark.parametrize(
    ("row", "lease", "outcome"),
    [
        (None, 3, Outcome.GONE),
        (LEASED, 2, Outcome.STALE),
        (LAPSED, 3, Outcome.EXPIRED),
        (DELAYED, 0, Outcome.EXPIRED),
        (LEASED, 3, Outcome.DONE),
    ],
)
def test_a_delivery_is_taken_back_by_its_holder_while_its_lease_runs(
    row: MessageState | None, lease: int, outcome: Outcome
) -> None:
    assert judge_release(row, lease, NOW) is outcome


def test_a_delivery_that_is_taken_back_leaves_no_trace_but_a_lease_number() -> None:
    state, envelope = released(LEASED, ENVELOPE, NOW + LONG_DELAY, NOW)
    assert state == MessageState(MessageId(1), NOW + LONG_DELAY, 4, 2, NOW - 5000, NOW - 10, 0)
    assert envelope is ENVELOPE
    assert state_of(state, NOW) is State.DELAYED
    first = message(ready_at=NOW + 1, lease=1, leased_at=NOW)
    assert released(first, ENVELOPE, NOW, NOW)[0].first_received_at == 0


def test_of_what_is_put_off_for_long_retention_counts_from_then_and_its_sending_is_remembered() -> None:
    until = NOW + LONG_DELAY + 1
    state, envelope = released(LEASED, ENVELOPE, until, NOW)
    assert (state.sent_at, envelope.sent_at) == (until, NOW - 5000)
    state.leased_at, state.ready_at = until, until + 1
    state, again = released(state, envelope, until + HOUR, until)
    assert (state.sent_at, again) == (until + HOUR, envelope)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (WAITING, True),
        (DELAYED, True),
        (LEASED, False),
        (LAPSED, False),
        (message(ready_at=NOW, lease=4), True),  # moved here, or put off until now
        (message(ready_at=NOW + 1, lease=4), False),  # put off
    ],
)
def test_a_new_delay_of_a_queue_is_for_what_nobody_has_put_off(row: MessageState, expected: bool) -> None:
    assert delayed_by_queue(row, NOW) is expected


HEADERS = {"a": Header("String", b"1"), "b": Header("String", b"2")}
ENVELOPE = Envelope("id", "sender", "group", "key", headers=HEADERS)


def a_queue(name: str, *, ordered: bool) -> Queue:
    return Queue(id=QueueId(1), address=Address("1", name), ordered=ordered, created_at=1, modified_at=1)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_dead_letter_says_where_it_comes_from(ordered: bool) -> None:
    work, dead = a_queue("work", ordered=ordered), a_queue("dead", ordered=ordered)
    sent = Envelope("id", "sender", "group", "key", headers=HEADERS, sent_at=5)
    key, sent_at = ("id", 0) if ordered else ("key", 5)
    assert dead_lettered(sent, work, dead) == Envelope("id", "sender", "group", key, "1/work", HEADERS, {}, sent_at)


def test_a_rejected_message_says_why_and_keeps_the_rest() -> None:
    work, dead = a_queue("work", ordered=False), a_queue("dead", ordered=False)
    why = {"b": Header("String", b"new"), "c": Header("String", b"3"), "a": Header("String", b"")}
    found = rejected(ENVELOPE, work, dead, why)
    assert found.headers == {"b": why["b"], "c": why["c"]}
    assert found.dead_letter_source == "1/work"
    assert ENVELOPE.headers is HEADERS
