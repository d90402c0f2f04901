"""The values of metric math: scalars, time series, arrays of time series; and how work on them is counted."""

import math
from collections.abc import Callable, Iterable

import msgspec

from encola.protocols.cloudwatch.expressions.parser import Text, Word
from encola.protocols.cloudwatch.expressions.tokens import ExpressionError

NAN = math.nan
"""A scalar without a value, as that of a division by zero; a data point that would be it is dropped."""


class Series(msgspec.Struct):
    """A time series: values by time (seconds since 1970), in order. ``grid`` has the times that it could have."""

    points: dict[int, float]
    grid: range
    label: str = ""


Array = list[Series]
Value = float | Series | Array | Word | Text


class Work:
    """Counts data points that are computed, of all expressions of a request. Raises ExpressionError at the end."""

    def __init__(self, most: int) -> None:
        self._left = most

    def spend(self, points: int) -> None:
        self._left -= points + 1
        if self._left < 0:
            raise ExpressionError("The expressions of this request take too many data points to compute")


def name_of(value: Value) -> str:
    """The kind of a value, for messages."""
    if isinstance(value, float):
        return "a scalar"
    if isinstance(value, Series):
        return "a time series"
    if isinstance(value, list):
        return "an array of time series"
    return f"the word {value.name}" if isinstance(value, Word) else "a text"


def mapped(series: Series, function: Callable[[float], float], work: Work) -> Series:
    """Each value through a function; what has no result is dropped."""
    work.spend(len(series.points))
    return kept(series, ((at, _safe(function, value)) for at, value in series.points.items()))


def kept(series: Series, points: Iterable[tuple[int, float]]) -> Series:
    """A series like another with other points, without those that have no value."""
    return Series({at: value for at, value in points if math.isfinite(value)}, series.grid, series.label)


def _safe(function: Callable[[float], float], value: float) -> float:
    try:
        return float(function(value))
    except (ValueError, OverflowError, ZeroDivisionError):
        return NAN


def check_periods(all_series: Iterable[Series]) -> None:
    """Values of different intervals have no common times. Raises ExpressionError."""
    if len({series.grid.step for series in all_series}) > 1:
        raise ExpressionError("The time series have different periods")


def times_of(all_series: Iterable[Series]) -> list[int]:
    """The times that any of them has, in order."""
    found: set[int] = set()
    for series in all_series:
        found.update(series.points)
    return sorted(found)
