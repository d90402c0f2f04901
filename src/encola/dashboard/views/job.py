"""A job: its attempts, how far it is, what came of it, where its message is; retry, cancel and forget."""

import msgspec

from encola.consumers.states import CANCEL_WINDOW
from encola.dashboard.bodies import SHOWN_BYTES, pretty, visible
from encola.dashboard.job_retry import WHY
from encola.dashboard.job_rows import Attempt, JobRow, attempts_of, row_of
from encola.dashboard.letters import TooLargeError
from encola.dashboard.page import Done, NotFound, Page, Refused, Visit
from encola.dashboard.rights import demand, permitted
from encola.dashboard.views.jobs import may_bring_back, workers_by_name
from encola.engine.changes import Refused as NotDone
from encola.engine.lifecycle import Outcome
from encola.engine.message import Instant
from encola.engine.queue import Address
from encola.engine.records import (
    ERRORS_MAX,
    KEY_LENGTH_MAX,
    RESULT_BYTES_MAX,
    Cancel,
    Cancelled,
    Command,
    Forget,
    Held,
    Job,
    Reply,
)


class Place(msgspec.Struct):
    """Where a job's message is. ``state`` is found, missing, or unknown: the queue is so long that a page does not look
    through all of it."""

    queue: str
    state: str
    message: int = 0


class JobPage(msgspec.Struct):
    """The twin. ``result`` is there when it is asked for (``show=result``), and completed jobs have one."""

    job: JobRow
    attempts: list[Attempt]
    errors_kept: int
    lease_until: Instant
    expires_at: Instant
    result_bytes: int
    result: msgspec.Raw | None
    letter: Place | None


async def page(visit: Visit) -> Page:
    """``show=result`` in the address asks for the result, ``all`` for the whole of one that is long."""
    demand(visit, "GetJobs")
    job = await _job(visit)
    now = visit.house.broker.clock.now()
    asked = visit.query.text("show") == "result" and bool(bytes(job.result))
    twin = JobPage(
        job=row_of(job, now),
        attempts=attempts_of(job),
        errors_kept=len(job.errors),
        lease_until=job.lease_until,
        expires_at=job.expires_at,
        result_bytes=len(bytes(job.result)),
        result=job.result if asked else None,
        letter=await _letter(visit, job),
    )
    limit = RESULT_BYTES_MAX * 4 if visit.query.flag("all") else SHOWN_BYTES
    text, whole = pretty(bytes(job.result).decode("utf-8", "replace"), limit) if asked else ("", True)
    more = {
        "result_text": visible(text),
        "result_whole": whole,
        "worker_id": workers_by_name(visit).get(job.worker, ""),
        "may_apply": permitted(visit, "ApplyJobs"),
        "may_retry": _may_retry(visit, job),
        "has_queue": visit.house.broker.find(Address(visit.account, job.queue)) is not None,
        "here": visit.links.job(job.key),
        "errors_max": ERRORS_MAX,
    }
    return Page("job.html", job.key, twin, more)


async def _job(visit: Visit) -> Job:
    """Raises NotFound."""
    key = visit.names.get("key") or visit.query.raw("key")
    found = await visit.house.broker.records.get(visit.account, [key]) if 0 < len(key) <= KEY_LENGTH_MAX else [None]
    if found[0] is None:
        raise NotFound(f"There is no record of a job {key[:200]}: it waits for its first attempt, or is forgotten.")
    return found[0]


def _retriable(job: Job, now: Instant) -> bool:
    return job.state in ("dead", "failed") or (job.state == "running" and job.lease_until <= now)


def _may_retry(visit: Visit, job: Job) -> bool:
    if not _retriable(job, visit.house.broker.clock.now()):
        return False
    route = visit.house.letters.route(visit.account, job.queue)
    return route is not None and may_bring_back(visit, *route)


async def _letter(visit: Visit, job: Job) -> Place | None:
    """Looked for where it may be; None: nowhere, or the visitor may not look."""
    route = visit.house.letters.route(visit.account, job.queue)
    if route is None or not _retriable(job, visit.house.broker.clock.now()) or not visit.may("PeekMessages", route[1]):
        return None
    letter = await visit.house.letters.glance(visit.account, job)
    if letter is None:
        return None
    name = letter.queue.address.name
    if letter.peek is None:
        return Place(name, "unknown" if letter.stop == "budget" else "missing")
    return Place(name, "found", letter.peek.state.id)


