"""Which tries of a request are repeated, and when. Pure.

- An answer that says "not now" (5xx, throttled), or a connection that could not be made: nothing was done. Repeated.
- A connection that broke at once: the service had closed it while it was idle. Repeated once, without a pause.
- A connection that broke later, or no answer in time: it may have been done. Only where doing it twice does no harm.

Pauses grow with full jitter; no try begins later than ``REPEAT_SECONDS_MAX`` after the first.
"""

import enum

from encola.consumers.retry import Backoff
from encola.consumers.sqs.answers import ServiceFault

TRIES_MAX = 8
REPEAT_SECONDS_MAX = 5.0
REPEAT_BACKOFF = Backoff(base=0.1, factor=2.0, cap=1.0)

_GATEWAY = frozenset({502, 504})
"""Somebody on the way got no answer: who knows what the service did."""

PASSING_STATUSES = _GATEWAY | {429, 503}
"""Not of an operation: the service, or who stands before it, has no time now."""


class Repeat(enum.Enum):
    """When a try may be repeated. With UNANSWERED, an answer counts even if it says that the service failed."""

    ANYWAY = enum.auto()
    UNDONE = enum.auto()
    UNANSWERED = enum.auto()


class BrokenError(Exception):
    """No answer came. ``sent``: the service may have got the request; ``stale``: the connection was broken before."""

    def __init__(self, reason: str, *, sent: bool, stale: bool = False) -> None:
        super().__init__(reason)
        self.sent = sent
        self.stale = stale


class Tries:
    """The tries of one request, from the first, which begins at ``now``."""

    def __init__(self, repeat: Repeat, now: float) -> None:
        self._repeat = repeat
        self._end = now + REPEAT_SECONDS_MAX
        self._number = 0
        self._stale = False

    def after_break(self, broken: BrokenError, now: float, chance: float) -> float | None:
        """Seconds to wait before the next try; None: there is none. ``chance`` is a random number in [0, 1)."""
        if broken.stale and not self._stale:
            self._stale = True
            return 0.0
        if broken.sent and self._repeat is Repeat.UNDONE:
            return None
        return self._pause(now, chance)

    def after_fault(self, fault: ServiceFault, now: float, chance: float) -> float | None:
        """As ``after_break``, for an answer that is an error."""
        if not fault.is_passing or (self._repeat is Repeat.UNDONE and fault.status in _GATEWAY):
            return None
        if self._repeat is Repeat.UNANSWERED and fault.status not in PASSING_STATUSES:
            return None
        return self._pause(now, chance)

    def _pause(self, now: float, chance: float) -> float | None:
        self._number += 1
        pause = REPEAT_BACKOFF.delay(self._number, chance)
        return pause if self._number < TRIES_MAX and now + pause < self._end else None
