"""The server: how durable its day is. Commits and their time on the disk, connections, size, what the pages cost."""

from collections.abc import Mapping, Sequence

import msgspec

from encola.dashboard.page import Page, Visit
from encola.dashboard.series import RANGES, Column, Range, Series, beginning, range_of, series_of
from encola.engine.message import Instant
from encola.engine.metrics import COMMIT_BUCKETS, GROUP_BUCKETS, ServerPoint
from encola.metrics.sampler import Sampler

COLUMNS: Mapping[str, Column[ServerPoint]] = {
    "commits": lambda point: point.commits / point.samples,
    "calls": lambda point: point.calls / point.samples,
    "group": lambda point: point.calls / point.commits if point.commits else None,
    "commit": lambda point: point.commit_seconds / point.commits if point.commits else None,
    "commit_max": lambda point: point.commit_seconds_max if point.commits else None,
    "connections": lambda point: point.connections.total / point.samples,
    "parked": lambda point: point.parked.total / point.samples,
    "bytes": lambda point: point.store_bytes.total / point.samples,
}


class Bar(msgspec.Struct):
    """How many commits were up to ``limit`` (None: beyond the last), and their share of the most frequent."""

    limit: float | None
    commits: int
    share: float


class ServerPage(msgspec.Struct):
    """The twin. ``facts`` are those of the health check; times in seconds."""

    facts: Mapping[str, str | int]
    uptime_seconds: float
    commit_rate: float
    commits: int
    calls: int
    commit_seconds_average: float | None
    store_bytes: int
    connections: int
    parked: int
    queues: int
    workers: int
    tick_seconds: float
    commit_times: list[Bar]
    group_sizes: list[Bar]
    range: str
    series: Series


async def page(visit: Visit) -> Page:
    """For whoever may list queues: it says nothing of what is in them."""
    visit.check("ListQueues")
    house, span = visit.house, range_of(visit.query)
    now, server = house.broker.clock.now(), house.sampler.server
    vitals = server.vitals
    twin = ServerPage(
        facts=house.facts(),
        uptime_seconds=max(0, now - house.started_at) // 1000,
        commit_rate=server.commit_rate,
        commits=vitals.commits,
        calls=vitals.calls,
        commit_seconds_average=vitals.commit_seconds / vitals.commits if vitals.commits else None,
        store_bytes=vitals.bytes,
        connections=server.connections,
        parked=server.parked,
        queues=len(house.broker.queues(visit.account)),
        workers=len(house.broker.workers.all(visit.account)),
        tick_seconds=server.tick_seconds,
        commit_times=_bars(COMMIT_BUCKETS, vitals.commit_buckets),
        group_sizes=_bars(GROUP_BUCKETS, vitals.group_buckets),
        range=span.name,
        series=await _series(house.sampler, span, now, live=visit.live),
    )
    return Page("server.html", "Server", twin, {"ranges": RANGES})


def _bars(limits: Sequence[float], counts: Sequence[int]) -> list[Bar]:
    most = max(counts, default=0) or 1
    return [Bar(limit, count, count / most) for limit, count in zip((*limits, None), counts, strict=True)]


async def _series(sampler: Sampler, span: Range, now: Instant, *, live: bool) -> Series:
    points = await sampler.server_series(beginning(span, now, live=live), now + 1, span.step)
    return series_of(span, points, COLUMNS)
