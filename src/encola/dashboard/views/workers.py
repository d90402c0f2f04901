"""Workers: who is alive, since when, doing what; and a gentle stop, for one or for all of an application."""

from collections.abc import Sequence

import msgspec

from encola.dashboard.page import Done, NotFound, Page, Refused, Visit
from encola.dashboard.paging import Paging
from encola.dashboard.rights import demand, permitted
from encola.engine.message import Instant
from encola.engine.workers import REPORT_SECONDS, SILENCE_MAX, RunningJob, Seen, Served

ROWS = 100
LATE: Instant = int(REPORT_SECONDS * 2 * 1000)
"""Who has not reported for so long is shown as silent; after ``SILENCE_MAX`` he is gone."""

WHAT_HAPPENS = (
    "It hears of it with its next report, within seconds: it takes no more messages, and what runs may end within its"
    " grace period. What has not ended by then goes back to its queue, and is tried again by others.",
    "Nobody starts it anew from here. Where a supervisor keeps it running, it comes back.",
)


class Working(msgspec.Struct):
    """What one slot does, for how long."""

    key: str
    task: str
    queue: str
    attempt: int
    messages: int
    since: Instant
    seconds: float


class Worker(msgspec.Struct):
    """``state`` is running, asked to stop, or stopping; ``silent``: it is late with its report."""

    id: str
    name: str
    state: str
    silent: bool
    host: str
    pid: int
    app: str
    encola: str
    python: str
    started_at: Instant
    reported_at: Instant
    last_poll_at: Instant
    slots: int
    busy: int
    done: int
    failed: int
    retried: int
    queues: Sequence[Served]
    running: list[Working]


class Totals(msgspec.Struct):
    """Over all that fit the search."""

    workers: int = 0
    silent: int = 0
    slots: int = 0
    busy: int = 0
    done: int = 0
    failed: int = 0
    retried: int = 0


class WorkersPage(msgspec.Struct):
    """The twin."""

    totals: Totals
    search: str
    app: str
    rows: list[Worker]
    paging: Paging


class WorkerPage(msgspec.Struct):
    """The twin of one worker's page; of a page that asks before some are stopped, too."""

    workers: list[Worker]


async def page(visit: Visit) -> Page:
    """``search`` in the address is looked for in name, host, application and queues; ``app`` is one application."""
    demand(visit, "ListWorkers")
    search, app = visit.query.text("search"), visit.query.text("app")
    found = [one for one in _all(visit) if app in ("", one.app) and _fits(one, search.lower())]
    paging = Paging.of(len(found), visit.query.number("page", 1, 1, 1_000_000), ROWS)
    twin = WorkersPage(_totals(found), search, app, found[paging.first : paging.first + ROWS], paging)
    more = {"may_stop": permitted(visit, "StopWorker")}
    return Page("workers.html", "Workers", twin, more)


async def one(visit: Visit) -> Page:
    """One worker, with all that it runs."""
    demand(visit, "ListWorkers")
    worker = _named(visit)
    more = {"may_stop": permitted(visit, "StopWorker"), "silence_seconds": SILENCE_MAX / 1000}
    return Page("worker.html", worker.name or worker.id, WorkerPage([worker]), more)


async def confirm(visit: Visit) -> Page:
    """Says what a stop does, before it is asked for."""
    demand(visit, "ListWorkers")
    worker = _named(visit)
    runs = f"It runs {worker.busy} {'job' if worker.busy == 1 else 'jobs'} now." if worker.busy else "It is idle now."
    more = {
        "section": "Workers",
        "lines": [
            f"{worker.name or worker.id} of {worker.app} will be asked to stop. {runs}",
            *WHAT_HAPPENS,
        ],
        "button": "Stop it gently",
        "back": visit.links.to("workers", worker.id),
        "may": permitted(visit, "StopWorker"),
    }
    return Page("sure.html", f"Stop {worker.name or worker.id}", WorkerPage([worker]), more)


