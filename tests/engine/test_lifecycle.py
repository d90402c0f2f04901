"""The rules of a message's life, as a table of cases."""

import pytest

from encola.engine.lifecycle import (
    TRANSITIONS,
    Event,
    Outcome,
    State,
    judge_delete,
    judge_extend,
    state_of,
)
from encola.engine.message import MessageId, MessageState
from encola.engine.queue import HOUR, LEASE_TOTAL_MAX

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
