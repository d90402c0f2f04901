"""The history, read: the points of a series over a time, and what is needed to go on after a restart."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from encola.broker.clock import Clock
from encola.engine.history import HOURS, MINUTES, RESOLUTIONS, SECONDS, SERVER, Resolution
from encola.engine.message import Duration, Instant, QueueId
from encola.engine.metrics import Point, ServerPoint, absorb, absorb_server, interval_start
from encola.engine.queue import DAY, HOUR, MINUTE, SECOND
from encola.metrics.keeper import Keeper
from encola.metrics.lines import Line, ServerLine, decode, decode_server

SLICE = 200  # points, after which others have their turn


class Archive:
    """See the module. ``lines`` and ``server`` have what is not in the history yet: the present minute and hour."""

    def __init__(
        self, keeper: Keeper, lines: Mapping[QueueId, Line], server: Callable[[], ServerLine], clock: Clock
    ) -> None:
        self._keeper = keeper
        self._lines = lines
        self._server = server
        self._clock = clock

    async def series(self, queue_id: QueueId, since: Instant, until: Instant, period: Duration) -> list[Point]:
        """The points of a queue with ``since <= at < until``, one a ``period``, in the order of time.

        The present period is among them, as far as it has come. The finest points are taken that are still kept for
        ``since``: further back a period is a minute or an hour at least. A time in which the server was down has no
        points, one in which the queue was quiet has points of zeros. A queue that is not there has none at all.
        """
        line = self._lines.get(queue_id)
        if line is None:
            return []
        resolution = self._resolution(since, period)
        period = max(period, resolution.length)
        since, until = interval_start(since, period), interval_start(until - 1, period) + period
        documents = await self._keeper.read(resolution, [queue_id, SERVER], since, until)
        present = self._present(resolution)
        points = {at: decode(document) for at, document in documents.get(queue_id, ()) if at < present}
        quiet = {
            at: Point(at, decode_server(document).samples)
            for at, document in documents.get(SERVER, ())
            if at < present and at not in points
        }
        points.update(quiet)
        if since <= present < until:
            now = line.present_minute() if resolution is MINUTES else line.present_hour()
            if now.samples:
                points[present] = now
        whole: dict[Instant, Point] = {}
        for number, (at, point) in enumerate(sorted(points.items())):
            begin = interval_start(at, period)
            if begin not in whole:
                whole[begin] = Point(begin)
            absorb(whole[begin], point)
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        return list(whole.values())

    async def server_series(self, since: Instant, until: Instant, period: Duration) -> list[ServerPoint]:
        """As ``series``, of the server as a whole."""
        resolution = self._resolution(since, period)
        period = max(period, resolution.length)
        since, until = interval_start(since, period), interval_start(until - 1, period) + period
        documents = await self._keeper.read(resolution, [SERVER], since, until)
        present, server = self._present(resolution), self._server()
        points = [decode_server(document) for at, document in documents.get(SERVER, ()) if at < present]
        if since <= present < until:
            points.append(server.minute if resolution is MINUTES else server.present_hour())
        whole: dict[Instant, ServerPoint] = {}
        for point in points:
            begin = interval_start(point.at, period)
            if begin not in whole:
                whole[begin] = ServerPoint(begin)
            absorb_server(whole[begin], point)
        return [point for point in whole.values() if point.samples]

    async def sparklines(self, queues: Sequence[QueueId], minutes: int = 30) -> dict[QueueId, list[float]]:
        """How many messages waited, on average, in each of the last minutes with the present one; the oldest first.

        0 where nothing waited, and where nobody looked.
        """
        present = self._server().minute.at
        begin = present - (minutes - 1) * MINUTE
        documents = await self._keeper.read(MINUTES, queues, begin, present)
        found = {}
        for queue in queues:
            values = [0.0] * minutes
            for at, document in documents.get(queue, ()):
                point = decode(document)
                values[(at - begin) // MINUTE] = point.visible.total / point.samples
            line = self._lines.get(queue)
            if line is not None and (now := line.present_minute()).samples:
                values[-1] = now.visible.total / now.samples
            found[queue] = values
        return found

    def _resolution(self, since: Instant, period: Duration) -> Resolution:
        age = self._clock.now() - since
        finest = next((resolution for resolution in RESOLUTIONS if age <= resolution.kept), HOURS)
        # Coarser points cost less, and a period that they divide is made of them as well.
        coarser = [one for one in RESOLUTIONS if one.length <= period and not period % one.length]
        return max((finest, *coarser), key=lambda one: one.length)

    def _present(self, resolution: Resolution) -> Instant:
        """The interval that is not in the history yet; that of seconds is the one after the last tick."""
        if resolution is SECONDS:
            return 2**62
        server = self._server()
        return server.minute.at if resolution is MINUTES else server.hour.at

    # After a restart --------------------------------------------------------------------------------

    async def present(self, queues: Sequence[QueueId]) -> tuple[Instant, ServerLine, dict[QueueId, Line]] | None:
        """The last second that was sampled, and the lines of the minute and the hour in which it is."""
        now = self._clock.now()
        documents = await self._keeper.read(SECONDS, [SERVER], now - DAY, now + SECOND)
        if SERVER not in documents:
            return None
        last = documents[SERVER][-1][0]
        minute, hour = interval_start(last, MINUTE), interval_start(last, HOUR)
        server = ServerLine(minute, hour, now)
        lines = {queue: Line(minute, hour, now) for queue in queues}
        series = [SERVER, *queues]
        seconds = await self._keeper.read(SECONDS, series, minute, minute + MINUTE)
        minutes = await self._keeper.read(MINUTES, series, hour, minute)
        for _, document in seconds.get(SERVER, ()):
            absorb_server(server.minute, decode_server(document))
        for _, document in minutes.get(SERVER, ()):
            absorb_server(server.hour, decode_server(document))
        for number, (queue, line) in enumerate(lines.items()):
            for _, document in seconds.get(queue, ()):
                absorb(line.minute, decode(document))
            for _, document in minutes.get(queue, ()):
                absorb(line.hour, decode(document))
            absorb(line.hour, Point(hour, server.hour.samples - line.hour.samples))
            line.add_quiet(server.minute.samples - line.minute.samples)
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        return last, server, lines
