"""From points to the values of a statistic, one for each interval of a window."""

import math
import re
from collections.abc import Iterable, Sequence

import msgspec

from encola.engine.message import Instant
from encola.engine.metrics import Point, ServerPoint
from encola.engine.queue import SECOND
from encola.metrics.definitions import Definition, Kind, Statistics, combine
from encola.protocols.cloudwatch.desk import Source, Target
from encola.protocols.cloudwatch.windows import Window

Step = tuple[Instant, float, Point | ServerPoint]
"""When a finer interval began, of how many seconds it is, and what is known of it."""

NAMES = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
RANKED = (Kind.LEVEL, Kind.RATE, Kind.DRAIN, Kind.COUNT)
"""Metrics of which a percentile can be told: it is that of the averages of finer intervals."""

_PERCENTILE = re.compile(r"p(100(?:\.0{1,10})?|[0-9]{1,2}(?:\.[0-9]{1,10})?)\Z")


class Statistic(msgspec.Struct, frozen=True):
    """What is asked of each interval: one of ``NAMES``, or the percentile of that rank."""

    name: str
    rank: float | None = None

    def value(self, parts: Sequence[Statistics]) -> float | None:
        """Of an interval's parts, at least one; None where it was not measured."""
        if self.rank is not None:
            return percentile([part.average for part in parts], self.rank)
        return _of_whole(self.name, combine(list(parts)))


def statistic_of(text: str) -> Statistic | None:
    """None for what is no statistic, or one that is not served (trimmed means and the like)."""
    if text in NAMES:
        return Statistic(text)
    match = _PERCENTILE.match(text)
    return Statistic(text, float(match[1])) if match else None


def can_tell(definition: Definition, statistic: Statistic) -> bool:
    """Can this statistic of this metric be told at all?"""
    return statistic.rank is None or definition.kind in RANKED


def is_fine(definition: Definition, statistic: Statistic) -> bool:
    """Does it need finer intervals than its own?"""
    return statistic.rank is not None and definition.kind is Kind.LEVEL


def _of_whole(name: str, whole: Statistics) -> float | None:
    if name == "Average":
        return whole.average
    found = {"SampleCount": whole.count, "Sum": whole.total, "Minimum": whole.low, "Maximum": whole.high}[name]
    return None if found is None else float(found)


def percentile(values: Sequence[float], rank: float) -> float:
    """Between the two nearest values, in proportion; ``rank`` is 0 to 100, ``values`` are not empty."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * rank / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def intervals(definition: Definition, steps: Iterable[Step], window: Window) -> dict[int, list[Statistics]]:
    """By when each interval began (seconds), in order: the statistics of its parts; none for one without any."""
    found: dict[int, list[Statistics]] = {}
    start, period = window.start, window.period
    for at, seconds, point in steps:
        measured = definition.measure(point, seconds)
        if measured is not None:
            found.setdefault((at - (at - start) % period) // SECOND, []).append(measured)
    return found


class Reader:
    """Reads points for one request, and counts them (``read``). ``now`` is when the request came."""

    def __init__(self, source: Source, now: Instant) -> None:
        self._source = source
        self._now = now
        self.read = 0

    async def steps(self, target: Target, window: Window) -> list[Step]:
        """The points of a queue, or of the server; of a queue none from before there was one."""
        if window.start >= window.end:
            return []
        points: Sequence[Point | ServerPoint]
        since, queue = window.start, target.queue
        if queue is None:
            points = await self._source.server_series(since, window.end, window.step)
        else:
            since = max(since, queue.created_at - queue.created_at % window.step)
            points = await self._source.series(queue.id, since, window.end, window.step) if since < window.end else ()
        self.read += len(points)
        return [(one.at, self._seconds(one.at, window), one) for one in points if since <= one.at < window.end]

    def _seconds(self, at: Instant, window: Window) -> float:
        return min(window.step, max(self._now - at, SECOND)) / SECOND
