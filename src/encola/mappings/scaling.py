"""How many batches of a mapping are processed at once: up with the work, down with errors and in idle times. Pure.

Sources: AWS Lambda developer guide, "Configuring scaling behavior for SQS event source mappings" (five at the start,
300 more a minute, 1,250 at most) and "Provisioned mode". How fast Lambda slows down after errors is not published; here
an error takes a tenth.
"""

import msgspec

from encola.mappings.model import Pollers

CONCURRENCY_MAX = 1250
START = 5
PER_MINUTE = 300
PROVISIONED_PER_MINUTE = 1000
PER_POLLER = 10
FAILURE_FACTOR = 0.9
FULLY_GROWN_SECONDS = 60.0
PAUSE_SECONDS_MIN = 0.25
PAUSE_SECONDS_MAX = 30.0


class Bounds(msgspec.Struct, frozen=True):
    """Where concurrency starts, how far it may go, and how fast."""

    start: int = START
    maximum: int = CONCURRENCY_MAX
    per_minute: int = PER_MINUTE


def bounds_of(maximum_concurrency: int | None, pollers: Pollers | None) -> Bounds:
    """The bounds that a mapping's settings give."""
    if pollers is not None:
        return Bounds(pollers.minimum * PER_POLLER, pollers.maximum * PER_POLLER, PROVISIONED_PER_MINUTE)
    if maximum_concurrency is not None:
        return Bounds(min(START, maximum_concurrency), maximum_concurrency)
    return Bounds()


class Scaler:
    """The limit of one mapping. ``now`` is in seconds, of any steady clock."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._limit = float(bounds.start)
        self._grows_since: float | None = None
        self._refusals = 0

    @property
    def limit(self) -> int:
        """Batches that may be under way now; at least one."""
        return max(1, int(self._limit))

    def rebound(self, bounds: Bounds) -> None:
        """The mapping's settings were changed, perhaps its function: what was refused counts no more."""
        self._bounds = bounds
        self._refusals = 0
        self._limit = min(max(self._limit, 1.0), float(bounds.maximum))

    def saturated(self, now: float) -> float:
        """All slots are taken: grows by the time since they were. Answers after how many seconds to ask again."""
        self._grow(now)
        if self._limit >= self._bounds.maximum:
            return FULLY_GROWN_SECONDS
        return (int(self._limit) + 1 - self._limit) * 60 / self._bounds.per_minute

    def unsaturated(self, now: float) -> None:
        """A slot is free: from now on no time counts for growth."""
        if self._grows_since is not None:
            self._grow(now)
        self._grows_since = None

    def _grow(self, now: float) -> None:
        elapsed, self._grows_since = now - self._grows_since if self._grows_since is not None else 0.0, now
        grown = self._limit + elapsed * self._bounds.per_minute / 60
        self._limit = max(self._limit, min(grown, float(self._bounds.maximum)))

    def idle(self) -> None:
        """There was nothing to receive for a whole long poll."""
        self._grows_since = None
        self._limit = min(self._limit, float(self._bounds.start))

    def succeeded(self) -> None:
        """A batch went well: what errors took comes back, up to the start; beyond that time decides."""
        self._refusals = 0
        self._limit = max(self._limit, min(self._limit + 1, float(self._bounds.start)))

    def failed(self) -> None:
        """The function failed on a batch."""
        self._refusals = 0
        self._grows_since = None
        self._limit = max(1.0, self._limit * FAILURE_FACTOR)

    def refused(self, running: int) -> float:
        """A batch could not be invoked (throttled, unreachable) while ``running`` others were.

        Answers for how many seconds nothing should be received.
        """
        pause = min(PAUSE_SECONDS_MIN * 2.0**self._refusals, PAUSE_SECONDS_MAX)
        self._refusals = min(self._refusals + 1, 16)
        self._grows_since = None
        self._limit = max(1.0, min(self._limit, float(running)))
        return pause
