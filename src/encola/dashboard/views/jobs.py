"""Jobs: what became of them, as a list that follows; and dead ones, many at once, tried again."""

from collections.abc import AsyncGenerator, Sequence

import msgspec

from encola.consumers.states import KEPT_AS
from encola.dashboard.job_retry import DRY_SECONDS, Plan, bring_back, dry_run, plan_all, plan_chosen
from encola.dashboard.job_rows import JobRow, row_of
from encola.dashboard.job_search import JobFilter, place_of, search, text_of
from encola.dashboard.page import Done, Page, Refused, Visit
from encola.dashboard.rights import demand, permitted
from encola.dashboard.works import TooManyWorksError, Work
from encola.engine.message import Instant
from encola.engine.queue import Queue
from encola.engine.records import KEY_LENGTH_MAX

ROWS = 50
CHOICE_ROWS = 200


class JobsPage(msgspec.Struct):
    """The twin. ``next`` is the next page's ``before``; ``stopped``: the search took so long that it ended before the
    page was full, at jobs that changed at ``reached``."""

    wanted: JobFilter
    rows: list[JobRow]
    next: str
    stopped: bool
    reached: Instant
    works: Sequence[Work]


async def page(visit: Visit) -> Page:
    """What is looked for, and where the page begins (``before``), is in the address."""
    demand(visit, "FindJobs")
    wanted, before = JobFilter.of(visit.query), place_of(visit.query.raw("before"))
    broker = visit.house.broker
    found = await search(broker.records, visit.account, wanted, before, ROWS)
    now = broker.clock.now()
    twin = JobsPage(
        wanted=wanted,
        rows=[row_of(job, now) for job in found.jobs],
        next=text_of(found.next),
        stopped=found.stopped,
        reached=found.next[0] if found.stopped and found.next else 0,
        works=visit.house.works.of(visit.account, ""),
    )
    more = {
        "states": tuple(KEPT_AS),
        "first": before is None,
        "may_retry": permitted(visit, "GetJobs") and not visit.visitor.read_only,
        "workers": workers_by_name(visit),
    }
    return Page("jobs.html", "Jobs", twin, more)


def workers_by_name(visit: Visit) -> dict[str, str]:
    """The ids of those that report, by the names that records have."""
    if not permitted(visit, "ListWorkers"):
        return {}
    return {worker.name: worker.id for worker in visit.house.broker.workers.all(visit.account) if worker.name}


# Trying again -----------------------------------------------------------------------------------------


class Choice(msgspec.Struct):
    """A dead job, and whether its message was found."""

    job: JobRow
    found: bool


class RetryPage(msgspec.Struct):
    """The twin: a dry run. ``jobs`` fit; the messages of ``found`` of them were found by looking at ``looked_at``.

    ``unreachable``: their queues have no dead-letter queue that the visitor may use. Without ``counted_all`` there are
    more jobs, without ``looked_all`` more messages.
    """

    wanted: JobFilter
    jobs: int
    counted_all: bool
    found: int
    unreachable: int
    looked_at: int
    looked_all: bool
    rows: list[Choice]


async def retry_page(visit: Visit) -> Page:
    """Which dead jobs fit what is asked for, and which of them can be tried again."""
    demand(visit, "FindJobs")
    wanted, broker = _dead(visit), visit.house.broker
    plan = _plan(visit)
    async for _ in plan_all(broker, visit.account, plan, wanted, show=CHOICE_ROWS, seconds=DRY_SECONDS):
        pass
    dry = await dry_run(broker, plan)
    now = broker.clock.now()
    twin = RetryPage(
        wanted=wanted,
        jobs=plan.jobs,
        counted_all=not plan.stopped,
        found=len(dry.found),
        unreachable=plan.unreachable,
        looked_at=dry.looked_at,
        looked_all=dry.complete,
        rows=[Choice(row_of(job, now), job.key in dry.found) for job in plan.shown],
    )
    return Page("jobs_retry.html", "Retry dead jobs", twin, {"back": _list(visit, wanted)})


async def retry(visit: Visit) -> Done:
    """Starts it, for the jobs that were chosen, or for all that fit: a work."""
    demand(visit, "FindJobs")
    demand(visit, "GetJobs")
    if not visit.visitor.identity.may("SendMessage"):
        raise Refused("You may not send messages, which is what a retry does.", 403)
    wanted = _dead(visit)
    keys = [key for key in visit.form.all("key") if 0 < len(key) <= KEY_LENGTH_MAX]
    chosen = visit.form.text("which") != "all"
    if chosen and not keys:
        raise Refused("No job was chosen: tick those to be tried again.")
    works = visit.house.works
    title = f"Retry {len(keys)} dead {'job' if len(keys) == 1 else 'jobs'}" if chosen else "Retry dead jobs"
    work = works.new(visit.account, title, "", visit.visitor.name)
    detail = ", ".join(keys[:20]) if chosen else wanted.said()
    try:
        works.start(work, _steps(visit, work, wanted, keys if chosen else None))
    except TooManyWorksError:
        raise Refused("So many works run already: wait for one of them to end.", 429) from None
    await visit.note("RetryJobs", title, detail, outcome="begun")
    return Done(f"{title}: it runs, and you may leave this page.", _list(visit, wanted))


async def _steps(visit: Visit, work: Work, wanted: JobFilter, keys: Sequence[str] | None) -> AsyncGenerator[None, None]:
    broker, plan = visit.house.broker, _plan(visit)
    if keys is None:
        async for _ in plan_all(broker, visit.account, plan, wanted):
            yield
    else:
        await plan_chosen(broker, visit.account, plan, keys)
    async for _ in bring_back(broker, visit.house.letters, visit.account, plan, work):
        yield
    said = f"{work.done} brought back" + (f"; {work.detail}" if work.detail else "")
    await visit.note("RetryJobs", work.title, f"{said}; there are more" if plan.stopped else said)


def _dead(visit: Visit) -> JobFilter:
    return msgspec.structs.replace(JobFilter.of(visit.query), state="dead")


def _plan(visit: Visit) -> Plan:
    return Plan(visit.house.letters, visit.account, lambda home, queue: may_bring_back(visit, home, queue))


def may_bring_back(visit: Visit, home: Queue, queue: Queue) -> bool:
    """As ``encola jobs retry`` needs it: look at and delete the dead letter, and send it to its queue."""
    return all(visit.may(action, queue) for action in ("PeekMessages", "DeleteMessage")) and visit.may(
        "SendMessage", home
    )


def _list(visit: Visit, wanted: JobFilter) -> str:
    return visit.links.to("jobs", **msgspec.structs.asdict(wanted))
