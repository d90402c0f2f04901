"""Looks at everything once a second, keeps the history of it, and answers from both.

A tick takes what the tallies have grown by since the last one, and how the queues stand, and makes a point of each
queue of which there is something to tell; a quiet one writes nothing. The server always has a point, so that a gap in
its series says that it was down. Points of seconds come together to minutes, and minutes to hours. An interval that is
not over when the server ends goes on when it is back: it is put together again from the finer points.

What costs much is looked at less often. The backlog of a queue for which a look took ``s`` seconds stands for
``LOOK_PAUSES * s`` seconds, and so does that of all queues together. A tick gives way to others after each
``SLICE`` of queues.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from encola.broker.broker import Broker
from encola.engine.history import HOURS, MINUTES, SECONDS, SERVER, History
from encola.engine.message import Duration, Instant, QueueId
from encola.engine.metrics import Backlog, Point, ServerPoint, interval_start, is_quiet
from encola.engine.queue import HOUR, MINUTE, SECOND, Address
from encola.engine.store import Store
from encola.metrics.archive import Archive
from encola.metrics.keeper import Keeper
from encola.metrics.lines import EMPTY, Line, ServerLine, ServerSnapshot, encode
from encola.metrics.lines import Snapshot as Snapshot

SLICE = 50
LOOK_PAUSES = 50
LOOK_PATIENCE_SECONDS = 0.25
"""A tick waits no longer for the looks at backlogs; it takes the last ones, and they go on."""

CLOSE_SECONDS = 5.0
NOBODY = (0, 0)
CAUSES_MAX = 100  # that are told

Consumers = Callable[[], Mapping[tuple[str, str], tuple[int, int]]]
"""Busy and idle consumers by account and name of the queue."""

_log = logging.getLogger("encola.metrics")


class Sampler:
    """See the module. ``latest`` has a snapshot of each queue, ``server`` one of the server.

    ``connections`` and ``consumers`` are asked at each tick.
    """

    def __init__(
        self,
        broker: Broker,
        store: Store,
        history: History,
        *,
        connections: Callable[[], int] = lambda: 0,
        consumers: Consumers = dict,
        look_patience_seconds: float = LOOK_PATIENCE_SECONDS,
    ) -> None:
        self._broker = broker
        self._store = store
        self._connections = connections
        self._consumers = consumers
        self._patience = look_patience_seconds
        self._keeper = Keeper(history)
        self._lines: dict[QueueId, Line] = {}
        self._server_line = ServerLine(0, 0, broker.clock.now())
        self._archive = Archive(self._keeper, self._lines, lambda: self._server_line, broker.clock)
        self._backlogs: dict[QueueId, Backlog] = {}
        self._look_at_after: dict[QueueId, Instant] = {}  # the queues that were dear
        self._look_again: Instant = 0
        self._look: asyncio.Task[None] | None = None
        self._look_seconds = 0.0
        self._last_at: Instant = -1
        self._ticks, self._tick_seconds = 0, 0.0
        self._task: asyncio.Task[None] | None = None
        self._told: set[str] = set()
        self.latest: dict[QueueId, Snapshot] = {}
        self.server = ServerSnapshot()

    async def open(self) -> None:
        """Starts to sample. What cannot be kept in a history is still sampled."""
        await self._keeper.open()
        self._task = asyncio.create_task(self._run(), name="metrics")

    async def close(self) -> None:
        """Ends it; the present minute and hour are kept as far as they have come."""
        tasks = [task for task in (self._task, self._look) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._last_at >= 0:
            self._keep_present()
        await self._keeper.close(CLOSE_SECONDS)

    @property
    def history_dropped(self) -> int:
        """Writes of the history that were dropped, since it was too slow."""
        return self._keeper.dropped

    async def flush(self) -> None:
        """Waits until what was sampled is in the history."""
        await self._keeper.flush(CLOSE_SECONDS)

    async def _run(self) -> None:
        await self._guarded(self.resume)
        clock = self._broker.clock
        while True:
            await asyncio.sleep((SECOND - clock.now() % SECOND + 1) / 1000)
            await self._guarded(self.tick)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Whatever happens to a tick, there is another one."""
        try:
            await work()
        except Exception as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        """Logs each cause once."""
        cause = f"{type(error).__name__}: {error}"
        if cause not in self._told and len(self._told) < CAUSES_MAX:
            self._told.add(cause)
            _log.error("metrics could not be sampled (said once): %s", cause, exc_info=error)

    # What was ---------------------------------------------------------------------------------------

    async def series(self, queue_id: QueueId, since: Instant, until: Instant, period: Duration) -> list[Point]:
        """The points of a queue: see ``Archive.series``."""
        return await self._archive.series(queue_id, since, until, period)

    async def server_series(self, since: Instant, until: Instant, period: Duration) -> list[ServerPoint]:
        """The points of the server: see ``Archive.server_series``."""
        return await self._archive.server_series(since, until, period)

    async def sparklines(self, queues: Sequence[QueueId], minutes: int = 30) -> dict[QueueId, list[float]]:
        """What waited, a number a minute: see ``Archive.sparklines``."""
        return await self._archive.sparklines(queues, minutes)

    # A tick -----------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Samples the second that is over. A second call for the same second does nothing."""
        broker, now = self._broker, self._broker.clock.now()
        at = interval_start(now, SECOND) - SECOND
        if at <= self._last_at:
            return
        await self._look_at_backlogs(now)
        cost = -time.thread_time()
        consumers = self._consumers_by_id()
        parked_by_queue = broker.parked_by_queue()
        cost += time.thread_time()
        cost += await self._begin_intervals(at, now)
        self._last_at = at
        cost -= time.thread_time()
        vitals, connections, parked = self._store.vitals(), self._connections(), sum(parked_by_queue.values())
        point = self._server_line.sample(at, vitals, connections, parked)
        documents = {int(SERVER): encode(point)}
        cost += time.thread_time()
        queues = list(broker.tallies)
        for begin in range(0, len(queues), SLICE):
            cost -= time.thread_time()
            for queue in queues[begin : begin + SLICE]:
                busy, idle = consumers.get(queue, NOBODY)
                sampled = self._sample(queue, at, now, busy, idle, parked_by_queue.get(queue, 0))
                if sampled is not None:
                    documents[queue] = encode(sampled)
            cost += time.thread_time()
            await asyncio.sleep(0)
        self._forget()
        self._keeper.append(SECONDS, at, documents)
        self._ticks += 1
        self._tick_seconds += cost
        self.server = ServerSnapshot(
            at,
            vitals,
            connections,
            parked,
            len(queues),
            self._server_line.commit_rate(now, vitals),
            cost,
            self._tick_seconds,
            self._ticks,
            self._look_seconds,
        )

    def _sample(
        self,
        queue: QueueId,
        at: Instant,
        now: Instant,
        busy: int,
        idle: int,
        parked: int,
    ) -> Point | None:
        tally = self._broker.tallies.get(queue)
        if tally is None:  # deleted since the tick began
            return None
        line = self._lines.get(queue)
        if line is None:
            line = self._lines[queue] = Line(self._server_line.minute.at, self._server_line.hour.at, now - SECOND)
        point = line.sample(at, now, tally, self._backlogs.get(queue, EMPTY), busy, idle, parked)
        self.latest[queue] = line.snapshot
        return point

    def _consumers_by_id(self) -> dict[QueueId, tuple[int, int]]:
        found = {}
        for (account, name), consumers in self._consumers().items():
            queue = self._broker.find(Address(account, name))
            if queue is not None:
                found[queue.id] = consumers
        return found

    def _forget(self) -> None:
        gone = [queue for queue in self._lines if self._broker.tallies.get(queue) is None]
        for queue in gone:
            del self._lines[queue]
            for of_queues in (self.latest, self._backlogs, self._look_at_after):
                of_queues.pop(queue, None)
        if gone:
            self._keeper.forget(gone)

    # Intervals --------------------------------------------------------------------------------------

    async def _begin_intervals(self, at: Instant, now: Instant) -> float:
        """Ends the minute and the hour that are over at ``at``, and begins the next; answers the seconds it cost."""
        server, minute, hour = self._server_line, interval_start(at, MINUTE), interval_start(at, HOUR)
        if self._last_at < 0 and not server.minute.at:  # the first tick, and nothing was taken up
            self._server_line = ServerLine(minute, hour, now - SECOND)
            return 0.0
        if server.minute.at == minute:
            return 0.0
        cost = -time.thread_time()
        ended, documents = server.minute.at, {int(SERVER): encode(server.end_minute(minute))}
        hour_ended = server.hour.at
        hours = {int(SERVER): encode(server.end_hour(hour))} if hour_ended != hour else {}
        for number, (queue, line) in enumerate(list(self._lines.items())):
            _keep(documents, queue, line.end_minute(minute))
            if hours:
                _keep(hours, queue, line.end_hour(hour))
            if number % SLICE == SLICE - 1:
                cost += time.thread_time()
                await asyncio.sleep(0)
                cost -= time.thread_time()
        self._keeper.append(MINUTES, ended, documents)
        self._keeper.append(HOURS, hour_ended, hours)
        return cost + time.thread_time()

    def _keep_present(self) -> None:
        server = self._server_line
        minutes, hours = {int(SERVER): encode(server.minute)}, {int(SERVER): encode(server.present_hour())}
        for queue, line in self._lines.items():
            _keep(minutes, queue, line.present_minute())
            _keep(hours, queue, line.present_hour())
        self._keeper.append(MINUTES, server.minute.at, minutes)
        self._keeper.append(HOURS, server.hour.at, hours)

    async def resume(self) -> None:
        """Takes up the minute and the hour in which the server was when it ended, if that was not long ago."""
        found = await self._archive.present(list(self._broker.tallies))
        if found is not None:
            self._last_at, self._server_line, lines = found
            self._lines.update(lines)

    # Backlogs ---------------------------------------------------------------------------------------

    async def _look_at_backlogs(self, now: Instant) -> None:
        """Asks the store how the queues stand that are due; goes on without an answer that takes too long."""
        if self._look is None and now >= self._look_again:
            due = [queue for queue in self._broker.tallies if self._look_at_after.get(queue, 0) <= now]
            self._look = asyncio.create_task(self._look_at(due, now), name="metrics backlogs")
        if self._look is not None:
            await asyncio.wait([self._look], timeout=self._patience)

    async def _look_at(self, queues: Sequence[QueueId], now: Instant) -> None:
        try:
            self._note(await self._store.backlogs(queues, now), now)
        except Exception as error:  # the last ones stand
            self._tell(error)
        finally:
            self._look = None

    def _note(self, found: Mapping[QueueId, Backlog], now: Instant) -> None:
        """Keeps what was found, and says when to look again."""
        cheap = dear = 0.0
        for queue, backlog in found.items():
            self._backlogs[queue] = backlog
            pause = int(backlog.seconds * LOOK_PAUSES * 1000)
            if pause > SECOND:
                self._look_at_after[queue] = now + pause
                dear += backlog.seconds
            else:
                self._look_at_after.pop(queue, None)
                cheap += backlog.seconds
        self._look_seconds = cheap + dear
        pause = int(cheap * LOOK_PAUSES * 1000)
        self._look_again = now + pause if pause > SECOND else 0


def _keep(documents: dict[int, bytes], queue: QueueId, point: Point) -> None:
    if point.samples and not is_quiet(point):
        documents[queue] = encode(point)