async def stop(visit: Visit) -> Done:
    """As StopWorker does it."""
    demand(visit, "StopWorker")
    name = visit.names["worker"]
    if not visit.house.broker.workers.stop(visit.account, name):
        raise NotFound(f"No worker {name[:100]} has reported lately.")
    await visit.note("StopWorker", name)
    return Done("It was asked to stop: it hears of it with its next report, within seconds.", visit.links.to("workers"))


async def confirm_app(visit: Visit) -> Page:
    """The same for all workers of an application."""
    demand(visit, "ListWorkers")
    app = visit.query.text("app")
    found = _of_app(visit, app)
    busy = sum(worker.busy for worker in found)
    more = {
        "section": "Workers",
        "lines": [f"All {len(found)} workers of {app} will be asked to stop; they run {busy} jobs now.", *WHAT_HAPPENS],
        "button": f"Stop all of {app}",
        "back": visit.links.to("workers", app=app),
        "may": permitted(visit, "StopWorker"),
    }
    return Page("sure.html", f"Stop all workers of {app}", WorkerPage(found), more)


async def stop_app(visit: Visit) -> Done:
    """Asks each that there is now; one that starts meanwhile is not asked."""
    demand(visit, "StopWorker")
    app = visit.query.text("app")
    stopped = [one.id for one in _of_app(visit, app) if visit.house.broker.workers.stop(visit.account, one.id)]
    await visit.note("StopWorker", f"all of {app}", f"{len(stopped)}: {', '.join(stopped)}")
    return Done(f"{len(stopped)} workers of {app} were asked to stop.", visit.links.to("workers", app=app))


def _of_app(visit: Visit, app: str) -> list[Worker]:
    if not app:
        raise Refused("An application is to be named.")
    found = [worker for worker in _all(visit) if worker.app == app]
    if not found:
        raise NotFound(f"No worker of {app[:100]} has reported lately.")
    return found


def _named(visit: Visit) -> Worker:
    """Raises NotFound."""
    name = visit.names["worker"]
    for seen in visit.house.broker.workers.all(visit.account):
        if seen.id == name:
            return worker_of(seen, visit.house.broker.workers.now())
    raise NotFound(f"No worker {name[:100]} has reported lately: it stopped, or cannot reach this server.")


def _all(visit: Visit) -> list[Worker]:
    workers = visit.house.broker.workers
    now = workers.now()
    return sorted((worker_of(seen, now) for seen in workers.all(visit.account)), key=lambda one: (one.app, one.id))


def worker_of(seen: Seen, now: Instant) -> Worker:
    """A worker as pages show it."""
    state = "asked to stop" if seen.stop_asked and seen.state == "running" else str(seen.state)
    return Worker(
        id=seen.id,
        name=seen.name,
        state=state,
        silent=now - seen.reported_at > LATE,
        host=seen.host,
        pid=seen.pid,
        app=seen.app,
        encola=seen.encola,
        python=seen.python,
        started_at=seen.started_at,
        reported_at=seen.reported_at,
        last_poll_at=seen.last_poll_at,
        slots=seen.slots,
        busy=seen.busy,
        done=seen.done,
        failed=seen.failed,
        retried=seen.retried,
        queues=seen.queues,
        running=[_working(job, now) for job in seen.running],
    )


def _working(job: RunningJob, now: Instant) -> Working:
    seconds = max(0, now - job.since) / 1000
    return Working(job.key, job.task, job.queue, job.attempt, job.messages, job.since, seconds)


def _fits(worker: Worker, search: str) -> bool:
    said = (worker.id, worker.name, worker.host, worker.app, *(served.queue for served in worker.queues))
    return not search or any(search in text.lower() for text in said)


def _totals(workers: Sequence[Worker]) -> Totals:
    totals = Totals(len(workers))
    for worker in workers:
        totals.silent += worker.silent
        totals.slots += worker.slots
        totals.busy += worker.busy
        totals.done += worker.done
        totals.failed += worker.failed
        totals.retried += worker.retried
    return totals
