"""What follows a job that has ended: the next step of its chain, its group's join. See ``workflow``.

All of it may be done twice without harm: what follows has ids that were fixed when the chain or group was sent. What
cannot follow (its message would be too large, or the service refuses it) is marked as dead, with the reason: to try
again would be a loop without an end.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from encola.consumers.connection import Connection
from encola.consumers.context import NOTHING
from encola.consumers.errors import BadMessageError
from encola.consumers.message import (
    ATTRIBUTES_BYTES,
    BODY_BYTES_MAX,
    TASK_ATTRIBUTE,
    JobMessage,
    Link,
    Membership,
    decode,
    encode,
    plain,
)
from encola.consumers.middleware import Middleware, tell_following
from encola.consumers.task import Task
from encola.consumers.transport import Incoming, Outgoing, RefusedError
from encola.consumers.workflow import JoinTimeout
from encola.engine import records
from encola.engine.message import Duration, Instant

CLAIM_MS: Duration = 60_000
OWNER = "follow"
"""Whoever buries a job does the same as all others who do; so they are one owner."""

REFUSED_VALUES = frozenset(
    {"InvalidParameterValue", "InvalidMessageContents", "InvalidAttributeValue", "MissingParameter",
     "UnsupportedOperation", "BatchRequestTooLong"}
)  # fmt: skip
"""Codes of a service that does not take such a message, now or later. Others, of missing rights say, may pass."""

JOIN_WINDOW: Duration = 15 * 86_400_000
"""A join is kept for a day longer than its longest timeout."""

GET_MAX = 100


class Follow:
    """``prefix`` and ``job id`` make the key of a record (see ``App.record_key``).

    ``carry`` are attributes for the messages that follow.
    """

    def __init__(
        self, connection: Connection, prefix: str, window: Duration, middleware: Sequence[Middleware] = ()
    ) -> None:
        self._connection = connection
        self._prefix = prefix
        self._window = window
        self._middleware = middleware

    async def completed(
        self,
        job: str,
        message: JobMessage,
        result: msgspec.Raw,
        carry: Mapping[str, str] = NOTHING,
        sent_at: Instant = 0,
    ) -> None:
        """``sent_at`` is when the job's own message was sent. Raises TransportError, JobStoreError."""
        if message.then:
            first, *rest = message.then
            await self._step(first, result, carry, tuple(rest), message.join, sent_at)
        elif message.join is not None:
            await self._arrive(job, message.join, carry, sent_at)

    async def failed(
        self,
        job: str,
        message: JobMessage,
        error: records.Failure,
        carry: Mapping[str, str] = NOTHING,
        sent_at: Instant = 0,
    ) -> None:
        """Later steps fail, too; a group counts its member as arrived. Raises TransportError, JobStoreError."""
        why = f"{error.type}: {error.message} (in {job}, earlier in the chain)"
        await self._end(job, message.then, message.join, why, carry, sent_at)

    async def refused(self, message: Incoming, error: BadMessageError, tasks: Mapping[str, Task[Any, Any]]) -> None:
        """No task can be run with the message: its job is dead, if it has one, and so is what would have followed.

        Raises TransportError, JobStoreError.
        """
        try:
            wish = decode(message.body)
        except BadMessageError:
            return
        if wish.app and f"{wish.app}/" != self._prefix:
            return
        task = tasks.get(wish.task)
        if self._connection.jobs is None or (task is not None and not task.settings.track):
            return
        if not wish.job.startswith(f"{wish.task}/") or len(self._prefix + wish.job) > records.KEY_LENGTH_MAX:
            return
        own = Link(wish.task, message.queue, wish.job, wish.args)
        failure = records.Failure(message.receives, 0, type(error).__name__, str(error)[: records.TEXT_LENGTH_MAX])
        await self.bury(own, failure.message, error.reason)
        await self.failed(wish.job, wish, failure, NOTHING, message.sent_at)

    async def _end(
        self,
        job: str,
        links: Sequence[Link],
        join: Membership | None,
        why: str,
        carry: Mapping[str, str],
        sent_at: Instant,
    ) -> None:
        """A chain ends with ``job``, before ``links``."""
        for link in links:
            await self.bury(link, why)
            job = link.job
        if join is not None:
            await self._arrive(job, join, carry, sent_at)

    async def _step(
        self,
        link: Link,
        result: msgspec.Raw,
        carry: Mapping[str, str],
        then: tuple[Link, ...],
        join: Membership | None,
        sent_at: Instant,
    ) -> None:
        """The next step of a chain, unless it has failed since, or was cancelled: it must not run again for this."""
        (record,) = await self._jobs([link.job])
        if record is not None and record.state in ("dead", "cancelled") and record.finished_at >= sent_at:
            why = f"{record.state} (in {link.job}, earlier in the chain)"
        elif not (why := await self._send(link, result, carry, then, join)):
            return
        else:
            await self.bury(link, why)
        await self._end(link.job, then, join, why, carry, sent_at)

    async def _send(
        self,
        link: Link,
        result: msgspec.Raw,
        carry: Mapping[str, str],
        then: tuple[Link, ...] = (),
        join: Membership | None = None,
    ) -> str:
        """Answers why it cannot be sent, now or later; nothing when it was. Raises TransportError."""
        args = link.args
        if link.into is not None:
            try:
                args = msgspec.Raw(msgspec.json.encode({**plain(args), link.into: result}))
            except (TypeError, ValueError, OverflowError) as error:  # of a foreign producer
                return f"its arguments are none: {error}"
        body = encode(JobMessage(link.task, args, link.job, link.keyed, then, join, self._prefix[:-1]))
        size = len(body.encode())
        if size > BODY_BYTES_MAX - ATTRIBUTES_BYTES:
            return f"what came before makes its message {size} bytes long, too large for a queue"
        attributes = {TASK_ATTRIBUTE: link.task, **carry}
        tell_following(self._middleware, link.task, link.job, link.queue, attributes)
        fifo = link.queue.endswith(".fifo")
        message = Outgoing(
            body=body,
            attributes=attributes,
            group=link.task if fifo else None,
            deduplication_id=hashlib.sha256(link.job.encode()).hexdigest() if fifo else None,
        )
        try:
            await self._connection.send(link.queue, message)
        except RefusedError as error:
            if error.code not in REFUSED_VALUES:
                raise
            return f"its message was refused: {error}"
        return ""

    async def bury(self, link: Link, why: str, kind: str = "NotRun") -> None:
        """A job that will never run is marked as dead, so that who waits for it learns why."""
        key = self._prefix + link.job
        claim = records.Claim(key, OWNER, link.task, link.queue, "", CLAIM_MS, self._window)
        reply = await self._connection.command(claim)
        if isinstance(reply, records.Run):
            error = records.Failure(0, 0, kind, why[: records.TEXT_LENGTH_MAX])
            await self._connection.command(records.Fail(key, OWNER, reply.fence, self._window, error, final=True))

    # Groups -------------------------------------------------------------------------------------------

    async def _arrive(self, job: str, join: Membership, carry: Mapping[str, str], sent_at: Instant) -> None:
        key = self._join_key(join.group)
        arrive = records.Arrive(key, _member(job, join), join.total, JOIN_WINDOW)
        reply = await self._connection.command(arrive)
        assert isinstance(reply, records.Arrived)  # noqa: S101 - narrows the type
        if reply.count >= reply.total:
            jobs = _jobs_of(join.group, reply.members)
            await self._joined(jobs, reply.total, join.then, carry, sent_at, run_anyway=join.run_anyway)

    async def timed_out(self, group: JoinTimeout, carry: Mapping[str, str] = NOTHING, sent_at: Instant = 0) -> None:
        """The group's time is over: if members are missing, it ends now. Raises TransportError, JobStoreError."""
        look = records.Arrive(self._join_key(group.group), "", group.total, JOIN_WINDOW)
        reply = await self._connection.command(look)
        assert isinstance(reply, records.Arrived)  # noqa: S101 - narrows the type
        if group.run_anyway or reply.count >= group.total:
            jobs = _jobs_of(group.group, reply.members)
            await self._joined(jobs, group.total, group.then, carry, sent_at, run_anyway=group.run_anyway)
        else:
            why = f"only {reply.count} of {group.total} members of the group had ended when its time was over"
            await self.bury(group.then, why)

    async def _joined(
        self,
        members: Sequence[tuple[int, str]],
        total: int,
        then: Link,
        carry: Mapping[str, str],
        sent_at: Instant,
        *,
        run_anyway: bool,
    ) -> None:
        """All have arrived (or the time is over): their results, in order, are what the last job gets."""
        if await self._has_ended(then.job, sent_at):
            return
        results: list[msgspec.Raw] = [msgspec.Raw(b"null")] * total
        failed, size = total - len(members), 0
        for start in range(0, len(members), GET_MAX):
            some = members[start : start + GET_MAX]
            jobs = await self._jobs([job for _, job in some])
            for (index, _), job in zip(some, jobs, strict=True):
                if job is not None and job.state == "completed" and index < total:
                    results[index] = job.result
                    size += len(bytes(job.result))
                else:
                    failed += 1
            if size > BODY_BYTES_MAX and then.into is not None:
                break  # too much to be sent, and maybe to be held
        if failed and not run_anyway:
            why = f"{failed} of {total} members of the group failed"
        elif size > BODY_BYTES_MAX and then.into is not None:
            why = f"the results of the group have more than {BODY_BYTES_MAX} bytes, too many for a queue"
        else:
            why = await self._send(then, msgspec.Raw(b"[" + b",".join(bytes(one) for one in results) + b"]"), carry)
        if why:
            await self.bury(then, why)

    async def _has_ended(self, job: str, sent_at: Instant) -> bool:
        """A job that was done stays done; one that failed before this group was sent may run again, as its key."""
        (record,) = await self._jobs([job])
        if record is None or record.state not in ("completed", "dead", "cancelled"):
            return False
        return record.state == "completed" or record.finished_at >= sent_at

    async def _jobs(self, ids: list[str]) -> list[records.Job | None]:
        jobs = self._connection.jobs
        assert jobs is not None  # noqa: S101 - the job itself has a record
        return list(await jobs.get([self._prefix + one for one in ids]))

    def _join_key(self, group: str) -> str:
        return f"{self._prefix}join/{group}"


def _member(job: str, join: Membership) -> str:
    """How a join names a member, in few characters: thousands of them are one record.

    ``3:task`` stands for the job ``task/<group>-3``, which most have; otherwise it is ``3:task/id``.
    """
    task = job.partition("/")[0]
    return f"{join.index}:{task}" if job == f"{task}/{join.group}-{join.index}" else f"{join.index}:{job}"


def _jobs_of(group: str, members: Sequence[str]) -> list[tuple[int, str]]:
    """Places and job ids of members."""
    parts = [member.partition(":") for member in members]
    return [(int(index), job if "/" in job else f"{job}/{group}-{index}") for index, _, job in parts]
