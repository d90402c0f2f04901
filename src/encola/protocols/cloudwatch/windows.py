"""Which intervals a request means, and of which finer intervals they are made. Pure.

An interval begins at StartTime or a whole number of periods later. The start is rounded down first: to the period if
that is less than a minute, to a minute if the last day has it all, else to an hour. (CloudWatch does the same, with its
own ages: 15 and 63 days.) What was kept in finer intervals than a period asks for is merged; what is no longer kept so
fine is left out.
"""

import msgspec

from encola.engine.history import HOURS, MINUTES, SECONDS
from encola.engine.message import Duration, Instant
from encola.engine.queue import HOUR, MINUTE, SECOND

PERIODS_BELOW_MINUTE = (1, 5, 10, 20, 30)
PERIOD_SECONDS_MAX = 86_400 * 366
MARGIN: Duration = MINUTE  # what is forgotten within that time is not asked for: an answer may take a while
LATEST: Instant = 253_402_300_000_000  # the last times of the year 9999


class Window(msgspec.Struct, frozen=True):
    """Intervals of length ``period`` from ``start`` on that begin before ``end``; each is made of those of ``step``."""

    start: Instant
    end: Instant
    period: Duration
    step: Duration

    @property
    def grid(self) -> range:
        """When the intervals begin, in seconds."""
        return range(self.start // SECOND, -(-self.end // SECOND), self.period // SECOND)


def is_period(seconds: int) -> bool:
    """1, 5, 10, 20, 30, or a multiple of 60."""
    return seconds in PERIODS_BELOW_MINUTE or (60 <= seconds <= PERIOD_SECONDS_MAX and seconds % 60 == 0)


def window_of(start: Instant, end: Instant, period_seconds: int, now: Instant, *, fine: bool = False) -> Window:
    """The window of a request that came ``now``. ``fine``: made of seconds, where they are kept."""
    period = period_seconds * SECOND
    end = min(end, now + 1)
    if period < MINUTE:
        step, kept = period, SECONDS.kept
    elif period % HOUR or start >= now - MINUTES.kept + MARGIN:
        step, kept = MINUTE, MINUTES.kept
    else:
        step, kept = HOUR, HOURS.kept
    start -= start % step
    oldest = now - kept + MARGIN
    if start < oldest:  # whole periods later
        start += -(-(oldest - start) // period) * period
    if fine and period <= SECONDS.kept and start >= now - SECONDS.kept + MARGIN:
        step = SECOND
    return Window(start, max(start, end), period, step)
