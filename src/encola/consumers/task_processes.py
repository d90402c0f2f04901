"""Tasks with ``run="process"``: each job in a process that does nothing else meanwhile, so that it may compute, crash
or leak without harm to others.

A process loads the application, and serves many jobs. A job that is stopped (timeout, lost lease, cancelled, shutdown)
is ended with its process. How many run at a time is the worker's concurrency. Middleware stays with the worker.
"""

import logging
import sys
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from encola.consumers.context import CurrentJob
from encola.consumers.errors import (
    AlreadyDone,
    BadPayloadError,
    ConfigurationError,
    EncolaError,
    Permanent,
    Retry,
    TaskExitError,
)
from encola.consumers.processes import CrashedError, EndsEarlyError, NotLoadedError, Pool, Program
from encola.consumers.task import Task
from encola.consumers.verdicts import TRACE, BadResultError, TaskError
from encola.engine.records import RESULT_BYTES_MAX

if TYPE_CHECKING:
    from encola.consumers.app import App

CHILD = "encola.consumers.task_child"
IDLE_SECONDS_MAX = 300.0
"""A process that had no job for so long ends."""

START_SECONDS_MAX = 300.0
"""To load the application; and then, for a job, to open the resources of its task: these may be large."""

SCRIPTS = ("__main__", "__mp_main__")


class TaskProcessError(EncolaError):
    """The process of a task could not start, or ended while the task ran."""

    encola_trace = ""  # ``verdicts.TRACE``: where it is raised here tells nobody anything


class TaskProcesses:
    """The processes of an application's tasks. ``path`` is its ``module:name``, if that is known."""

    def __init__(self, app: "App", path: str | None = None) -> None:
        self._app = app
        self._path = path
        self._pool: Pool | None = None

    @property
    def pids(self) -> list[int]:
        """The processes that live now."""
        return self._pool.pids if self._pool is not None else []

    def require(self, queues: Collection[str]) -> None:
        """Raises ConfigurationError for a task on these queues that a process would not find."""
        for task in self._app.tasks.values():
            if task.queue in queues and task.settings.run == "process":
                self._path = self._path or path_of(self._app, task)

    async def run(self, task: Task[Any, Any], data: bytes | msgspec.Raw, job: CurrentJob, timeout: float | None) -> Any:
        """Answers the result, as JSON has it. Cancelled, it ends the process.

        Raises what the task raised, as far as it can be told; TimeoutError, TaskProcessError, ConfigurationError.
        """
        header = {
            "task": task.name,
            "module": task.function.__module__,
            "job": job.id,
            "queue": job.queue,
            "attempt": job.attempt,
            "carry": dict(job.carry),
        }
        pool = self._started(task)
        try:
            reply = await pool.call(
                header, bytes(data), timeout=timeout, limit=RESULT_BYTES_MAX, on_progress=job.progress
            )
        except NotLoadedError as error:
            if error.told is not None:
                raise raised(error.told) from None
            raise TaskProcessError(str(error)) from None
        except EndsEarlyError:
            raise TaskProcessError("the processes end before they begin with the task") from None
        except CrashedError as error:
            raise TaskProcessError(f"the process ended while the task ran ({error})") from None
        if "error" in reply.header:
            raise raised(reply.header["error"])
        return msgspec.json.decode(reply.payload)

    async def close(self) -> None:
        """Ends all processes."""
        if self._pool is not None:
            await self._pool.close()

    def _started(self, task: Task[Any, Any]) -> Pool:
        if self._pool is None:
            self._path = self._path or path_of(self._app, task)
            verbose = logging.getLogger("encola").isEnabledFor(logging.DEBUG)
            self._pool = Pool(
                Program(
                    module=CHILD,
                    arguments=(self._path, "verbose" if verbose else "plain", self._app.reaches or ""),
                    path=tuple(sys.path),
                    idle=IDLE_SECONDS_MAX,
                    start=START_SECONDS_MAX,
                )
            )
        return self._pool


def path_of(app: "App", task: Task[Any, Any]) -> str:
    """The ``module:name`` under which a process finds the application. Raises ConfigurationError.

    Not in the script that runs: to load it a second time could start it a second time.
    """
    own = task.function.__module__
    for name in (own, *sys.modules):
        if name in SCRIPTS:
            continue
        known = getattr(sys.modules.get(name), "__dict__", {})
        for attribute, value in tuple(known.items()):
            if value is app:
                return f"{name}:{attribute}"
    where = "the script that runs" if own in SCRIPTS else own
    raise ConfigurationError(
        f'task {task.name}: run="process" needs its application at the top of a module that a process can import'
        f" (it was declared in {where}, and no module has the application)"
    )


def raised(error: Mapping[str, Any]) -> Exception:
    """The exception that the words of ``task_child.error_of`` stand for, under its own name."""
    name, message = str(error["type"]), str(error["message"])
    match error["kind"]:
        case "retry":
            made: Exception = _named(Retry, name)(message)
            made.delay = error["delay"]  # type: ignore[attr-defined]
        case "done":
            made = AlreadyDone(message)
        case "result":
            made = BadResultError(message)
        case "payload":
            made = BadPayloadError(message)
        case "load":
            made = TaskProcessError(f"the process cannot load the application: {name}: {message}")
        case "permanent":
            made = _named(Permanent, name)(message)
        case "exit":
            made = TaskExitError(message)
            made.__cause__ = _told(_named(TaskError, name)(message), error)
        case _:
            made = _named(TaskError, name)(message)
    return _told(made, error)


def _told(made: Exception, error: Mapping[str, Any]) -> Exception:
    setattr(made, TRACE, str(error["trace"]))
    return made


def _named(base: type[Exception], name: str) -> type[Exception]:
    return base if base.__name__ == name else type(name, (base,), {})
