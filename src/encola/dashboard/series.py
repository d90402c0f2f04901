"""The series of a page's charts: points of the history, as columns of numbers."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from encola.dashboard.fields import Fields
from encola.engine.message import Duration, Instant, QueueId
from encola.engine.metrics import Gauge, Point, ServerPoint
from encola.engine.queue import DAY, HOUR, MINUTE, SECOND
from encola.metrics.sampler import Sampler


class Range(msgspec.Struct, frozen=True):
    """How far back a chart looks, and how long each of its intervals is."""

    name: str
    span: Duration
    step: Duration


RANGES = (
    Range("15 min", 15 * MINUTE, 1 * SECOND),
    Range("3 h", 3 * HOUR, 1 * MINUTE),
    Range("24 h", DAY, 5 * MINUTE),
    Range("30 d", 30 * DAY, HOUR),
)

LIVE_POINTS = 5
"""An open page is sent so many of the last points: the newest grow, and one beat may be late."""


class Series(msgspec.Struct):
    """``x`` are the beginnings of intervals in seconds since 1970; ``values`` has a column of the same length for each
    name, with None where nothing is known. ``step`` and ``span`` are in seconds."""

    x: list[int]
    step: int
    span: int
    values: dict[str, list[float | None]]


Sample = TypeVar("Sample", Point, ServerPoint)
Column = Callable[[Sample], float | None]
"""A number from a point."""


def _average(gauge: Gauge, point: Point) -> float | None:
    return gauge.total / point.samples if point.samples else None


def _rate(count: float, point: Point) -> float | None:
    """A second: there is a sample for each, also in an interval that has only begun."""
    return count / point.samples if point.samples else None


COLUMNS: Mapping[str, Column[Point]] = {
    "visible": lambda point: _average(point.visible, point),
    "in_flight": lambda point: _average(point.not_visible, point),
    "delayed": lambda point: _average(point.delayed, point),
    "age": lambda point: point.age.high,
    "age_new": lambda point: point.age_new.high,
    "age_retrying": lambda point: point.age_retrying.high,
    "arrivals": lambda point: _rate(point.sent, point),
    "services": lambda point: _rate(point.deleted, point),
    "dead": lambda point: point.dead_lettered,
    "busy": lambda point: _average(point.busy, point),
    "idle": lambda point: _average(point.idle, point),
    "parked": lambda point: _average(point.parked, point),
}


def range_of(query: Fields) -> Range:
    """The range that the address names; the first if it names none."""
    wanted = query.text("range")
    return next((one for one in RANGES if one.name == wanted), RANGES[0])


def beginning(span: Range, now: Instant, *, live: bool) -> Instant:
    """When the first point begins. It is a step short of the range: the finest points are kept for no longer than the
    range is, and time goes on while they are asked for."""
    return now - (LIVE_POINTS * span.step if live else span.span - span.step)


async def queue_series(sampler: Sampler, queue: QueueId, span: Range, now: Instant, *, live: bool) -> Series:
    """All points of a range; only the last few for a page that has the others."""
    points: Sequence[Point] = await sampler.series(queue, beginning(span, now, live=live), now + 1, span.step)
    series = series_of(span, points, COLUMNS)
    series.values = {name: [_rounded(value) for value in column] for name, column in series.values.items()}
    return series


def series_of(span: Range, points: Sequence[Sample], columns: Mapping[str, Column[Sample]]) -> Series:
    """A column of each name, with a number of each point."""
    return Series(
        x=[point.at // SECOND for point in points],
        step=span.step // SECOND,
        span=span.span // SECOND,
        values={name: [column(point) for point in points] for name, column in columns.items()},
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
