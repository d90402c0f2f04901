"""What is measured of a queue and of the server: values, how they add up, and what follows from them.

Three kinds of values. A *tally* only grows, from the start of the server: messages sent, received, deleted. A *backlog*
is how a queue stands at one moment. A *point* is what happened in an interval, made of the two; points of neighbouring
intervals merge into one of the longer interval, so that a second, a minute and an hour are the same thing.
"""

from collections.abc import Iterable, Sequence

import msgspec

from encola.engine.lifecycle import State, state_of
from encola.engine.message import Counts, Duration, Instant, MessageState

COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
GROUP_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

FRONT_MAX = 32
"""A store looks at so many of the messages that are ready, those that became it first, for the age of the oldest."""


class Tally(msgspec.Struct):
    """What has happened to a queue since the server started. ``sizes`` are in bytes, of bodies and attributes.

    ``size_min`` and ``size_max`` are of the messages since they were last taken (``take_sizes``).
    """

    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    deleted: int = 0
    empty_receives: int = 0
    dead_lettered: int = 0
    size_min: int = 0
    size_max: int = 0

    def take_sizes(self) -> tuple[int, int]:
        """The smallest and the largest message since the last call (0, 0: there was none)."""
        sizes = self.size_min, self.size_max
        self.size_min = self.size_max = 0
        return sizes


class Backlog(msgspec.Struct, frozen=True):
    """How a queue stands at one moment.

    ``oldest`` is when the oldest message was sent, whatever its state; ``oldest_new`` of those that nobody has ever
    received; ``oldest_retrying`` of those that were received, and came back. 0: there is none. All three look at what
    is in flight and at the front of what waits, not at every message: they are approximate, as in Amazon SQS.
    ``seconds`` is how long it took to find out: what is dear is to be asked less often.
    """

    counts: Counts = Counts()
    oldest: Instant = 0
    oldest_new: Instant = 0
    oldest_retrying: Instant = 0
    seconds: float = 0.0


class Gauge(msgspec.Struct, array_like=True):
    """A measured level over an interval: the sum over its samples, the lowest and the highest."""

    total: float = 0
    low: float = 0
    high: float = 0

    @classmethod
    def of(cls, value: float) -> "Gauge":
        """One sample."""
        return cls(value, value, value)


class Point(msgspec.Struct, array_like=True):
    """A queue in the interval that begins at ``at``: what happened, and the levels that were sampled in it.

    Ages are in whole seconds. Consumers are those that report themselves; ``parked`` are receives that wait for a
    message. A level of which there are ``samples`` has the average ``total / samples``.
    """

    at: Instant
    samples: int = 0
    sent: int = 0
    sent_bytes: int = 0
    size_min: int = 0
    size_max: int = 0
    received: int = 0
    deleted: int = 0
    empty_receives: int = 0
    dead_lettered: int = 0
    visible: Gauge = msgspec.field(default_factory=Gauge)
    not_visible: Gauge = msgspec.field(default_factory=Gauge)
    delayed: Gauge = msgspec.field(default_factory=Gauge)
    age: Gauge = msgspec.field(default_factory=Gauge)
    age_new: Gauge = msgspec.field(default_factory=Gauge)
    age_retrying: Gauge = msgspec.field(default_factory=Gauge)
    busy: Gauge = msgspec.field(default_factory=Gauge)
    idle: Gauge = msgspec.field(default_factory=Gauge)
    parked: Gauge = msgspec.field(default_factory=Gauge)


class ServerPoint(msgspec.Struct, array_like=True):
    """The server in the interval that begins at ``at``. Times are in seconds; ``commits`` were durable at their end."""

    at: Instant
    samples: int = 0
    commits: int = 0
    calls: int = 0
    commit_seconds: float = 0.0
    commit_seconds_max: float = 0.0
    connections: Gauge = msgspec.field(default_factory=Gauge)
    parked: Gauge = msgspec.field(default_factory=Gauge)
    store_bytes: Gauge = msgspec.field(default_factory=Gauge)


