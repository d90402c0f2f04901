"""Many dead jobs are tried again: first looked at (a dry run), then done, as a work that tells its progress.

    jobs that fit ──► by dead-letter queue ──► one walk over each queue ──► each message of a job is sent again

A job is looked at once more right before its message is sent, so that nothing is brought back that somebody else has
tried again meanwhile.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from encola.broker.broker import Broker
from encola.consumers.letters import job_named
from encola.dashboard.job_search import JobFilter, chunks
from encola.dashboard.letters import Letters, TooLargeError
from encola.dashboard.looking import Budget, through
from encola.dashboard.looking import chunks as messages
from encola.dashboard.works import Work
from encola.engine.lifecycle import Outcome
from encola.engine.message import Peek, QueueId
from encola.engine.queue import Queue
from encola.engine.records import COMMANDS_MAX, Job

JOBS_MAX = 50_000
"""In one work; whoever has more starts another."""

DRY_SECONDS = 1.0
DRY = Budget(100_000, 1.5)
AT_ONCE = 25
"""Messages that are sent again side by side: they become durable together."""

Allowed = Callable[[Queue, Queue], bool]
"""May this visitor bring messages back: from a dead-letter queue, to a queue?"""


class Route(msgspec.Struct):
    """A dead-letter queue, and the jobs whose messages may be on it: by job id, each with where it goes back to."""

    queue: Queue
    jobs: dict[str, list[tuple[str, Queue]]] = {}

    def job_of(self, peek: Peek) -> tuple[str, Queue] | None:
        """The key of the job that a message is of, and its queue."""
        app, job = job_named(peek.body, peek.envelope.message_id)
        for key, home in self.jobs.get(job, ()):
            if app in ("", key.partition("/")[0]):
                return key, home
        return None


class Plan:
    """Jobs, by where their messages may be. ``unreachable``: without a dead-letter queue that the visitor may use."""

    def __init__(self, letters: Letters, account: str, allowed: Allowed) -> None:
        self._letters = letters
        self._account = account
        self._allowed = allowed
        self._known: dict[str, tuple[Queue, Queue] | None] = {}
        self.routes: dict[QueueId, Route] = {}
        self.shown: list[Job] = []
        self.jobs = 0
        self.unreachable = 0
        self.stopped = False

    def add(self, jobs: Sequence[Job], show: int = 0) -> None:
        """Takes jobs in; the first ``show`` of all are kept whole, to be shown."""
        for job in jobs:
            self.jobs += 1
            if len(self.shown) < show:
                self.shown.append(job)
            if job.queue not in self._known:
                route = self._letters.route(self._account, job.queue)
                self._known[job.queue] = route if route is not None and self._allowed(*route) else None
            found = self._known[job.queue]
            if found is None:
                self.unreachable += 1
                continue
            home, queue = found
            by_id = self.routes.setdefault(queue.id, Route(queue)).jobs
            by_id.setdefault(job.key.partition("/")[2], []).append((job.key, home))


async def plan_all(
    broker: Broker, account: str, plan: Plan, wanted: JobFilter, *, show: int = 0, seconds: float | None = None
) -> AsyncGenerator[None, None]:
    """Fills a plan with the dead jobs that fit, a step at a time; stops at ``JOBS_MAX``, or when time is over."""
    end = None if seconds is None else time.monotonic() + seconds
    dead = msgspec.structs.replace(wanted, state="dead")
    async for jobs, behind in chunks(broker.records, account, dead):
        plan.add(jobs, show)
        if behind is not None and (plan.jobs >= JOBS_MAX or (end is not None and time.monotonic() > end)):
            plan.stopped = True
            return
        yield


async def plan_chosen(broker: Broker, account: str, plan: Plan, keys: Sequence[str]) -> None:
    """Fills a plan with the dead ones among these jobs."""
    plan.add(await _dead(broker, account, list(dict.fromkeys(keys))))


class Dry(msgspec.Struct):
    """What a dry run found. ``complete``: it looked at every message that there is."""

    found: set[str]
    looked_at: int
    complete: bool


async def dry_run(broker: Broker, plan: Plan, budget: Budget = DRY) -> Dry:
    """Which jobs of a plan have their message on a dead-letter queue, as far as a page may look."""
    dry = Dry(set(), 0, True)
    for route in plan.routes.values():

        def look(peek: Peek, route: Route = route) -> bool:
            found = route.job_of(peek)
            if found is not None:
                dry.found.add(found[0])
            return True

        left = Budget(budget.messages - dry.looked_at, budget.seconds / len(plan.routes))
        if left.messages <= 0:
            dry.complete = False
            break
        looked_at, _, stop = await through(broker, route.queue, look, newest_first=True, budget=left)
        dry.looked_at += looked_at
        dry.complete = dry.complete and stop == "end"
    return dry


async def bring_back(
    broker: Broker, letters: Letters, account: str, plan: Plan, work: Work
) -> AsyncGenerator[None, None]:
    """Sends the messages of a plan's jobs again, a chunk at a time; what happens is counted in ``work``."""
    work.total = sum([(await broker.counts(route.queue)).total for route in plan.routes.values()])
    said: dict[str, int] = {}
    missing = plan.jobs - plan.unreachable
    for route in plan.routes.values():
        newest = await broker.browse(route.queue, None, 1, newest_first=True)
        if not newest:
            continue
        until = newest[0].state.id
        async for peeks in messages(broker, route.queue, None, newest_first=False, until=until):
            chosen = [(peek, *found) for peek in peeks if (found := route.job_of(peek)) is not None]
            dead = {job.key for job in await _dead(broker, account, [key for _, key, _ in chosen])}
            ready = [one for one in chosen if one[1] in dead]
            missing -= len(chosen)
            _count(said, "not dead any more", len(chosen) - len(ready))
            for start in range(0, len(ready), AT_ONCE):
                group = ready[start : start + AT_ONCE]
                for why in await asyncio.gather(*(_one(letters, route.queue, *one) for one in group)):
                    work.done += why is None
                    _count(said, why or "", why is not None)
                _tell(work, said)
                yield
            work.looked_at += len(peeks)
            _tell(work, said)
            yield
    _count(said, "without a message", max(0, missing))
    _count(said, "without a dead-letter queue", plan.unreachable)
    _tell(work, said)


async def _one(letters: Letters, queue: Queue, peek: Peek, key: str, home: Queue) -> str | None:
    """Why a message was left alone; None: it was sent again."""
    try:
        outcome = await letters.bring_back(home, queue, peek, key)
    except TooLargeError:
        return "too large"
    return None if outcome is Outcome.DONE else WHY.get(outcome, outcome.value)


WHY = {
    Outcome.GONE: "gone",
    Outcome.STALE: "received meanwhile",
    Outcome.HELD: "held by a consumer",
    Outcome.NO_TARGET: "without a queue to go to",
}


async def _dead(broker: Broker, account: str, keys: Sequence[str]) -> list[Job]:
    found: list[Job] = []
    for start in range(0, len(keys), COMMANDS_MAX):
        jobs = await broker.records.get(account, keys[start : start + COMMANDS_MAX])
        found += [job for job in jobs if job is not None and job.state == "dead"]
    return found


def _count(said: dict[str, int], why: str, number: int) -> None:
    if number:
        said[why] = said.get(why, 0) + number


def _tell(work: Work, said: dict[str, int]) -> None:
    work.left_alone = sum(said.values())
    work.detail = ", ".join(f"{number} {why}" for why, number in said.items())
