"""The pause before another attempt: exponential, capped, and spread over all of its length."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.consumers.retry import Backoff

CHANCES = st.floats(0, 1, exclude_max=True)
BACKOFFS = st.builds(Backoff, base=st.floats(0, 1e6), factor=st.floats(1, 1e300), cap=st.floats(0, 1e9))


@given(BACKOFFS, st.integers(-5, 2000), CHANCES)
def test_a_pause_is_between_nothing_and_the_cap(backoff: Backoff, attempt: int, chance: float) -> None:
    assert 0 <= backoff.delay(attempt, chance) <= backoff.cap


@given(BACKOFFS, st.integers(1, 1000), CHANCES)
def test_the_longest_pause_grows_with_each_attempt(backoff: Backoff, attempt: int, chance: float) -> None:
    assert backoff.delay(attempt, chance) <= backoff.delay(attempt + 1, chance)


@given(st.integers(1, 12), CHANCES)
def test_chance_spreads_it_over_the_whole_length(attempt: int, chance: float) -> None:
    longest = min(3600, 2 ** (attempt - 1))
    assert math.isclose(Backoff().delay(attempt, chance), chance * longest)


def test_the_pauses_of_the_default_double_up_to_an_hour() -> None:
    halves = [Backoff().delay(attempt, 0.5) for attempt in range(1, 14)]
    assert halves == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1800]


def test_a_factor_whose_power_is_no_number_gives_the_cap() -> None:
    """It was an OverflowError in place of a verdict."""
    assert Backoff(factor=1e300, cap=60).delay(1000, 0.5) == 30


@pytest.mark.parametrize(
    "wrong", [{"base": -1}, {"factor": 0.5}, {"cap": -1}, {"base": math.nan}, {"factor": math.nan}]
)
def test_what_is_no_back_off_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a back-off has base >= 0, factor >= 1 and cap >= 0"):
        Backoff(**wrong)
