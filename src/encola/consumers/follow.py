"""What follows a job that has ended: the next step of its chain, its group's join. See ``workflow``.

All of it may be done twice without harm: what follows has ids that were fixed when the chain or group was sent.
"""

from collections.abc import Mapping, Sequence

import msgspec

from encola.consumers.connection import Connection
from encola.consumers.context import NOTHING
from encola.consumers.message import TASK_ATTRIBUTE, JobMessage, Link, Membership, encode, plain
from encola.consumers.middleware import Middleware, tell_following
from encola.consumers.payload import to_json
from encola.consumers.transport import Outgoing
from encola.engine import records
from encola.engine.message import Duration

CLAIM_MS: Duration = 60_000
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
        self, job: str, message: JobMessage, result: msgspec.Raw, carry: Mapping[str, str] = NOTHING
    ) -> None:
        """Raises TransportError, JobStoreError."""
        if message.then:
            first, *rest = message.then
            await self._send(first, result, carry, tuple(rest), message.join)
        elif message.join is not None:
            await self._arrive(job, message.join, carry)

    async def failed(
        self, job: str, message: JobMessage, error: records.Failure, carry: Mapping[str, str] = NOTHING
    ) -> None:
        """Later steps fail, too; a group counts its member as arrived. Raises TransportError, JobStoreError."""
        last = job
        for link in message.then:
            await self.bury(link, f"{error.type}: {error.message} (in {job}, earlier in the chain)")
            last = link.job
        if message.join is not None:
            await self._arrive(last, message.join, carry)

    async def _send(
        self,
        link: Link,
        result: msgspec.Raw,
        carry: Mapping[str, str],
        then: tuple[Link, ...] = (),
        join: Membership | None = None,
    ) -> None:
        args = link.args
        if link.into is not None:
            args = msgspec.Raw(to_json({**plain(args), link.into: result}))
        attributes = {TASK_ATTRIBUTE: link.task, **carry}
        tell_following(self._middleware, link.task, link.job, link.queue, attributes)
        fifo = link.queue.endswith(".fifo")
        message = Outgoing(
            body=encode(JobMessage(link.task, args, link.job, link.keyed, then, join)),
            attributes=attributes,
            group=link.task if fifo else None,
            deduplication_id=link.job[-128:] if fifo else None,
        )
        await self._connection.send(link.queue, message)

    async def bury(self, link: Link, why: str) -> None:
        """A job that will never run is marked as dead, so that who waits for it learns why."""
        key, owner = self._prefix + link.job, f"follow/{link.job}"
        claim = records.Claim(key, owner, link.task, link.queue, "", CLAIM_MS, self._window)
        reply = await self._connection.command(claim)
        if isinstance(reply, records.Run):
            error = records.Failure(0, 0, "NotRun", why[: records.TEXT_LENGTH_MAX])
            await self._connection.command(records.Fail(key, owner, reply.fence, self._window, error, final=True))

    # Groups -------------------------------------------------------------------------------------------

    async def _arrive(self, job: str, join: Membership, carry: Mapping[str, str]) -> None:
        key = self._join_key(join.group)
        arrive = records.Arrive(key, f"{join.index}:{job}", join.total, JOIN_WINDOW)
        reply = await self._connection.command(arrive)
        assert isinstance(reply, records.Arrived)  # noqa: S101 - narrows the type
        if reply.count >= reply.total:
            await self._joined(reply.members, reply.total, join.then, carry, run_anyway=join.run_anyway)

    async def timed_out(
        self, group: str, total: int, then: Link, carry: Mapping[str, str] = NOTHING, *, run_anyway: bool
    ) -> None:
        """The group's time is over: if members are missing, it ends now. Raises TransportError, JobStoreError."""
        reply = await self._connection.command(records.Arrive(self._join_key(group), "", total, JOIN_WINDOW))
        assert isinstance(reply, records.Arrived)  # noqa: S101 - narrows the type
        if run_anyway or reply.count >= total:
            await self._joined(reply.members, total, then, carry, run_anyway=run_anyway)
        else:
            await self.bury(
                then, f"only {reply.count} of {total} members of the group had ended when its time was over"
            )

    async def _joined(
        self, members: tuple[str, ...], total: int, then: Link, carry: Mapping[str, str], *, run_anyway: bool
    ) -> None:
        """All have arrived (or the time is over): their results, in order, are what the last job gets."""
        if await self._has_ended(then.job):
            return
        results: list[msgspec.Raw] = [msgspec.Raw(b"null")] * total
        failed = total - len(members)
        for start in range(0, len(members), GET_MAX):
            some = members[start : start + GET_MAX]
            jobs = await self._jobs([member.partition(":")[2] for member in some])
            for member, job in zip(some, jobs, strict=True):
                if job is not None and job.state == "completed":
                    results[int(member.partition(":")[0])] = job.result
                else:
                    failed += 1
        if failed and not run_anyway:
            await self.bury(then, f"{failed} of {total} members of the group failed")
        else:
            await self._send(then, msgspec.Raw(b"[" + b",".join(bytes(one) for one in results) + b"]"), carry)

    async def _has_ended(self, job: str) -> bool:
        (record,) = await self._jobs([job])
        return record is not None and record.state in ("completed", "dead", "cancelled")

    async def _jobs(self, ids: list[str]) -> list[records.Job | None]:
        jobs = self._connection.jobs
        assert jobs is not None  # noqa: S101 - a join was commanded before
        return list(await jobs.get([self._prefix + one for one in ids]))

    def _join_key(self, group: str) -> str:
        return f"{self._prefix}join/{group}"
