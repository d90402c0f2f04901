"""One line a series: what was sampled last, and what has come together of the present minute and hour."""

from collections import deque

import msgspec

from encola.engine.message import Counts, Instant
from encola.engine.metrics import (
    Backlog,
    Gauge,
    Point,
    ServerPoint,
    Tally,
    Vitals,
    absorb,
    absorb_server,
    age_seconds,
    seconds_to_drain,
)
from encola.engine.queue import MINUTE, SECOND

RATE_WINDOW = MINUTE
"""Rates are those of the time before now."""

EMPTY = Backlog()

Counters = tuple[int, int, int, int, int, int]
Ages = tuple[float, float, float]

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Point).decode
decode_server = msgspec.msgpack.Decoder(ServerPoint).decode


class Snapshot(msgspec.Struct, frozen=True):
    """A queue as it was sampled last. Ages are in seconds (0: there is no such message), rates in messages a second.

    ``tally`` is the broker's own: read it, change nothing. ``drain_seconds`` is None when the queue will never be empty
    at these rates.
    """

    tally: Tally = msgspec.field(default_factory=Tally)
    backlog: Backlog = EMPTY
    age: float = 0.0
    age_new: float = 0.0
    age_retrying: float = 0.0
    arrival_rate: float = 0.0
    service_rate: float = 0.0
    dead_letter_rate: float = 0.0
    drain_seconds: float | None = 0.0
    busy: int = 0
    idle: int = 0
    parked: int = 0


class ServerSnapshot(msgspec.Struct, frozen=True):
    """The server as it was sampled last. ``tick_seconds`` is what the last tick cost the event loop.

    ``commit_rate`` is in commits a second, ``look_seconds`` what it took to look at the backlogs of the last tick.
    """

    at: Instant = 0
    vitals: Vitals = msgspec.field(default_factory=Vitals)
    connections: int = 0
    parked: int = 0
    queues: int = 0
    commit_rate: float = 0.0
    tick_seconds: float = 0.0
    tick_seconds_total: float = 0.0
    ticks: int = 0
    look_seconds: float = 0.0


class Window:
    """The rates of three counters that only grow, over the ``RATE_WINDOW`` before the last sample."""

    __slots__ = ("_samples", "still")

    def __init__(self, now: Instant) -> None:
        self._samples: deque[tuple[Instant, int, int, int]] = deque(((now, 0, 0, 0),))
        self.still = True  # all rates are 0

    def rates(self, now: Instant, one: int, two: int, three: int) -> tuple[float, float, float]:
        """A second, of each counter, which is now at this."""
        samples = self._samples
        samples.append((now, one, two, three))
        begin = now - RATE_WINDOW
        while samples[1][0] <= begin:  # the last before the window stays: it says where the counters were
            samples.popleft()
        at, first, second, third = samples[0]
        self.still = first == one and second == two and third == three
        if self.still:
            samples.clear()
            samples.append((at, first, second, third))
            return 0.0, 0.0, 0.0
        seconds = max(SECOND, now - max(at, begin)) / 1000
        return (one - first) / seconds, (two - second) / seconds, (three - third) / seconds


