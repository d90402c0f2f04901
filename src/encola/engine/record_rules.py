"""What a command makes of a record: one pure function, ``decide``, behind every store of records.

The server's store, PostgreSQL, DynamoDB and a SQLite file all ask here, within whatever makes a step atomic for them;
hence all give the same answers.
"""

import msgspec

from encola.engine.message import Duration, Instant
from encola.engine.records import (
    COUNT_MAX,
    ERRORS_MAX,
    HOLDERS_MAX,
    INTERVAL_US_MAX,
    MEMBERS_MAX,
    TEXT_LENGTH_MAX,
    Arrive,
    Arrived,
    Busy,
    Cancel,
    Cancelled,
    Claim,
    Command,
    Complete,
    Dead,
    Enter,
    Entered,
    Fail,
    Forget,
    Held,
    Job,
    JobState,
    Join,
    Leave,
    Lost,
    Mismatch,
    Pace,
    Record,
    Release,
    Renew,
    Replay,
    Reply,
    Reserve,
    Reserved,
    Run,
    Slots,
)


class WrongRecordError(ValueError):
    """The key holds a record of another kind, or the command asks for what no record can hold."""


def decide(record: Record | None, command: Command, now: Instant) -> tuple[Record | None, Reply]:
    """What a command makes of the record under its key, and the answer.

    The record that is answered is the one to be stored from now on: None removes it; the very same object means that
    nothing changed. Raises WrongRecordError.
    """
    kept = record if record is None or record.expires_at > now else None
    changed, reply = _RULES[type(command)](kept, command, now)  # type: ignore[operator]
    if changed is None and kept is None:
        return record, reply  # what is past its time needs no command to go
    return changed, reply


# Jobs ------------------------------------------------------------------------------------------------


def _claim(record: Record | None, claim: Claim, now: Instant) -> tuple[Record | None, Reply]:
    job = _job(record)
    if job is None:
        job = Job(
            claim.key, claim.task, claim.queue, "running", "", 0, 0, 0, claim.payload_hash, now, now
        )  # fmt: skip
    elif job.payload_hash and job.payload_hash != claim.payload_hash:
        return job, Mismatch()
    elif job.state == "completed":
        return job, Replay(job.result)
    elif job.state in ("dead", "cancelled") and claim.sent_at <= job.finished_at:
        return job, Dead(job.errors[-1] if job.errors and job.state == "dead" else None)
    elif job.state == "running" and job.lease_until > now and job.owner != claim.owner:
        return job, Busy(job.lease_until)
    elif job.state == "running" and job.lease_until <= now and job.cancelled:  # its worker died before it knew
        return _ended(job, "cancelled", claim.window, now), Dead()
    again = job.state in ("dead", "cancelled")
    held = job.state == "running" and job.owner == claim.owner and job.lease_until > now  # the answer got lost
    fence = job.fence if held else job.fence + 1
    attempt = job.attempts if held else 1 if again else job.attempts + 1
    new = msgspec.structs.replace(
        job,
        task=claim.task,
        queue=claim.queue,
        state="running",
        owner=claim.owner,
        fence=fence,
        lease_until=now + claim.lease,
        expires_at=now + max(claim.window, claim.lease),
        payload_hash=claim.payload_hash,
        updated_at=now,
        attempts=attempt,
        started_at=now,
        finished_at=0,
        worker=claim.worker,
        progress=0.0,
        note="",
        cancelled=held and job.cancelled,
    )
    return new, Run(fence, attempt)


def _renew(record: Record | None, renew: Renew, now: Instant) -> tuple[Record | None, Reply]:
    job = _held(record, renew.owner, renew.fence)
    if job is None:
        return record, Lost()
    until = now + renew.lease
    new = msgspec.structs.replace(
        job,
        lease_until=until,
        expires_at=max(job.expires_at, until),
        updated_at=now,
        progress=job.progress if renew.progress is None else min(1.0, max(0.0, renew.progress)),
        note=job.note if renew.note is None else renew.note[:TEXT_LENGTH_MAX],
    )
    return new, Held(cancelled=job.cancelled)


def _complete(record: Record | None, complete: Complete, now: Instant) -> tuple[Record | None, Reply]:
    job = _held(record, complete.owner, complete.fence, ended="completed")
    if job is None:
        return record, Lost()
    if job.state == "completed":
        return job, Held()
    return _ended(job, "completed", complete.window, now, result=complete.result, progress=1.0), Held()


def _fail(record: Record | None, fail: Fail, now: Instant) -> tuple[Record | None, Reply]:
    state: JobState = "dead" if fail.final else "failed"
    job = _held(record, fail.owner, fail.fence, ended=state)
    if job is None:
        return record, Lost()
    if job.state == state:
        return job, Held()
    if job.cancelled:
        state = "cancelled"
    return _ended(job, state, fail.window, now, errors=(*job.errors, fail.error)[-ERRORS_MAX:]), Held()


def _release(record: Record | None, release: Release, now: Instant) -> tuple[Record | None, Reply]:
    job = _held(record, release.owner, release.fence)
    if job is None:
        return record, Lost()
    if job.cancelled:
        return _ended(job, "cancelled", job.expires_at - now, now), Held(cancelled=True)
    attempts = job.attempts - 1
    return msgspec.structs.replace(
        job, state="failed", owner="", lease_until=0, updated_at=now, attempts=attempts, worker=""
    ), Held()


