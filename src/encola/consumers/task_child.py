"""The program of a process that runs tasks with ``run="process"``, one job at a time, for ``task_processes``.

It loads the application as ``encola work`` does, opens the resources that a task uses at their first use, and closes
them at its end. Arguments come as the JSON that the producer sent; the result goes back as JSON. What the task raises
goes back in words, since an exception of the user's need not survive a trip between processes:

    {"id", "error": {"kind": "permanent" | "retry" | ..., "type", "message", "trace", "delay"}}
"""

import asyncio
import contextlib
import importlib
import sys
import traceback
from collections.abc import Callable
from typing import Any

import msgspec

from encola.consumers.child import Channel, end
from encola.consumers.context import CurrentJob, current
from encola.consumers.errors import AlreadyDone, BadPayloadError, Permanent, Retry
from encola.consumers.payload import to_json
from encola.consumers.resources import Resources
from encola.consumers.task import Task
from encola.consumers.verdicts import BadResultError, text_of
from encola.engine.records import TEXT_LENGTH_MAX

EXIT_NOT_LOADED = 3
CLOSE_SECONDS_MAX = 1.0

KINDS: dict[type[BaseException], str] = {
    Permanent: "permanent",
    Retry: "retry",
    AlreadyDone: "done",
    BadPayloadError: "payload",
    BadResultError: "result",
}
"""What the rest of the runtime tells apart; anything else is ``other``, or ``exit`` if it is no ``Exception``."""


class Job(msgspec.Struct, frozen=True):
    """What a call is about. ``job`` has the application, the id, the queue and the number of the attempt."""

    id: int
    task: str
    job: tuple[str, str, str, int]


def error_of(error: BaseException) -> dict[str, Any]:
    """An exception in words, as much of them as a record keeps; the trace begins with the task's own frames."""
    kind = next((name for known, name in KINDS.items() if isinstance(error, known)), "other")
    if not isinstance(error, Exception):
        kind = "exit"
    own = error.__traceback__
    while own is not None and own.tb_frame.f_code.co_filename == __file__:
        own = own.tb_next
    trace = "".join(traceback.format_exception(type(error), error, own))
    return {
        "kind": kind,
        "type": type(error).__name__[:TEXT_LENGTH_MAX],
        "message": text_of(error)[:TEXT_LENGTH_MAX],
        "trace": trace[-TEXT_LENGTH_MAX:],
        "delay": error.delay if isinstance(error, Retry) else None,
    }


class Tasks:
    """The tasks of one module, and the resources that they have opened."""

    def __init__(self, module: str, channel: Channel) -> None:
        """Raises whatever the module raises."""
        loaded = importlib.import_module(module)
        self._tasks = {one.name: one for one in vars(loaded).values() if isinstance(one, Task)}
        self._channel = channel
        self._runner = asyncio.Runner()
        self._resources = Resources()
        self._call = 0

    def run(self, call: Job, payload: bytes) -> bytes:
        """Answers the JSON of the result. Raises what the task raises, BadPayloadError, BadResultError."""
        task, self._call = self._tasks[call.task], call.id
        arguments = task.payload.decode(payload)
        for name, provider in task.payload.uses.items():
            arguments[name] = self._runner.run(self._resources.get(provider))
        app, job_id, queue, attempt = call.job
        job = CurrentJob(app, task.name, job_id, queue, attempt, self._progressed)
        token = current.set(job)
        try:
            result = task.function(**arguments)
        finally:
            current.reset(token)
        try:
            return to_json(result)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise BadResultError(f"the result cannot be made JSON: {error}") from None

    def knows(self, name: str) -> bool:
        return name in self._tasks

    def close(self) -> None:
        """Closes the resources, the last first."""
        self._runner.run(self._resources.close())

    def _progressed(self, job: CurrentJob) -> None:
        self._channel.send({"id": self._call, "progress": [job.share, job.note]})


def serve(channel: Channel, tasks: Tasks) -> None:
    """Runs what comes, until there is no more."""
    while (arrived := channel.next()) is not None:
        header, payload = arrived
        call = msgspec.convert(header, Job)
        if not tasks.knows(call.task):
            channel.send({"id": call.id, "error": {"message": f"its module has no task {call.task}"}})
            continue
        channel.send({"id": call.id, "started": True})  # from here on the task may have had effects
        answer = _guarded(lambda call=call, payload=payload: tasks.run(call, payload))  # type: ignore[misc]
        if isinstance(answer, bytes):
            channel.send({"id": call.id}, answer)
        else:
            channel.send({"id": call.id, "error": answer})
    with contextlib.suppress(Exception):
        tasks.close()


def _guarded(run: Callable[[], bytes]) -> bytes | dict[str, Any]:
    try:
        return run()
    except BaseException as error:  # also sys.exit: the process can serve on
        return error_of(error)


def main(arguments: list[str]) -> None:
    """``descriptor module``."""
    descriptor, module = arguments
    channel = Channel(int(descriptor))
    channel.start()
    try:
        tasks = Tasks(module, channel)
    except BaseException as error:
        channel.send({"error": error_of(error)})
        end(EXIT_NOT_LOADED)
        return
    channel.send({"ready": True})
    serve(channel, tasks)
    end()


if __name__ == "__main__":
    main(sys.argv[1:])
