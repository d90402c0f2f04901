"""When to try again: exponential back-off with full jitter, as a pure rule.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog. Full jitter spreads the attempts of many failed jobs
over the whole interval, so that they do not come back together.
"""

import msgspec

ATTEMPT_EXPONENT_MAX = 40  # 2 ** 40 seconds is beyond any cap


class Backoff(msgspec.Struct, frozen=True):
    """Before attempt n + 1 a job waits between 0 and ``base * factor ** (n - 1)`` seconds, at most ``cap``."""

    base: float = 1.0
    factor: float = 2.0
    cap: float = 3600.0

    def __post_init__(self) -> None:
        if not (self.base >= 0 and self.factor >= 1 and self.cap >= 0):
            raise ValueError("a back-off has base >= 0, factor >= 1 and cap >= 0")

    def delay(self, attempt: int, chance: float) -> float:
        """Seconds to wait after attempt number ``attempt`` (from 1) failed; ``chance`` is a random number in [0, 1)."""
        exponent = min(max(attempt, 1) - 1, ATTEMPT_EXPONENT_MAX)
        try:
            longest = min(self.cap, self.base * self.factor**exponent)
        except OverflowError:
            longest = self.cap
        return chance * longest


BACKOFF_DEFAULT = Backoff()