class Vitals(msgspec.Struct):
    """What a store tells of itself, since it was opened. A store without a disk has commits that take no time.

    ``commit_buckets[i]`` counts the commits that took up to ``COMMIT_BUCKETS[i]`` seconds and more than the one before;
    the last counts all that took longer. ``group_buckets`` likewise counts commits by the calls that they held.
    ``commit_seconds_max`` is of the commits since they were last taken. ``bytes`` are those on the disk.
    """

    commits: int = 0
    calls: int = 0
    commit_seconds: float = 0.0
    commit_seconds_max: float = 0.0
    commit_buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(COMMIT_BUCKETS) + 1))
    group_buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(GROUP_BUCKETS) + 1))
    bytes: int = 0

    def take(self) -> "Vitals":
        """As they are now. The longest commit is forgotten: it is that of the time until the next call."""
        buckets = self.commit_buckets.copy(), self.group_buckets.copy()
        taken = msgspec.structs.replace(self, commit_buckets=buckets[0], group_buckets=buckets[1])
        self.commit_seconds_max = 0.0
        return taken


LEVELS = ("visible", "not_visible", "delayed", "age", "age_new", "age_retrying", "busy", "idle", "parked")
SERVER_LEVELS = ("connections", "parked", "store_bytes")


def absorb(whole: Point, point: Point) -> None:
    """Adds a point to that of a longer interval which holds it."""
    if point.sent:
        whole.size_min = min(whole.size_min, point.size_min) if whole.sent else point.size_min
        whole.size_max = max(whole.size_max, point.size_max)
    whole.sent += point.sent
    whole.sent_bytes += point.sent_bytes
    whole.received += point.received
    whole.deleted += point.deleted
    whole.empty_receives += point.empty_receives
    whole.dead_lettered += point.dead_lettered
    _absorb_levels(whole, point, LEVELS)


def absorb_server(whole: ServerPoint, point: ServerPoint) -> None:
    """As ``absorb``, of the server."""
    whole.commits += point.commits
    whole.calls += point.calls
    whole.commit_seconds += point.commit_seconds
    whole.commit_seconds_max = max(whole.commit_seconds_max, point.commit_seconds_max)
    _absorb_levels(whole, point, SERVER_LEVELS)


def _absorb_levels(whole: Point | ServerPoint, point: Point | ServerPoint, names: Iterable[str]) -> None:
    if not point.samples:
        return
    first = not whole.samples
    for name in names:
        into, level = getattr(whole, name), getattr(point, name)
        into.total += level.total
        if first or level.low < into.low:
            into.low = level.low
        if first or level.high > into.high:
            into.high = level.high
    whole.samples += point.samples


def is_quiet(point: Point) -> bool:
    """Nothing happened, nothing is there, and nobody waits: not worth a place in the history."""
    return not (
        point.sent
        or point.received
        or point.deleted
        or point.empty_receives
        or point.dead_lettered
        or point.visible.high
        or point.not_visible.high
        or point.delayed.high
        or point.busy.high
        or point.idle.high
        or point.parked.high
    )


def seconds_to_drain(waiting: float, arrivals: float, services: float) -> float | None:
    """Until ``waiting`` messages are gone at these rates (messages a second).

    None: never, as long as it stays like this. 0: nothing waits.
    """
    if waiting <= 0:
        return 0.0
    return waiting / (services - arrivals) if services > arrivals else None


def backlog_of(messages: Sequence[MessageState], now: Instant) -> Backlog:
    """The exact answer, from all messages of a queue: what a store may approximate."""
    states = [state_of(message, now) for message in messages]
    leased = [state is State.LEASED for state in states]
    return Backlog(
        Counts(states.count(State.READY), states.count(State.LEASED), states.count(State.DELAYED)),
        min((message.sent_at for message in messages), default=0),
        min((message.sent_at for message in messages if not message.receives), default=0),
        # The first receive of a message that is in flight is not one from which it came back.
        min((m.sent_at for m, held in zip(messages, leased, strict=True) if m.receives > held), default=0),
    )


def age_seconds(sent_at: Instant, now: Instant) -> float:
    """0 where there is no such message (``sent_at`` 0), and for one that was sent this moment."""
    return max(0, now - sent_at) / 1000 if sent_at else 0.0


def interval_start(now: Instant, length: Duration) -> Instant:
    """The beginning of the interval of this length that holds ``now``."""
    return now - now % length