class Line:
    """A queue. ``minute`` and ``hour`` begin at the same moments as those of all the others."""

    __slots__ = ("_last", "_quiet", "_still", "_window", "hour", "minute", "snapshot")

    def __init__(self, minute: Instant, hour: Instant, now: Instant) -> None:
        self.minute = Point(minute)
        self.hour = Point(hour)
        self.snapshot = Snapshot()
        self._last: Counters = (0, 0, 0, 0, 0, 0)
        self._quiet = 0  # samples of the minute in which there was nothing
        self._still = False  # nothing is there, and the rates are 0: the snapshot does not change
        self._window = Window(now)

    def sample(
        self, at: Instant, now: Instant, tally: Tally, backlog: Backlog, busy: int, idle: int, parked: int
    ) -> Point | None:
        """Takes a sample for the second that begins at ``at``. None: nothing happened, and nothing is there."""
        counters = (
            tally.sent,
            tally.sent_bytes,
            tally.received,
            tally.deleted,
            tally.empty_receives,
            tally.dead_lettered,
        )
        if counters == self._last and not (busy or idle or parked or backlog.counts.total):
            self._quiet += 1
            if not self._still:
                self.snapshot = self._snapshot(now, tally, backlog, (0.0, 0.0, 0.0), 0, 0, 0)
                self._still = self._window.still
            return None
        self._still = False
        ages = (
            age_seconds(backlog.oldest, now),
            age_seconds(backlog.oldest_new, now),
            age_seconds(backlog.oldest_retrying, now),
        )
        self.snapshot = self._snapshot(now, tally, backlog, ages, busy, idle, parked)
        point = self._point(at, counters, tally.take_sizes(), backlog.counts, ages, busy, idle, parked)
        self._last = counters
        absorb(self.minute, point)
        return point

    def _point(
        self,
        at: Instant,
        counters: Counters,
        sizes: tuple[int, int],
        counts: Counts,
        ages: Ages,
        busy: int,
        idle: int,
        parked: int,
    ) -> Point:
        sent, sent_bytes, received, deleted, empty_receives, dead_lettered = self._last
        ready, leased, delayed = counts.ready, counts.leased, counts.delayed
        age, age_new, age_retrying = int(ages[0]), int(ages[1]), int(ages[2])
        return Point(
            at,
            1,
            counters[0] - sent,
            counters[1] - sent_bytes,
            sizes[0],
            sizes[1],
            counters[2] - received,
            counters[3] - deleted,
            counters[4] - empty_receives,
            counters[5] - dead_lettered,
            Gauge(ready, ready, ready),
            Gauge(leased, leased, leased),
            Gauge(delayed, delayed, delayed),
            Gauge(age, age, age),
            Gauge(age_new, age_new, age_new),
            Gauge(age_retrying, age_retrying, age_retrying),
            Gauge(busy, busy, busy),
            Gauge(idle, idle, idle),
            Gauge(parked, parked, parked),
        )

    def _snapshot(
        self, now: Instant, tally: Tally, backlog: Backlog, ages: Ages, busy: int, idle: int, parked: int
    ) -> Snapshot:
        arrivals, services, dead = self._window.rates(now, tally.sent, tally.deleted, tally.dead_lettered)
        drain = seconds_to_drain(backlog.counts.ready, arrivals, services)
        return Snapshot(tally, backlog, *ages, arrivals, services, dead, drain, busy, idle, parked)

    def add_quiet(self, samples: int) -> None:
        """Seconds of the present minute in which there was nothing."""
        self._quiet += samples

    def present_minute(self) -> Point:
        """What has come together of it."""
        if self._quiet:
            absorb(self.minute, Point(self.minute.at, self._quiet))
            self._quiet = 0
        return self.minute

    def present_hour(self) -> Point:
        """The whole minutes of it, and the present minute."""
        whole = Point(self.hour.at)
        absorb(whole, self.hour)
        absorb(whole, self.present_minute())
        return whole

    def end_minute(self, begin: Instant) -> Point:
        """The minute is over; the next one begins at ``begin``."""
        minute = self.present_minute()
        absorb(self.hour, minute)
        self.minute = Point(begin)
        return minute

    def end_hour(self, begin: Instant) -> Point:
        """The hour is over, as its last minute is; the next one begins at ``begin``."""
        hour, self.hour = self.hour, Point(begin)
        return hour


class ServerLine:
    """The server as a whole, in the same way."""

    def __init__(self, minute: Instant, hour: Instant, now: Instant) -> None:
        self.minute = ServerPoint(minute)
        self.hour = ServerPoint(hour)
        self._last = Vitals()
        self._window = Window(now)

    def sample(self, at: Instant, vitals: Vitals, connections: int, parked: int) -> ServerPoint:
        """Takes a sample for the second that begins at ``at``: there always is one."""
        last, self._last = self._last, vitals
        size = vitals.bytes
        point = ServerPoint(
            at,
            1,
            vitals.commits - last.commits,
            vitals.calls - last.calls,
            vitals.commit_seconds - last.commit_seconds,
            vitals.commit_seconds_max,
            Gauge(connections, connections, connections),
            Gauge(parked, parked, parked),
            Gauge(size, size, size),
        )
        absorb_server(self.minute, point)
        return point

    def commit_rate(self, now: Instant, vitals: Vitals) -> float:
        return self._window.rates(now, vitals.commits, 0, 0)[0]

    def present_hour(self) -> ServerPoint:
        """The whole minutes of it, and the present minute."""
        whole = ServerPoint(self.hour.at)
        absorb_server(whole, self.hour)
        absorb_server(whole, self.minute)
        return whole

    def end_minute(self, begin: Instant) -> ServerPoint:
        """The minute is over; the next one begins at ``begin``."""
        minute = self.minute
        absorb_server(self.hour, minute)
        self.minute = ServerPoint(begin)
        return minute

    def end_hour(self, begin: Instant) -> ServerPoint:
        """The hour is over, as its last minute is; the next one begins at ``begin``."""
        hour, self.hour = self.hour, ServerPoint(begin)
        return hour
