"""Numbers as people read them. Pure; the filters of the templates."""

from datetime import UTC, datetime

from encola.engine.message import Instant

DASH = "–"  # noqa: RUF001 - an en dash is meant: there is no number


def count(value: float | None) -> str:
    """A number of things, with thin groups of thousands: ``12 345``."""
    return DASH if value is None else f"{value:,.0f}".replace(",", "\u2009")


def rate(per_second: float | None) -> str:
    """Things a second: ``0``, ``0.25``, ``3.1``, ``1 204``."""
    if per_second is None:
        return DASH
    if per_second == 0:
        return "0"
    if per_second < 0.01:
        return "<0.01"
    return f"{per_second:.2g}" if per_second < 1 else f"{per_second:.1f}" if per_second < 100 else count(per_second)


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units: ``0 s``, ``4.2 s``, ``3 min 5 s``, ``2 h 10 min``, ``4 d 1 h``."""
    if seconds is None:
        return "never"
    if seconds < 1:
        thousandths = seconds * 1000
        return "0 s" if thousandths < 0.05 else f"{thousandths:.1f} ms" if thousandths < 10 else f"{thousandths:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            rest = whole % unit // part
            return f"{count(whole // unit)} {name} {rest} {part_name}" if rest else f"{count(whole // unit)} {name}"
    return f"{whole} s"


def size(octets: float | None) -> str:
    """Bytes: ``312 B``, ``1.4 kB``, ``1.0 MB`` (steps of 1,024)."""
    if octets is None:
        return DASH
    value, units = float(octets), ("B", "kB", "MB", "GB", "TB")
    for unit in units:
        if value < 1024 or unit == units[-1]:
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def moment(at: Instant | None) -> str:
    """A moment in UTC to the second: ``2026-10-07 12:00:00``."""
    found = _datetime(at)
    return DASH if found is None else found.strftime("%Y-%m-%d %H:%M:%S")


def iso(at: Instant | None) -> str:
    """The same for machines, as ``<time datetime>`` wants it."""
    found = _datetime(at)
    return "" if found is None else found.isoformat(timespec="milliseconds")


def _datetime(at: Instant | None) -> datetime | None:
    """None for no moment, and for one that a client made up, beyond the end of the calendar."""
    try:
        return datetime.fromtimestamp(at / 1000, UTC) if at else None
    except (ValueError, OverflowError, OSError):
        return None


def percent(share: float | None) -> str:
    return DASH if share is None else f"{share:.0%}"


def sparkline(values: list[float], width: int = 96, height: int = 22) -> str:
    """The points of an SVG polyline that shows values from left to right, the highest at the top."""
    if not values:
        return ""
    top = max(values) or 1
    step = width / max(1, len(values) - 1)
    return " ".join(
        f"{index * step:.1f},{height - 1 - value / top * (height - 2):.1f}" for index, value in enumerate(values)
    )
