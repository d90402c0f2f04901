"""A handle of a job: how it stands, what came of it. It holds nothing but the job's name."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from encola.consumers.connection import NO_RECORDS, Connection
from encola.consumers.errors import JobCancelledError, JobDeadError, NoRecordsError, ResultPendingError
from encola.consumers.jobstore import JobStore
from encola.consumers.states import CANCEL_WINDOW, Status, status_of
from encola.engine import records

if TYPE_CHECKING:
    from encola.consumers.app import App

Result = TypeVar("Result")
Answer = TypeVar("Answer")

LOOK_SECONDS_MIN = 0.02
LOOK_SECONDS_MAX = 0.5
LOOK_GROWTH = 1.5


class Progress(msgspec.Struct, frozen=True):
    """``share`` is between 0 and 1; ``note`` is what the task said last."""

    share: float = 0.0
    note: str = ""


class Job(Generic[Result]):
    """A job by its ``id``, e.g. ``report/2026-10``. Each method has a twin for async code, named with an ``a`` before.

    All raise NoRecordsError where no records are kept, JobStoreError when the store cannot be asked.
    """

    __slots__ = ("_app", "id", "tracked")

    def __init__(self, app: "App", job_id: str, *, tracked: bool = True) -> None:
        self._app = app
        self.id = job_id
        self.tracked = tracked

    def __repr__(self) -> str:
        return f"<Job {self.id}>"

    @property
    def record_key(self) -> str:
        """Under which the store of records knows it."""
        return self._app.record_key(self.id)

    def status(self) -> Status:
        return self._app.wait(self.astatus())

    async def astatus(self) -> Status:
        return status_of(await self.arecord())

    def progress(self) -> Progress:
        return self._app.wait(self.aprogress())

    async def aprogress(self) -> Progress:
        record = await self.arecord()
        return Progress(record.progress, record.note) if record else Progress()

    def errors(self) -> tuple[records.Failure, ...]:
        """Why each attempt failed, the oldest first; the newest twenty are kept."""
        return self._app.wait(self.aerrors())

    async def aerrors(self) -> tuple[records.Failure, ...]:
        record = await self.arecord()
        return record.errors if record else ()

    def record(self) -> records.Job | None:
        """All that is known of it; None before its first attempt, and after its time."""
        return self._app.wait(self.arecord())

    async def arecord(self) -> records.Job | None:
        found = await self._ask(lambda jobs: jobs.get([self.record_key]))
        return found[0]

    def result(self, timeout: float | None = None) -> Result:
        """What the task answered, waiting up to ``timeout`` seconds (None: for ever) for it.

        Values come back as JSON has them, or as the task's annotation says. Raises ResultPendingError, JobDeadError,
        JobCancelledError, ResultTypeError.
        """
        return self._app.wait(self.aresult(timeout))

    async def aresult(self, timeout: float | None = None) -> Result:
        """As ``result``, for async code."""
        clock = asyncio.get_running_loop().time
        deadline = None if timeout is None else clock() + timeout
        pause = LOOK_SECONDS_MIN
        while True:
            record = await self.arecord()
            if record is not None and record.state in ("completed", "dead", "cancelled"):
                result: Result = self._outcome(record)
                return result
            if not self._app.bridge.waits:
                raise ResultPendingError(f"the job {self.id} is {status_of(record)}, and nobody works meanwhile")
            if deadline is not None and clock() >= deadline:
                raise ResultPendingError(f"the job {self.id} is {status_of(record)} after {timeout} s")
            remaining = pause if deadline is None else max(0.0, deadline - clock())
            await asyncio.sleep(min(pause, remaining))
            pause = min(LOOK_SECONDS_MAX, pause * LOOK_GROWTH)

    def _outcome(self, record: records.Job) -> Any:
        if record.state == "cancelled":
            raise JobCancelledError(f"the job {self.id} was cancelled")
        if record.state == "dead":
            last = record.errors[-1] if record.errors else records.Failure(0, 0, "", "it failed for good")
            raise JobDeadError(f"the job {self.id} failed: {last.type}: {last.message}", last.type, last.traceback)
        return self._app.result_of(record.task, record.result)

    def cancel(self) -> Status:
        """Nobody shall run it (any more): it ends now, or as soon as its worker hears of it. Answers its status."""
        return self._app.wait(self.acancel())

    async def acancel(self) -> Status:
        """As ``cancel``, for async code."""
        task, _, _ = self.id.partition("/")
        known = self._app.tasks.get(task)
        window = max(self._app.window_ms(known.settings if known else None), CANCEL_WINDOW)
        command = records.Cancel(self.record_key, task, known.queue if known else "", window)
        (reply,) = await self._ask(lambda jobs: jobs.apply([command]))
        return reply.state if isinstance(reply, records.Cancelled) and reply.state != "failed" else "retrying"

    async def _ask(self, use: Callable[[JobStore], Awaitable[Answer]]) -> Answer:
        if not self.tracked:
            raise NoRecordsError(f"the job {self.id} leaves no record: its task has track=False")

        async def ask(connection: Connection) -> Answer:
            if connection.jobs is None:
                raise NoRecordsError(NO_RECORDS)
            return await use(connection.jobs)

        return await self._app.connected(ask)