# Acts -------------------------------------------------------------------------------------------------


async def act(visit: Visit) -> Done:
    """``act`` in the form says which: a job's page takes all that is below its address, so they share it."""
    acts = {"retry": retry, "cancel": cancel}
    chosen = acts.get(visit.form.text("act"))
    if chosen is None:
        raise Refused("There is no such act.", 404)
    return await chosen(visit)


async def retry(visit: Visit) -> Done:
    """Its message goes from the dead-letter queue back to its queue, as ``encola jobs retry`` does it."""
    demand(visit, "GetJobs")
    job, house = await _job(visit), visit.house
    if job.state in ("completed", "cancelled"):
        raise Refused(f"It is {job.state}: there is nothing to try again.", 409)
    if not _retriable(job, house.broker.clock.now()):
        raise Refused("It runs now.", 409)
    route = house.letters.route(visit.account, job.queue)
    if route is None:
        raise Refused(f"The queue {job.queue} has no dead-letter queue.", 409)
    home, queue = route
    visit.check("PeekMessages", queue)
    visit.check("DeleteMessage", queue)
    visit.check("SendMessage", home)
    letter = await house.letters.find(home, queue, job)
    if letter.peek is None:
        waits = "it is tried again by itself" if job.state == "failed" else "nothing was done"
        where = f"on {queue.address.name}" if letter.stop != "budget" else f"near its time on {queue.address.name}"
        raise Refused(f"Its message is not {where}: {waits}.", 409)
    try:
        outcome = await house.letters.bring_back(home, queue, letter.peek, job.key)
    except TooLargeError:
        raise Refused("With the name of its job its message would be larger than its queue takes.") from None
    if outcome is not Outcome.DONE:
        raise Refused(f"Its message was left alone: {WHY.get(outcome, outcome.value)}.", 409)
    await visit.note("RetryJob", job.key, f"message {letter.peek.envelope.message_id}")
    said = f"Its message was moved from {queue.address.name} to {home.address.name}: its attempts begin anew."
    return Done(said, visit.links.job(job.key))


async def cancel(visit: Visit) -> Done:
    """Nobody runs it any more; who runs it is told."""
    demand(visit, "ApplyJobs")
    job = await _job(visit)
    reply = await _apply(visit, Cancel(job.key, job.task, job.queue, CANCEL_WINDOW))
    state = reply.state if isinstance(reply, Cancelled) else "running"
    if state in ("completed", "dead"):
        raise Refused(f"It is {state}: there is nothing to cancel.", 409)
    await visit.note("CancelJob", job.key)
    said = "It is cancelled." if state == "cancelled" else "It runs: its worker stops it when it next renews its lease."
    return Done(said, visit.links.job(job.key))


class Sure(msgspec.Struct):
    """The twin of the page that asks before a job is forgotten."""

    job: JobRow


async def forget_page(visit: Visit) -> Page:
    """Says what it means."""
    demand(visit, "GetJobs")
    job = await _job(visit)
    row = row_of(job, visit.house.broker.clock.now())
    more = {
        "section": "Jobs",
        "lines": [
            f"The record of {job.key}, which is {row.status}, will be removed, with its result and its errors.",
            "Its key may be used anew: if a message of it comes again, it runs a second time.",
        ],
        "button": "Forget it",
        "back": visit.links.job(job.key),
        "may": permitted(visit, "ApplyJobs"),
    }
    return Page("sure.html", f"Forget {job.key}", Sure(row), more)


async def forget(visit: Visit) -> Done:
    """Removes the record of a job that does not run."""
    demand(visit, "ApplyJobs")
    job = await _job(visit)
    if not isinstance(await _apply(visit, Forget(job.key)), Held):
        raise Refused("It runs: cancel it first.", 409)
    await visit.note("ForgetJob", job.key, f"it was {job.state}")
    return Done(f"{job.key} is forgotten.", visit.links.to("jobs"))


async def _apply(visit: Visit, command: Command) -> Reply:
    (reply,) = await visit.house.broker.records.apply(visit.account, [command])
    if isinstance(reply, NotDone):
        raise Refused(reply.reason, 409)
    return reply
