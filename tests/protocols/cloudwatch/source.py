"""Points that a test has made up, in place of a sampler's."""

from collections.abc import Sequence

from encola.engine.message import Duration, Instant, QueueId
from encola.engine.metrics import Gauge, Point, ServerPoint, absorb, absorb_server, interval_start


def level(value: float, samples: int = 1) -> Gauge:
    """That was sampled, and always the same."""
    return Gauge(value * samples, value, value)


class MadeUp:
    """Points by queue and of the server, of whatever length; they are merged as the sampler merges its own."""

    def __init__(self) -> None:
        self.points: dict[int, list[Point]] = {}
        self.server: list[ServerPoint] = []
        self.asked: list[tuple[int, Instant, Instant, Duration]] = []

    def add(self, queue_id: int, *points: Point) -> None:
        self.points.setdefault(queue_id, []).extend(points)

    async def series(self, queue_id: QueueId, since: Instant, until: Instant, period: Duration) -> Sequence[Point]:
        self.asked.append((queue_id, since, until, period))
        found: dict[Instant, Point] = {}
        for point in self.points.get(queue_id, ()):
            if since <= point.at < until:
                absorb(found.setdefault(begin := interval_start(point.at, period), Point(begin)), point)
        return [found[at] for at in sorted(found)]

    async def server_series(self, since: Instant, until: Instant, period: Duration) -> Sequence[ServerPoint]:
        self.asked.append((0, since, until, period))
        found: dict[Instant, ServerPoint] = {}
        for point in self.server:
            if since <= point.at < until:
                absorb_server(found.setdefault(begin := interval_start(point.at, period), ServerPoint(begin)), point)
        return [found[at] for at in sorted(found)]
