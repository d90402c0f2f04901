"""The program of a process that runs tasks with ``run="process"``, one job at a time, for ``task_processes``.

It loads the application as ``encola work`` does, opens the resources of a task at their first use, before the task's
time runs, and closes them at its end. Arguments come as the JSON that the producer sent; the result goes back as JSON.
What the task raises goes back in words, since an exception of the user's need not survive a trip between processes:

    {"id", "error": {"kind": "permanent" | "retry" | ..., "type", "message", "trace", "delay"}}
"""

import asyncio
import contextvars
import importlib
import logging
import math
import sys
import threading
import time
import traceback
from typing import Any

import msgspec

from encola.consumers.child import Channel, end
from encola.consumers.context import CurrentJob, current
from encola.consumers.errors import AlreadyDone, BadPayloadError, Permanent, Retry
from encola.consumers.once import refuse_loss
from encola.consumers.process import begin_logging, load_app
from encola.consumers.resources import Resources
from encola.consumers.results import encode_result
from encola.consumers.task import Task
from encola.consumers.verdicts import BadResultError, describe

EXIT_NOT_LOADED = 3
PROGRESS_SECONDS = 0.2
"""Progress is told no more often than this; what was said last is always told."""

KINDS: dict[type[BaseException], str] = {
    Permanent: "permanent",
    Retry: "retry",
    AlreadyDone: "done",
    BadPayloadError: "payload",
    BadResultError: "result",
    Exception: "other",
}
"""What the rest of the runtime tells apart; what is no ``Exception`` is ``exit``."""

_log = logging.getLogger("encola.worker")


class Call(msgspec.Struct, frozen=True):
    """One job. ``module`` is where the function was defined."""

    id: int
    task: str
    module: str
    job: str
    queue: str
    attempt: int
    carry: dict[str, str] = {}


def error_of(error: BaseException) -> dict[str, Any]:
    """An exception in words, as a record keeps it; the trace begins with the task's own frames."""
    own = error.__traceback__
    while own is not None and own.tb_frame.f_code.co_filename == __file__:
        own = own.tb_next
    told = describe(error.with_traceback(own), 0, 0, "")
    delay = error.delay if isinstance(error, Retry) else None
    return {
        "kind": next((name for known, name in KINDS.items() if isinstance(error, known)), "exit"),
        "type": told.type,
        "message": told.message,
        "trace": told.traceback,
        "delay": delay if isinstance(delay, int | float) and math.isfinite(delay) else None,
    }


class Progress:
    """Tells the parent how far a job is: at once, or as soon as it may again."""

    def __init__(self, channel: Channel, call: int) -> None:
        self._channel = channel
        self._call = call
        self._lock = threading.Lock()
        self._told_at = -math.inf
        self._timer: threading.Timer | None = None
        self._is_over = False

    def __call__(self, job: CurrentJob) -> None:
        if not self._channel.is_own:  # its lock may be held by a thread that the fork has not
            return
        with self._lock:
            if self._is_over or self._timer is not None:
                return
            pause = self._told_at + PROGRESS_SECONDS - time.monotonic()
            if pause <= 0:
                self._tell(job)
                return
            self._timer = threading.Timer(pause, self._later, [job])
            self._timer.daemon = True
            self._timer.start()

    def end(self, job: CurrentJob) -> None:
        """The job is over; what was not told yet is told now."""
        if not self._channel.is_own:
            return
        with self._lock:
            self._is_over = True
            if self._timer is not None:
                self._timer.cancel()
                self._tell(job)

    def _later(self, job: CurrentJob) -> None:
        with self._lock:
            self._timer = None
            if not self._is_over:
                self._tell(job)

    def _tell(self, job: CurrentJob) -> None:
        self._told_at = time.monotonic()
        self._channel.send({"id": self._call, "progress": [job.share, job.note]})


class Work:
    """The application of this process, and the resources that its tasks have opened."""

    def __init__(self, channel: Channel, path: str, endpoint: str) -> None:
        """Raises whatever the module raises, ConfigurationError."""
        self._channel = channel
        self._path = path
        self._app = load_app(path, endpoint)
        self._runner = asyncio.Runner()
        self._resources = Resources()

    def serve(self) -> None:
        """Runs what comes, until there is no more; then closes what is open."""
        while (arrived := self._channel.next()) is not None:
            header, data = arrived
            self._one(msgspec.convert(header, Call), data)
            del arrived, header, data
        try:
            self._runner.run(self._resources.close())
            self._app.close()
        except Exception:
            _log.exception("what tasks had opened could not be closed")

    def _one(self, call: Call, data: bytes) -> None:
        channel = self._channel
        try:
            task = self._task(call)
            arguments = task.payload.decode(data)
            for name, provider in task.payload.uses.items():
                arguments[name] = self._runner.run(self._resources.get(provider))
        except BaseException as error:
            channel.send({"id": call.id, "error": error_of(error)})
            return
        progress = Progress(channel, call.id)
        job = CurrentJob(self._app.name, task.name, call.job, call.queue, call.attempt, progress)
        job.carry = call.carry
        channel.send({"id": call.id, "started": True})  # from here on the task may have had effects
        try:
            result = encode_result(contextvars.copy_context().run(_run, task, arguments, job))
        except BaseException as error:
            progress.end(job)
            ends = isinstance(error, SystemExit | KeyboardInterrupt)  # it asked for it
            channel.send({"id": call.id, "error": error_of(error), "ends": ends})
            return
        progress.end(job)
        channel.send({"id": call.id}, bytes(result))

    def _task(self, call: Call) -> Task[Any, Any]:
        """Raises LookupError, and what a module raises."""
        if call.task not in self._app.tasks and call.module != "__main__":
            importlib.import_module(call.module)
        found = self._app.tasks.get(call.task)
        if found is None:
            raise LookupError(f"{self._path}, as a new process loads it, has no task {call.task}")
        return found


def _run(task: Task[Any, Any], arguments: dict[str, Any], job: CurrentJob) -> Any:
    current.set(job)
    try:
        return task.function(**arguments)
    except AlreadyDone as error:
        refuse_loss(job, error)
        raise


def main(arguments: list[str]) -> None:
    """``descriptor module:name verbose|plain endpoint``; an empty endpoint leaves it to the application."""
    descriptor, path, log, endpoint = arguments
    channel = Channel(int(descriptor))
    channel.start()
    begin_logging(verbose=log == "verbose")
    try:
        work = Work(channel, path, endpoint)
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        channel.send({"error": {**error_of(error), "kind": "load"}})
        end(EXIT_NOT_LOADED)
        return
    channel.send({"ready": True})
    work.serve()


if __name__ == "__main__":
    main(sys.argv[1:])
