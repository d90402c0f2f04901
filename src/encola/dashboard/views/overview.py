"""The overview: all queues, how they stand, and what wants a look first."""

from collections.abc import Callable
from typing import Any

import msgspec

from encola.dashboard.page import Page, Visit
from encola.dashboard.paging import Paging
from encola.dashboard.standing import Standing, dead_letter_queues, standing_seen
from encola.engine.message import QueueId
from encola.engine.queue import Queue

PAGE_ROWS = 50
SPARKLINE_MINUTES = 30


class Totals(msgspec.Struct):
    """Over all queues that the visitor may see."""

    queues: int = 0
    visible: int = 0
    in_flight: int = 0
    delayed: int = 0
    dead_letters: int = 0
    arrival_rate: float = 0.0
    service_rate: float = 0.0


class Row(msgspec.Struct):
    """A queue; ``spark`` is what waited at the end of each of the last minutes."""

    standing: Standing
    spark: list[float]


class Overview(msgspec.Struct):
    """The twin."""

    totals: Totals
    rows: list[Row]
    paging: Paging
    search: str
    sort: str


KEYS: dict[str, Callable[[Standing], Any]] = {
    "name": lambda one: one.name,
    "visible": lambda one: -one.visible,
    "in_flight": lambda one: -one.in_flight,
    "age": lambda one: -one.age_seconds,
    "arrivals": lambda one: -one.arrival_rate,
    "services": lambda one: -one.service_rate,
    "drain": lambda one: 0 if not one.visible else -1e18 if one.drain_seconds is None else -one.drain_seconds,
    "dead": lambda one: -one.dead_letters,
}
"""The orders that a table of queues may have; names of equal rank go by the alphabet."""


async def page(visit: Visit) -> Page:
    """Search, sort and page are in the address."""
    search, sort = visit.query.text("search").lower(), visit.query.text("sort")
    sort = sort if sort in KEYS else "name"
    seen = standings(visit)
    found = sorted((one for one in seen if search in one.name.lower()), key=lambda one: (KEYS[sort](one), one.name))
    paging = Paging.of(len(found), visit.query.number("page", 1, 1, 1_000_000), PAGE_ROWS)
    shown = found[paging.first : paging.first + PAGE_ROWS]
    sparks = await visit.house.sampler.sparklines([QueueId(one.id) for one in shown], SPARKLINE_MINUTES)
    rows = [Row(one, list(sparks.get(QueueId(one.id), ()))) for one in shown]
    twin = Overview(_totals(seen), rows, paging, visit.query.text("search"), sort)
    return Page("overview.html", "Queues", twin, {"may_create": visit.may("CreateQueue")})


def standings(visit: Visit) -> list[Standing]:
    """How the queues stand that the visitor may see."""
    targets = dead_letter_queues(visit.house.broker)
    return [standing_seen(visit, queue, targets) for queue in _visible(visit)]


def _visible(visit: Visit) -> list[Queue]:
    queues = visit.house.broker.queues(visit.account)
    if visit.visitor.identity.unlimited:
        return list(queues)
    return [queue for queue in queues if visit.may("GetQueueAttributes", queue)]


def _totals(standings: list[Standing]) -> Totals:
    totals = Totals(len(standings))
    for one in standings:
        totals.visible += one.visible
        totals.in_flight += one.in_flight
        totals.delayed += one.delayed
        totals.arrival_rate += one.arrival_rate
        totals.service_rate += one.service_rate
        totals.dead_letters += one.visible + one.in_flight if one.is_dead_letter_queue else 0
    return totals
