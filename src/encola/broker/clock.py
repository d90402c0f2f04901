"""The queue's clock: wall time that never runs backwards and never jumps.

All times of a queue (delays, leases, retention) are on this clock. It starts at the wall clock, but not before
the last instant that its store made durable; from then on it follows the machine's boot-time clock, which
counts on through suspends and is not moved when somebody sets the wall clock. A wall clock that is set back
therefore delays no message, and one that is set forward expires none; a step is followed at the next start.
"""

import functools
import time
from collections.abc import Callable

from encola.engine.message import Instant

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


_steady = functools.partial(time.clock_gettime, _BOOT_CLOCK)


class Clock:
    """Milliseconds since 1970, monotonic. ``wall`` and ``steady`` answer seconds and are arguments for tests."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _steady) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()

    def start_after(self, instant: Instant) -> None:
        """Makes sure that the clock is not behind ``instant``."""
        behind = instant / 1000 - (self._steady() + self._offset)
        if behind > 0:
            self._offset += behind

    def now(self) -> Instant:
        return int((self._steady() + self._offset) * 1000)

    def ahead_of_wall(self) -> float:
        """Seconds by which this clock is ahead of the wall clock (negative: behind)."""
        return self._steady() + self._offset - self._wall()
