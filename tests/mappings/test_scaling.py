"""Concurrency: five at the start, 300 more a minute, back when idle, down with errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.mappings.model import Pollers
from encola.mappings.scaling import (
    CONCURRENCY_MAX,
    PAUSE_SECONDS_MAX,
    PAUSE_SECONDS_MIN,
    START,
    Bounds,
    Scaler,
    bounds_of,
)


def saturated_for(scaler: Scaler, seconds: float, start: float = 0.0) -> None:
    """All slots are taken for so long, and somebody asks as often as he was told to."""
    now = start
    while now < start + seconds:
        now = min(now + scaler.saturated(now), start + seconds)
    scaler.saturated(now)


@pytest.mark.parametrize(
    ("maximum", "pollers", "bounds"),
    [
        (None, None, Bounds(5, 1250, 300)),
        (2, None, Bounds(2, 2, 300)),
        (1000, None, Bounds(5, 1000, 300)),
        (None, Pollers(2, 200), Bounds(20, 2000, 1000)),
    ],
)
def test_the_settings_bound_concurrency(maximum: int | None, pollers: Pollers | None, bounds: Bounds) -> None:
    assert bounds_of(maximum, pollers) == bounds
    assert Scaler(bounds).limit == bounds.start


def test_it_grows_by_300_in_a_minute_while_all_slots_are_taken() -> None:
    scaler = Scaler(Bounds())
    saturated_for(scaler, 60)
    assert START + 300 - scaler.limit in (0, 1)  # whole slots


def test_it_grows_slot_by_slot() -> None:
    scaler = Scaler(Bounds())
    wait = scaler.saturated(100.0)
    assert wait == pytest.approx(0.2)
    assert scaler.limit == START
    scaler.saturated(100.0 + wait + 0.001)
    assert scaler.limit == START + 1


def test_many_short_stretches_count_as_one_long() -> None:
    scaler = Scaler(Bounds())
    for at in range(100):
        scaler.saturated(at)
        scaler.unsaturated(at + 0.2)
    assert scaler.limit in (START + 99, START + 100)


def test_time_with_a_free_slot_does_not_count() -> None:
    scaler = Scaler(Bounds())
    scaler.saturated(0)
    scaler.unsaturated(0)
    scaler.saturated(1000)
    assert scaler.limit == START


def test_it_stops_at_the_maximum() -> None:
    scaler = Scaler(Bounds())
    saturated_for(scaler, 3600)
    assert scaler.limit == CONCURRENCY_MAX
    few = Scaler(bounds_of(3, None))
    saturated_for(few, 3600)
    assert few.limit == 3


def test_an_idle_mapping_falls_back_to_its_start() -> None:
    scaler = Scaler(Bounds())
    saturated_for(scaler, 60)
    scaler.idle()
    assert scaler.limit == START


def test_errors_lower_it_gradually_and_successes_bring_back_what_they_took() -> None:
    scaler = Scaler(Bounds())
    limits = []
    for _ in range(20):
        scaler.failed()
        limits.append(scaler.limit)
    assert limits[0] == 4
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] == 1
    for _ in range(10):
        scaler.succeeded()
    assert scaler.limit == START


def test_successes_alone_do_not_go_beyond_the_start() -> None:
    scaler = Scaler(Bounds())
    for _ in range(100):
        scaler.succeeded()
    assert scaler.limit == START


def test_refusals_leave_what_runs_and_pause_longer_and_longer() -> None:
    scaler = Scaler(Bounds())
    pauses = [scaler.refused(running=2) for _ in range(12)]
    assert scaler.limit == 2
    assert pauses[:3] == [PAUSE_SECONDS_MIN, 2 * PAUSE_SECONDS_MIN, 4 * PAUSE_SECONDS_MIN]
    assert pauses[-1] == PAUSE_SECONDS_MAX
    scaler.refused(running=0)
    assert scaler.limit == 1
    scaler.succeeded()
    assert scaler.refused(running=0) == PAUSE_SECONDS_MIN


def test_new_settings_hold_from_now_on() -> None:
    scaler = Scaler(Bounds())
    saturated_for(scaler, 60)
    scaler.refused(running=100)
    scaler.refused(running=100)
    scaler.rebound(bounds_of(10, None))
    assert scaler.limit == 10
    assert scaler.refused(running=1) == PAUSE_SECONDS_MIN


EVENTS = st.sampled_from(["saturated", "unsaturated", "idle", "succeeded", "failed", "refused"])


@given(st.lists(st.tuples(EVENTS, st.floats(0, 100)), max_size=60), st.sampled_from([None, 2, 7, 1000]))
def test_whatever_happens_the_limit_stays_within_its_bounds(
    events: list[tuple[str, float]], maximum: int | None
) -> None:
    bounds = bounds_of(maximum, None)
    scaler, now = Scaler(bounds), 0.0
    for event, seconds in events:
        now += seconds
        if event in ("saturated", "unsaturated"):
            getattr(scaler, event)(now)
        elif event == "refused":
            assert PAUSE_SECONDS_MIN <= scaler.refused(int(seconds)) <= PAUSE_SECONDS_MAX
        else:
            getattr(scaler, event)()
        assert 1 <= scaler.limit <= bounds.maximum
