"""Chains and groups: jobs that follow other jobs.

    encola.chain(fetch.s(url), parse.s(), store.si()).send()        # each gets the result of the one before
    encola.group(count.s(part) for part in parts).then(total.s()).send()

All is in the messages and in the store of records; no process has to live on. When a job ends, its worker first stores
the result, then does what follows, then deletes the message. If it dies in between, the message comes again, the job is
not run again (its result is there), and what follows is done again: the ids of what follows were fixed at the start, so
doing it twice makes no second job.

A join cannot hang: members arrive however they end; a member that fails for good makes the last job fail with an
explanation (or not, see ``group``); and a message that was sent with the group, to come when its ``timeout`` is over,
ends it if members are missing by then.
"""

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from encola.consumers.errors import ConfigurationError, SendError
from encola.consumers.job import Job
from encola.consumers.message import GROUP_LENGTH_MAX, JobMessage, Link, Membership, encode, trace_of
from encola.consumers.options import DAY, DELAY_MAX, SendOptions
from encola.consumers.task import Prepared, Signature, Task
from encola.consumers.transport import Outgoing
from encola.engine.records import MEMBERS_MAX

JOIN_TIMEOUT_DEFAULT = DAY
TIMEOUT_TASK = "encola.join-timeout"
"""The task of the message that ends a group in which members are missing."""


class JoinTimeout(msgspec.Struct, frozen=True):
    """The arguments of ``TIMEOUT_TASK``."""

    group: Annotated[str, Meta(min_length=1, max_length=GROUP_LENGTH_MAX)]
    total: Annotated[int, Meta(ge=1, le=MEMBERS_MAX)]
    then: Link
    run_anyway: bool = False


def chain(*steps: Signature) -> "Chain":
    """One after the other; each step's first missing parameter gets the result of the one before.

    If a step fails for good, the later ones do so, too. Raises ConfigurationError.
    """
    if not steps:
        raise ConfigurationError("a chain has at least one step")
    return Chain(steps)


def group(members: Iterable[Signature], *, timeout: float = JOIN_TIMEOUT_DEFAULT, run_anyway: bool = False) -> "Group":
    """All at the same time. ``then`` names what follows when all have ended, with their results in order.

    If a member fails for good, what follows fails, too; with ``run_anyway`` it runs, with None for that member. So it
    does when members are missing after ``timeout`` seconds. Raises ConfigurationError.
    """
    steps = tuple(members)
    if not 1 <= len(steps) <= MEMBERS_MAX:
        raise ConfigurationError(f"a group has between 1 and {MEMBERS_MAX} members")
    if not 0 < timeout <= DELAY_MAX:
        raise ConfigurationError("the timeout of a group is at most 14 days")
    return Group(steps, timeout, run_anyway)


class Chain:
    """Made by ``chain``. ``send`` answers the job of the last step."""

    def __init__(self, steps: Sequence[Signature]) -> None:
        for index, step in enumerate(steps):
            _must_be_tracked(step, "a chain")
            if index == 0 and step.missing is not None:
                step.task.payload.decode(step.data)  # raises BadPayloadError unless there are defaults
        self._steps = steps

    def send(self) -> Job[Any]:
        """Raises SendError, BadPayloadError."""
        return self._steps[0].task.app.wait(self.asend())

    async def asend(self) -> Job[Any]:
        """As ``send``, for async code."""
        first, *rest = self._steps
        links = tuple(_link(step) for step in rest)
        prepared = first.task.prepare_data(first.data, then=links)
        (job,) = await first.task.app.enqueue(first.task, [prepared])
        return Job(first.task.app, links[-1].job) if links else job


