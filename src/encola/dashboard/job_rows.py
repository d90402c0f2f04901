"""Jobs as pages show them: a row of a list, and the attempts as they came. Pure."""

import msgspec

from encola.consumers.states import Status, status_of
from encola.engine.message import Instant
from encola.engine.records import ERRORS_MAX, Job


class JobRow(msgspec.Struct):
    """``seconds`` is how long the last attempt runs or ran. ``lease_over``: its worker has not been heard of in time.

    ``cancelling``: somebody wants it to stop, and its worker is yet to hear of it. ``error`` is the last attempt's.
    """

    key: str
    task: str
    queue: str
    status: Status
    cancelling: bool
    lease_over: bool
    progress: float
    note: str
    attempts: int
    worker: str
    created_at: Instant
    started_at: Instant
    updated_at: Instant
    finished_at: Instant
    seconds: float | None
    error: str


class Attempt(msgspec.Struct):
    """One attempt, or several in a row of which nothing is known (``number`` to ``until``: ``lost``).

    ``outcome`` is failed, dead, running, completed, cancelled or lost; ``at`` is when it ended, or began if it runs.
    """

    number: int
    until: int
    at: Instant
    outcome: str
    worker: str = ""
    type: str = ""
    message: str = ""
    traceback: str = ""


def row_of(job: Job, now: Instant) -> JobRow:
    """A job in a list."""
    error = job.errors[-1] if job.errors and job.state in ("failed", "dead") else None
    running = job.state == "running"
    end = now if running else job.finished_at or job.updated_at
    return JobRow(
        key=job.key,
        task=job.task,
        queue=job.queue,
        status=status_of(job),
        cancelling=job.cancelled and running,
        lease_over=running and job.lease_until <= now,
        progress=job.progress,
        note=job.note,
        attempts=job.attempts,
        worker=job.worker,
        created_at=job.created_at,
        started_at=job.started_at,
        updated_at=job.updated_at,
        finished_at=job.finished_at,
        seconds=max(0, end - job.started_at) / 1000 if job.started_at else None,
        error=f"{error.type}: {error.message}" if error else "",
    )


def attempts_of(job: Job) -> list[Attempt]:
    """What is known of each attempt, the oldest first.

    Numbers that nobody told of are shown as lost: their workers ended before they could. They begin anew with 1 when
    a message is brought back from a dead-letter queue.
    """
    told = [
        Attempt(one.attempt, one.attempt, one.at, "failed", one.worker, one.type, one.message, one.traceback)
        for one in job.errors
    ]
    if told and job.state == "dead":
        told[-1].outcome = "dead"
    elif job.state == "running":
        told.append(Attempt(job.attempts, job.attempts, job.started_at, "running", job.worker))
    elif job.state in ("completed", "cancelled"):
        if told and job.state == "cancelled" and told[-1].at >= job.started_at and told[-1].number == job.attempts:
            told[-1].outcome = "cancelled"  # its last attempt said how it ended
        else:
            told.append(Attempt(job.attempts, job.attempts, job.finished_at, job.state, job.worker))
    return _with_lost(told, cut=len(job.errors) >= ERRORS_MAX)


def _with_lost(told: list[Attempt], *, cut: bool) -> list[Attempt]:
    """``cut``: earlier errors were not kept, so that nothing is missing before the first."""
    found: list[Attempt] = []
    before = told[0].number - 1 if told and cut else 0
    for one in told:
        if one.number <= before:
            before = 0
        if one.number > before + 1:
            found.append(Attempt(before + 1, one.number - 1, 0, "lost"))
        found.append(one)
        before = one.number
    return found
