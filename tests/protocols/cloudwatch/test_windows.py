"""Which intervals a request means: where they begin, and of what they are made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.engine.history import HOURS, MINUTES, SECONDS
from encola.engine.queue import DAY, HOUR, MINUTE, SECOND
from encola.protocols.cloudwatch.windows import LATEST, PERIODS_BELOW_MINUTE, is_period, window_of

from .conftest import NOW


def begins(start: int, end: int, period_seconds: int, now: int = NOW) -> list[int]:
    return list(window_of(start, end, period_seconds, now).grid)


def test_intervals_begin_at_the_start_rounded_down_to_the_minute() -> None:
    """Those of AWS do: 23:18:30 with a period of an hour gives 23:18, 00:18, and so on."""
    assert NOW // 1000 % 60 == 5
    start = NOW - 2 * HOUR
    assert begins(start, NOW, 3600) == [start // 1000 - 5, start // 1000 - 5 + 3600, start // 1000 - 5 + 7200]
    assert begins(start, start + HOUR - 5 * SECOND, 3600) == [start // 1000 - 5]


def test_the_end_is_exclusive_and_the_start_inclusive() -> None:
    start = NOW - NOW % MINUTE - 10 * MINUTE
    assert begins(start, start + 2 * MINUTE, 60) == [start // 1000, start // 1000 + 60]
    assert begins(start, start + 2 * MINUTE + 1, 60) == [start // 1000, start // 1000 + 60, start // 1000 + 120]


@pytest.mark.parametrize("period", PERIODS_BELOW_MINUTE)
def test_short_intervals_begin_at_whole_periods(period: int) -> None:
    found = begins(NOW - 3 * MINUTE, NOW, period)
    assert all(at % period == 0 for at in found)
    assert found[0] <= (NOW - 3 * MINUTE) // 1000 < found[0] + period
    assert found[-1] < NOW // 1000 + 1 <= found[-1] + period + 1


def test_there_are_none_in_the_future() -> None:
    assert begins(NOW + MINUTE, NOW + HOUR, 60) == []
    assert begins(NOW - MINUTE, NOW + DAY, 60) == [NOW // 1000 - 65, NOW // 1000 - 5]


def test_what_is_no_longer_kept_so_fine_is_left_out_whole_intervals_of_it() -> None:
    for period, kept in ((1, SECONDS.kept), (60, MINUTES.kept), (300, MINUTES.kept), (5400, MINUTES.kept)):
        window = window_of(NOW - 20 * DAY, NOW, period, NOW)
        assert NOW - kept < window.start <= NOW - kept + 2 * MINUTE + period * SECOND
        assert (window.start - (NOW - 20 * DAY) // (60 * SECOND) * MINUTE) % (period * SECOND) == 0
    hours = window_of(NOW - 20 * DAY, NOW, 3600, NOW)
    assert (hours.start, hours.step) == ((NOW - 20 * DAY) // HOUR * HOUR, HOUR)
    assert window_of(NOW - 200 * DAY, NOW, 86400, NOW).start > NOW - HOURS.kept


def test_percentiles_are_made_of_seconds_where_there_are_seconds() -> None:
    assert window_of(NOW - 10 * MINUTE, NOW, 300, NOW, fine=True).step == SECOND
    assert window_of(NOW - HOUR, NOW, 300, NOW, fine=True).step == MINUTE
    assert window_of(NOW - 10 * MINUTE, NOW, 300, NOW).step == MINUTE


@pytest.mark.parametrize("period", [1, 5, 10, 20, 30, 60, 120, 3600, 86400])
def test_these_are_periods(period: int) -> None:
    assert is_period(period)


@pytest.mark.parametrize("period", [-60, -1, 0, 2, 15, 59, 61, 90, 10**12])
def test_these_are_not(period: int) -> None:
    assert not is_period(period)


@given(
    st.integers(0, LATEST), st.integers(0, LATEST), st.integers(0, LATEST),
    st.one_of(st.sampled_from(PERIODS_BELOW_MINUTE), st.integers(1, 10_000).map(lambda n: n * 60)), st.booleans(),
)  # fmt: skip
def test_a_window_is_never_larger_than_what_is_kept(start: int, end: int, now: int, period: int, fine: bool) -> None:
    window = window_of(start, end, period, now, fine=fine)
    assert len(window.grid) <= max(HOURS.kept // HOUR, SECONDS.kept // SECOND, MINUTES.kept // MINUTE) + 1
    assert (window.end - window.start) // window.step <= 90 * 24 + 1
    assert window.start <= window.end
    assert window.start % window.step == 0
    assert window.period % window.step == 0
