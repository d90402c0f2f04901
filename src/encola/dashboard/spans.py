"""Ages and moments as people type them: ``90s``, ``15m``, ``2h``, ``3d``, or a time. Pure."""

from datetime import UTC, datetime

from encola.engine.message import Duration, Instant
from encola.engine.queue import DAY, HOUR, MINUTE, SECOND

UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
LENGTH_MAX = 40
SPAN_MAX: Duration = 100 * 365 * DAY


class NotATimeError(ValueError):
    """The text says no age and no time; its message is for people."""


def span(text: str) -> Duration:
    """A length of time. Raises NotATimeError."""
    number, unit = text[:-1].strip(), text[-1:].lower()
    if unit in UNITS and number.isascii() and number.isdigit() and len(number) <= 12:
        return min(SPAN_MAX, int(number) * UNITS[unit])
    raise NotATimeError(f"“{text[:LENGTH_MAX]}” is no age: give it like 90s, 15m, 2h or 3d.")


def moment(text: str, now: Instant) -> Instant:
    """So long ago, or a time (in UTC, if it says nothing else). Raises NotATimeError."""
    try:
        return max(0, now - span(text))
    except NotATimeError:
        pass
    try:
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return max(0, round(found.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise NotATimeError(
            f"“{text[:LENGTH_MAX]}” is no time: give it like 90s, 15m, 2h or 3d ago, or like 2026-10-07 12:00."
        ) from None
