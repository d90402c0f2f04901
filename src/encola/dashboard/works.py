"""Works: what an operator started that takes longer than a request, with its progress.

A work runs in the server, a step at a time, and gives way between steps. It ends with the server: what was done is
done, what was not can be started again, since a work only ever takes what still fits.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Literal

import msgspec

from encola.broker.clock import Clock
from encola.engine.message import Instant

RUNNING_MAX = 10
"""Of one account."""

KEPT_SECONDS = 600
KEPT_MAX = 100

State = Literal["running", "done", "failed", "cancelled"]

_log = logging.getLogger("encola.dashboard")


class TooManyWorksError(Exception):
    """So many run already."""


class Work(msgspec.Struct):
    """``total`` is an estimate, 0 if it is not known. ``left_alone`` counts what was found changed, and not touched."""

    id: str
    account: str
    title: str
    queue: str
    who: str
    started_at: Instant
    total: int = 0
    looked_at: int = 0
    done: int = 0
    left_alone: int = 0
    state: State = "running"
    ended_at: Instant = 0
    problem: str = ""
    detail: str = ""  # what was left alone, and why, in words

    @property
    def share(self) -> float | None:
        """How much of it is done, from 0 to 1."""
        return min(1.0, self.looked_at / self.total) if self.total else None


class Works:
    """See the module."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._works: dict[str, Work] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._number = 0

    def start(self, work: Work, steps: AsyncGenerator[None, None]) -> Work:
        """Runs ``steps`` to their end; they note their progress in ``work``. Raises TooManyWorksError."""
        if sum(one.account == work.account for one in self.running) >= RUNNING_MAX:
            raise TooManyWorksError
        self._forget_old()
        self._works[work.id] = work
        task = asyncio.create_task(self._run(work, steps), name=f"work {work.id}")
        self._tasks[work.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(work.id, None))
        return work

    def new(self, account: str, title: str, queue: str, who: str, total: int = 0) -> Work:
        """A work that is yet to be started."""
        self._number += 1
        now = self._clock.now()
        return Work(f"w{now:x}-{self._number}", account, title, queue, who, now, total)

    @property
    def running(self) -> Sequence[Work]:
        return [work for work in self._works.values() if work.state == "running"]

    def of(self, account: str, queue: str | None = None) -> Sequence[Work]:
        """An account's, the newest first; those that ended stay for a while."""
        self._forget_old()
        found = [work for work in self._works.values() if work.account == account and queue in (None, work.queue)]
        return found[::-1]

    def find(self, account: str, work_id: str) -> Work | None:
        """A work of the account."""
        work = self._works.get(work_id)
        return work if work is not None and work.account == account else None

    def cancel(self, account: str, work_id: str) -> Work | None:
        """Ends a work before its next step. None: there is no such work, or it has ended."""
        work = self._works.get(work_id)
        task = self._tasks.get(work_id)
        if work is None or task is None or work.account != account:
            return None
        task.cancel()
        return work

    async def close(self) -> None:
        """Ends all of them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, work: Work, steps: AsyncGenerator[None, None]) -> None:
        try:
            async for _ in steps:
                await asyncio.sleep(0)
            work.state = "done"
        except asyncio.CancelledError:
            work.state = "cancelled"
            raise
        except Exception as error:
            work.state, work.problem = "failed", type(error).__name__
            _log.error("a work (%s) failed with %s", work.title, type(error).__name__)
        finally:
            work.ended_at = self._clock.now()
            await steps.aclose()

    def _forget_old(self) -> None:
        ended = [work for work in self._works.values() if work.state != "running"]
        old = self._clock.now() - KEPT_SECONDS * 1000
        for work in ended[: max(0, len(ended) - KEPT_MAX)] + [one for one in ended if one.ended_at < old]:
            self._works.pop(work.id, None)