class Group:
    """Made by ``group``. ``send`` answers a ``GroupJob``."""

    def __init__(self, members: Sequence[Signature], timeout: float, run_anyway: bool) -> None:
        for member in members:
            _must_be_tracked(member, "a group")
            member.task.payload.decode(member.data)
        self._members = members
        self._timeout = timeout
        self._run_anyway = run_anyway
        self._then: Signature | None = None
        self._alarms: Task[Any, Any] | None = None

    def then(self, step: Signature) -> "Group":
        """What follows: its first missing parameter gets the list of results. Raises ConfigurationError."""
        _must_be_tracked(step, "what follows a group")
        self._alarms = next((one.task for one in (step, *self._members) if not _is_fifo(one)), None)
        if self._alarms is None:
            raise ConfigurationError(
                "a group needs a task on a queue that is not FIFO, for the message that ends it when its time is over"
            )
        self._then = step
        return self

    def send(self) -> "GroupJob":
        """Raises SendError, BadPayloadError."""
        return self._members[0].task.app.wait(self.asend())

    async def asend(self) -> "GroupJob":
        """As ``send``, for async code."""
        app = self._members[0].task.app
        wishes: list[tuple[Any, Prepared]] = []
        last = _link(self._then) if self._then else None
        name = uuid.uuid4().hex
        for index, member in enumerate(self._members):
            join = Membership(name, len(self._members), index, last, self._run_anyway) if last else None
            job = f"{member.task.name}/{name}-{index}"
            wishes.append((member.task, member.task.prepare_data(member.data, job=job, join=join)))
        if last is not None and self._alarms is not None:
            trace = trace_of(wishes[0][1].message.attributes)
            wishes.insert(0, (self._alarms, self._alarm(self._alarms.queue, name, last, trace)))
        answers = await asyncio.gather(*(app.enqueue(task, [wish]) for task, wish in wishes), return_exceptions=True)
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        if failed:
            raise SendError(f"the group was not sent as a whole: {failed[0]}", len(answers) - len(failed)) from failed[
                0
            ]
        jobs = [job for answer in answers if isinstance(answer, list) for job in answer]
        return GroupJob(jobs[1:] if last else jobs, Job(app, last.job) if last else None)

    def _alarm(self, queue: str, name: str, last: Link, trace: dict[str, str]) -> Prepared:
        args = msgspec.json.encode(JoinTimeout(name, len(self._members), last, self._run_anyway))
        body = encode(JobMessage(TIMEOUT_TASK, msgspec.Raw(args), f"{TIMEOUT_TASK}/{name}"))
        delay = SendOptions(delay=self._timeout).seconds()
        return Prepared(queue, f"{TIMEOUT_TASK}/{name}", Outgoing(body=body, attributes=trace, delay=delay))


class GroupJob:
    """The jobs of a group, in order, and the one that follows (None without ``then``)."""

    def __init__(self, jobs: Sequence[Job[Any]], last: Job[Any] | None) -> None:
        self.jobs = tuple(jobs)
        self.last = last

    def result(self, timeout: float | None = None) -> Any:
        """Of what follows; without ``then`` the results of all. Raises as ``Job.result``."""
        if self.last is not None:
            return self.last.result(timeout)
        return self.jobs[0]._app.wait(self.aresult(timeout))

    async def aresult(self, timeout: float | None = None) -> Any:
        """As ``result``, for async code."""
        if self.last is not None:
            return await self.last.aresult(timeout)
        return list(await asyncio.gather(*(job.aresult(timeout) for job in self.jobs)))


def _link(step: Signature) -> Link:
    task = step.task
    job, keyed = task.job_id(step.data) if step.missing is None else (f"{task.name}/{uuid.uuid4().hex}", False)
    queue = task.app.lane(task, task.settings.priority)
    return Link(task.name, queue, job, msgspec.Raw(step.data), step.missing, keyed)


def _is_fifo(step: Signature) -> bool:
    return step.task.queue.endswith(".fifo")


def _must_be_tracked(step: Any, what: str) -> None:
    """Raises ConfigurationError, also for what is no signature at all."""
    if not isinstance(step, Signature):
        raise ConfigurationError(f"{what} is made of tasks with their arguments (task.s(...)), not of {step!r}")
    if not step.task.settings.track:
        raise ConfigurationError(f"{what} needs records, but {step.task.name} has track=False")