def _cancel(record: Record | None, cancel: Cancel, now: Instant) -> tuple[Record | None, Reply]:
    job = _job(record)
    if job is None:
        job = Job(cancel.key, cancel.task, cancel.queue, "failed", "", 0, 0, 0, "", now, now)
    if job.state in ("completed", "dead", "cancelled"):
        return job, Cancelled(job.state)
    if job.state == "running" and job.lease_until > now:
        return msgspec.structs.replace(job, cancelled=True, updated_at=now), Cancelled("running")
    return _ended(job, "cancelled", cancel.window, now), Cancelled("cancelled")


def _ended(job: Job, state: JobState, window: Duration, now: Instant, **changed: object) -> Job:
    """Over for now: nobody holds it. ``owner`` and ``fence`` stay, so that a repeated command is known again."""
    return msgspec.structs.replace(
        job, state=state, lease_until=0, expires_at=now + window, updated_at=now, finished_at=now, **changed
    )


def _held(record: Record | None, owner: str, fence: int, *, ended: JobState | None = None) -> Job | None:
    """The job if ``owner`` still has it under this fence (or ended it so: the answer got lost).

    A lease that ran out while nobody else claimed the job is still his: the fence decides, not the clock.
    """
    job = _job(record)
    if job is None or job.owner != owner or job.fence != fence:
        return None
    return job if job.state in ("running", ended) else None


def _forget(record: Record | None, forget: Forget, now: Instant) -> tuple[Record | None, Reply]:
    if isinstance(record, Job) and record.state == "running" and record.lease_until > now:
        return record, Lost()
    return None, Held()


def _job(record: Record | None) -> Job | None:
    if record is None or isinstance(record, Job):
        return record
    raise WrongRecordError(f"{record.key} is not a job")


# Slots, pace, joins ----------------------------------------------------------------------------------


def _enter(record: Record | None, enter: Enter, now: Instant) -> tuple[Record | None, Reply]:
    if not isinstance(record, Slots | None):
        raise WrongRecordError(f"{enter.key} holds no slots")
    if not 1 <= enter.limit <= HOLDERS_MAX:
        raise WrongRecordError(f"a limit must be between 1 and {HOLDERS_MAX}")
    holders = {owner: until for owner, until in record.holders.items() if until > now} if record else {}
    until = now + enter.lease
    if enter.owner not in holders and len(holders) >= enter.limit:
        return record, Entered(False, min(holders.values()))
    holders[enter.owner] = until
    return Slots(enter.key, holders, max(holders.values())), Entered(True, until)


def _leave(record: Record | None, leave: Leave, now: Instant) -> tuple[Record | None, Reply]:
    if not isinstance(record, Slots) or leave.owner not in record.holders:
        return record, Held()
    holders = {owner: until for owner, until in record.holders.items() if owner != leave.owner and until > now}
    return (Slots(leave.key, holders, max(holders.values())) if holders else None), Held()


def _reserve(record: Record | None, reserve: Reserve, now: Instant) -> tuple[Record | None, Reply]:
    """The generic cell rate algorithm (ITU-T I.371): ``free_at`` is its theoretical arrival time."""
    if not isinstance(record, Pace | None):
        raise WrongRecordError(f"{reserve.key} is no rate")
    if not (1 <= reserve.count <= COUNT_MAX and 1 <= reserve.burst <= COUNT_MAX):
        raise WrongRecordError(f"count and burst must be between 1 and {COUNT_MAX}")
    if not 1 <= reserve.interval_us <= INTERVAL_US_MAX:
        raise WrongRecordError(f"an interval must be between 1 and {INTERVAL_US_MAX} microseconds")
    now_us = now * 1000
    earliest = now_us - (reserve.burst - 1) * reserve.interval_us
    start = max(record.free_at, earliest) if record else earliest
    if start - now_us > reserve.patience * 1000:
        return record, Reserved(False, start - reserve.patience * 1000, now_us)
    free_at = start + reserve.count * reserve.interval_us
    idle = free_at + reserve.burst * reserve.interval_us
    return Pace(reserve.key, free_at, idle // 1000 + 1), Reserved(True, max(start, now_us), now_us)


def _arrive(record: Record | None, arrive: Arrive, now: Instant) -> tuple[Record | None, Reply]:
    if not isinstance(record, Join | None):
        raise WrongRecordError(f"{arrive.key} is no group")
    if not 1 <= arrive.total <= MEMBERS_MAX:
        raise WrongRecordError(f"a group has between 1 and {MEMBERS_MAX} members")
    known = tuple(record.members) if record else ()
    if not arrive.member:
        return record, Arrived(len(known), arrive.total, known)
    if len(known) >= MEMBERS_MAX and arrive.member not in known:
        raise WrongRecordError(f"a group has at most {MEMBERS_MAX} members")
    members = known if arrive.member in known else (*known, arrive.member)
    arrived = Arrived(len(members), arrive.total, members if len(members) >= arrive.total else ())
    if record is not None and len(members) == len(known):
        return record, arrived
    return Join(arrive.key, list(members), arrive.total, now + arrive.window), arrived


_RULES = {
    Claim: _claim,
    Renew: _renew,
    Complete: _complete,
    Fail: _fail,
    Release: _release,
    Cancel: _cancel,
    Forget: _forget,
    Enter: _enter,
    Leave: _leave,
    Reserve: _reserve,
    Arrive: _arrive,
}
