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
QUEUE_NAME_LENGTH_MAX = 80
OWN_NAMES = "encola."
"""Tasks of the runtime are called so."""

Priority = Literal["high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")

_QUEUE = re.compile(r"[A-Za-z0-9_-]+(\.fifo)?\Z")
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
        if not isinstance(text, str):
            raise ConfigurationError(f"a rate is written as 100/s, 30/m or 5/10s, not {text!r}")
        count, _, per = text.replace(" ", "").partition("/")
        unit, times = per[-1:], per[:-1] or "1"
        if not (_is_number(count) and unit in _UNITS and _is_number(times)):
            raise ConfigurationError(f"a rate is written as 100/s, 30/m or 5/10s, not {text!r}")
        rate = cls(int(count), int(times) * _UNITS[unit])
        if rate.interval_us > INTERVAL_US_MAX:
            raise ConfigurationError(f"a rate is at least one a day, not {text!r}")
        return rate


def is_number(value: Any) -> bool:
    """A number that is one: True and NaN are none."""
    return is_whole(value) or (isinstance(value, float) and not math.isnan(value))


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_text(text: str) -> bool:
    """Can it go anywhere? A zero byte and half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def is_pattern(value: Any) -> bool:
    return value is None or isinstance(value, str) or callable(value)


def check_queue(name: Any, where: str) -> None:
    """Raises ConfigurationError for a name that no queue can have (Amazon SQS developer guide, "Quotas")."""
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"{where}: which queue?")
    if len(name) > QUEUE_NAME_LENGTH_MAX or not _QUEUE.match(name):
        raise ConfigurationError(
            f"{where}: the queue {name!r} has a name that no queue can have: up to {QUEUE_NAME_LENGTH_MAX} letters,"
            " digits, - and _ (and .fifo at the end)"
        )


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
        if self.name.startswith(OWN_NAMES):
            raise ConfigurationError(f"{where}: names that begin with {OWN_NAMES} are the runtime's own")
        check_queue(self.queue, where)
        if self.timeout is not None and not (is_number(self.timeout) and 0 < self.timeout < math.inf):
            raise ConfigurationError(f"{where}: a timeout is a number of seconds above 0")
        if not (is_whole(self.retries) and 0 <= self.retries <= RETRIES_MAX):
            raise ConfigurationError(f"{where}: between 0 and {RETRIES_MAX} retries, a whole number")
        if not isinstance(self.backoff, Backoff):
            raise ConfigurationError(f"{where}: the backoff is an encola.Backoff")
        if self.priority not in PRIORITIES:
            raise ConfigurationError(f"{where}: the priority is one of {', '.join(PRIORITIES)}")
        if self.run not in ("thread", "process"):
            raise ConfigurationError(f"{where}: run is thread or process")
        if not (is_number(self.window) and 0 < self.window <= 365 * DAY):
            raise ConfigurationError(f"{where}: the window is between 0 and 365 days")
        self._check_patterns(where)

    def _check_patterns(self, where: str) -> None:
        for what, pattern in (("key", self.key), ("limit_key", self.limit_key), ("group", self.group)):
            if not is_pattern(pattern):
                raise ConfigurationError(f"{where}: the {what} is a pattern or a function")
        if self.key == "":
            raise ConfigurationError(f"{where}: an empty key would make all its wishes one job")
        if self.key is not None and not self.track:
            raise ConfigurationError(f"{where}: a key needs a record, but the task has track=False")
        if self.limit_per_key is not None:
            if not (is_whole(self.limit_per_key) and 1 <= self.limit_per_key <= HOLDERS_MAX):
                raise ConfigurationError(f"{where}: limit_per_key is between 1 and {HOLDERS_MAX}, a whole number")
            if self.limit_key is None and self.key is None:
                raise ConfigurationError(f"{where}: limit_per_key needs limit_key (or key)")


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
        if not is_number(self.delay):
            raise ConfigurationError(f"a delay is a number of seconds, not {self.delay!r}")
        if self.at is not None and not isinstance(self.at, datetime):
            raise ConfigurationError(f"`at` is a datetime, not {self.at!r}")
        for what, text in (("key", self.key), ("group", self.group)):
            if text is not None and not (isinstance(text, str) and text and is_text(text)):
                raise ConfigurationError(f"a {what} is a text that is not empty, not {text!r}")
        if not isinstance(self.attributes, dict) or not all(
            isinstance(text, str) and is_text(text) for item in self.attributes.items() for text in item
        ):
            raise ConfigurationError("attributes are texts by their names")

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
    except Exception as error:  # of a function, or of what a value does when it becomes text
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
