"""What workers tell of themselves, again and again: who they are, which queues they serve, what runs there now.

Nothing is decided by it: a worker that is silent loses nothing but its place in a list. Limits are part of the types,
so that whoever decodes a report from outside checks them. Instants in a report are by the worker's own clock, which
says what it shows (``Report.at``): ``on_clock`` brings them to another.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from encola.engine.message import Duration, Instant
from encola.engine.records import COUNT_MAX, KEY_LENGTH_MAX, Name, Number, Owner, Time

REPORT_SECONDS = 5.0
"""Between two reports of a worker, at the latest."""

SILENCE_MAX: Duration = int(REPORT_SECONDS * 4 * 1000)
"""Who has not reported for so long is not there any more."""

WORKERS_MAX = 1_000
"""Of one account; those that come then are not listed."""

ALL_WORKERS_MAX = 10_000
"""Of all accounts together."""

RUNNING_MAX = 50
"""In one report: those that have run for the longest time."""

QUEUES_MAX = 500
"""In one report; a queue with priorities counts for each of its lanes."""

SKEW_MIN: Duration = 2_000
"""Clocks that differ by less differ by the way of the report."""

WorkerState = Literal["running", "stopping", "stopped"]
"""``stopping``: it takes nothing more, and ends what it has. ``stopped`` is the last that it says."""

Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A queue that a worker polls. ``busy`` of its ``slots`` run messages of this queue; the others could.

    Queues of one worker share what is free: their idle slots cannot be added up.
    """

    queue: Owner
    slots: Count
    busy: Count = 0


class RunningJob(msgspec.Struct, frozen=True, kw_only=True):
    """One function that runs. ``key`` is that of its record, if it has one; a batch is named by its first message."""

    task: Name
    queue: Name
    message: Name
    since: Time
    attempt: Count = 1
    key: Annotated[str, Meta(max_length=KEY_LENGTH_MAX)] = ""
    messages: Count = 1


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says. ``id`` is its own from its start to its end; ``name`` is for people, as records show it.

    ``slots`` and ``busy`` are of the whole worker. ``done``, ``failed`` (for good) and ``retried`` count attempts since
    the start. ``last_poll_at`` is 0 before the first poll that was answered.
    """

    id: Owner
    at: Time
    state: WorkerState
    started_at: Time
    name: Name = ""
    host: Name = ""
    pid: Number = 0
    app: Name = ""
    encola: Name = ""
    python: Name = ""
    slots: Count = 0
    busy: Count = 0
    queues: Annotated[Sequence[Served], Meta(max_length=QUEUES_MAX)] = ()
    running: Annotated[Sequence[RunningJob], Meta(max_length=RUNNING_MAX)] = ()
    done: Number = 0
    failed: Number = 0
    retried: Number = 0
    last_poll_at: Time = 0


class Seen(Report, frozen=True, kw_only=True):
    """A worker as the server knows it: its last report, when that came, and whether somebody has asked it to stop."""

    reported_at: Time
    stop_asked: bool = False


class Orders(msgspec.Struct, frozen=True):
    """The answer to a report. ``stop``: as if by SIGTERM."""

    stop: bool = False


def on_clock(report: Report, now: Instant) -> Report:
    """The report with its instants on the clock that shows ``now``, if the worker's own is another."""
    ahead = report.at - now
    if abs(ahead) < SKEW_MIN:
        return report
    return msgspec.structs.replace(
        report,
        at=now,
        started_at=max(0, report.started_at - ahead),
        last_poll_at=max(0, report.last_poll_at - ahead) if report.last_poll_at else 0,
        running=[msgspec.structs.replace(one, since=max(0, one.since - ahead)) for one in report.running],
    )


def idle_slots(report: Report, served: Served) -> int:
    """How many more messages of a queue the worker would begin now."""
    return max(0, served.slots - served.busy) if report.state == "running" else 0
