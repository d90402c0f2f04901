"""How a task is to be run, and how one wish is to be sent: values that are checked once, at the declaration."""

import math
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from string import Formatter
from typing import Any, Literal

import msgspec

from encola.consumers.errors import ConfigurationError
from encola.consumers.retry import Backoff
from encola.engine.records import HOLDERS_MAX, INTERVAL_US_MAX

DAY = 86_400.0
DELAY_MAX = 14 * DAY
WINDOW_DEFAULT = DAY
RETRIES_MAX = 1000
NAME_LENGTH_MAX = 100
NUMBER_DIGITS_MAX = 9

Priority = Literal["high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY}


class Rate(msgspec.Struct, frozen=True):
    """So many starts in so many seconds, over all workers; ``burst`` may start at once after a pause."""

    count: int
    seconds: float
    burst: int = 1

    @property
    def interval_us(self) -> int:
        return max(1, round(self.seconds / self.count * 1_000_000))

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Reads ``100/s``, ``30/m``, ``5/10s``. Raises ConfigurationError."""
        count, _, per = text.replace(" ", "").partition("/")
        unit, times = per[-1:], per[:-1] or "1"
        if not (_is_number(count) and unit in _UNITS and _is_number(times)):
            raise ConfigurationError(f"a rate is written as 100/s, 30/m or 5/10s, not {text!r}")
        rate = cls(int(count), int(times) * _UNITS[unit])
        if rate.interval_us > INTERVAL_US_MAX:
            raise ConfigurationError(f"a rate is at least one a day, not {text!r}")
        return rate


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX and int(text) > 0


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """See ``App.task`` for what each means. Times in seconds."""

    queue: str
    name: str
    key: str | Callable[..., str] | None = None
    timeout: float | None = None
    retries: int = 5
    backoff: Backoff = Backoff()
    limit_per_key: int | None = None
    limit_key: str | Callable[..., str] | None = None
    rate: Rate | None = None
    priority: Priority = "normal"
    group: str | Callable[..., str] | None = None
    run: Literal["thread", "process"] = "thread"
    track: bool = True
    window: float = WINDOW_DEFAULT

    def __post_init__(self) -> None:
        where = f"task {self.name}"
        if not self.name or len(self.name) > NAME_LENGTH_MAX or not all(c.isalnum() or c in "._-" for c in self.name):
            raise ConfigurationError(f"{where}: a name has up to {NAME_LENGTH_MAX} letters, digits, dots, - and _")
        if not self.queue:
            raise ConfigurationError(f"{where}: which queue?")
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise ConfigurationError(f"{where}: a timeout is a number of seconds above 0")
        if not 0 <= self.retries <= RETRIES_MAX:
            raise ConfigurationError(f"{where}: between 0 and {RETRIES_MAX} retries")
        if self.limit_per_key is not None:
            if not 1 <= self.limit_per_key <= HOLDERS_MAX:
                raise ConfigurationError(f"{where}: limit_per_key is between 1 and {HOLDERS_MAX}")
            if self.limit_key is None and self.key is None:
                raise ConfigurationError(f"{where}: limit_per_key needs limit_key (or key)")
        if self.priority not in PRIORITIES:
            raise ConfigurationError(f"{where}: the priority is one of {', '.join(PRIORITIES)}")
        if self.run not in ("thread", "process"):
            raise ConfigurationError(f"{where}: run is thread or process")
        if not 0 < self.window <= 365 * DAY:
            raise ConfigurationError(f"{where}: the window is between 0 and 365 days")
        if self.key is not None and not self.track:
            raise ConfigurationError(f"{where}: a key needs a record, but the task has track=False")


class SendOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Of one wish. ``at`` needs a time zone; ``delay`` is in seconds, up to 14 days."""

    delay: float = 0.0
    at: datetime | None = None
    key: str | None = None
    priority: Priority | None = None
    group: str | None = None
    attributes: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.priority is not None and self.priority not in PRIORITIES:
            raise ConfigurationError(f"the priority is one of {', '.join(PRIORITIES)}")

    def seconds(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float:
        """How long the message is to be delayed. Raises ConfigurationError."""
        if self.at is not None and self.at.tzinfo is None:
            raise ConfigurationError("`at` needs a time zone: datetime(..., tzinfo=timezone.utc)")
        delay = self.delay if self.at is None else (self.at - now()) / timedelta(seconds=1)
        if not delay <= DELAY_MAX:
            raise ConfigurationError("a delay is at most 14 days")
        if self.at is None and delay < 0:
            raise ConfigurationError("a delay is not negative")
        return max(0.0, delay)


def template(pattern: str | Callable[..., str], arguments: dict[str, Any], what: str) -> str:
    """Fills in a key's pattern. Raises ConfigurationError when it names what the task has not, or makes no text."""
    try:
        made = pattern(**arguments) if callable(pattern) else pattern.format(**arguments)
    except (KeyError, IndexError, AttributeError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{what} {pattern!r} cannot be filled in: {type(error).__name__}: {error}") from None
    if not isinstance(made, str):
        raise ConfigurationError(f"{what} {pattern!r} cannot be filled in: a {type(made).__name__} is no text")
    return made


def check_template(pattern: str | Callable[..., str] | None, names: Collection[str], what: str) -> None:
    """Raises ConfigurationError when a pattern can never be filled in with arguments of these names."""
    if not isinstance(pattern, str):
        return
    try:
        wanted = {name for _, name, _, _ in Formatter().parse(pattern) if name is not None}
    except ValueError as error:
        raise ConfigurationError(f"{what} {pattern!r} cannot be filled in: {error}") from None
    for name in wanted:
        if re.split(r"[.\[]", name, maxsplit=1)[0] not in names:
            raise ConfigurationError(f"{what} {pattern!r} cannot be filled in: the task has no parameter {name!r}")


def lane_of(queue: str, priority: Priority) -> str:
    """The queue of a priority: ``reports-high``, ``reports``, ``reports-low`` (before ``.fifo``)."""
    if priority == "normal":
        return queue
    stem, fifo, _ = queue.partition(".fifo")
    return f"{stem}-{priority}{fifo}"
