"""What several operations check of their parameters."""

from encola.engine.message import Instant
from encola.protocols.cloudwatch.errors import invalid, missing
from encola.protocols.cloudwatch.windows import LATEST

DIMENSIONS_MAX = 30
_BYTES = ("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes")
_BITS = ("Bits", "Kilobits", "Megabits", "Gigabits", "Terabits")
UNITS = frozenset(
    ("Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None", *_BYTES, *_BITS)
) | {f"{unit}/Second" for unit in (*_BYTES, *_BITS)}
"""Those of CloudWatch."""


def check_range(start: Instant | None, end: Instant | None) -> tuple[Instant, Instant]:
    """Start and end. Raises CloudWatchError."""
    if start is None:
        raise missing("StartTime")
    if end is None:
        raise missing("EndTime")
    if not (0 <= start <= LATEST and 0 <= end <= LATEST):
        raise invalid("The parameters StartTime and EndTime must be between the years 1970 and 9999.")
    if start >= end:
        raise invalid("The parameter StartTime must be less than the parameter EndTime.")
    return start, end
