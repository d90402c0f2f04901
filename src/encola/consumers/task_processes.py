"""Tasks with ``run="process"``: each job in a process that does nothing else meanwhile, so that it may compute, crash
or leak without harm to others.

A process loads the module in which a task is defined, and serves many jobs. A job that is stopped (timeout, lost lease,
cancelled, shutdown) is ended with its process. How many run at a time is the worker's concurrency.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

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
from encola.consumers.processes import (
    AnswerTooLongError,
    CrashedError,
    EndsEarlyError,
    NotLoadedError,
    Pool,
    Program,
)
from encola.consumers.task import Task
from encola.consumers.verdicts import TRACE, BadResultError, TaskError
from encola.engine.records import RESULT_BYTES_MAX

CHILD = "encola.consumers.task_child"
IDLE_SECONDS_MAX = 60.0
"""A process that had no job for so long ends."""


class TaskProcessError(EncolaError):
    """The process of a task could not start, or ended while the task ran."""


class TaskProcesses:
    """The processes of all tasks of one worker, a pool for each module."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}

    @property
    def pids(self) -> list[int]:
        """The processes that live now."""
        return sorted(pid for pool in self._pools.values() for pid in pool.pids)

    async def run(self, task: Task[Any, Any], arguments: Mapping[str, Any], job: CurrentJob) -> Any:
        """Answers the result as JSON has it. Raises what the task raised, as far as it can be told; TaskProcessError.

        Cancelled, it ends the process.
        """
        pool = self._pool(module_of(task))
        header = {"task": task.name, "job": [job.app, job.id, job.queue, job.attempt]}
        try:
            reply = await pool.call(
                header,
                task.payload.encode((), arguments),
                timeout=None,  # whoever calls has one
                limit=RESULT_BYTES_MAX,
                on_progress=job.progress,
            )
        except NotLoadedError as error:
            told = (error.told or {}).get("message", "")
            raise TaskProcessError(f"the process cannot run {task.name}: {told or error}") from None
        except EndsEarlyError:
            raise TaskProcessError("the processes end as soon as they are started") from None
        except CrashedError as error:
            raise TaskProcessError(f"the process ended while the task ran ({error})") from None
        except AnswerTooLongError:
            raise BadResultError(f"the result is too long; at most {RESULT_BYTES_MAX} bytes are kept") from None
        if "error" in reply.header:
            raise raised(reply.header["error"])
        return msgspec.json.decode(reply.payload)

    async def close(self) -> None:
        """Ends all processes."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    def _pool(self, module: str) -> Pool:
        if module not in self._pools:
            path = tuple(sys.path)
            self._pools[module] = Pool(Program(module=CHILD, arguments=(module,), path=path, idle=IDLE_SECONDS_MAX))
        return self._pools[module]


def module_of(task: Task[Any, Any]) -> str:
    """The module that a process has to import to find a task. Raises ConfigurationError."""
    name = task.function.__module__
    module: Any = sys.modules.get(name)
    if name == "__main__" and getattr(module, "__spec__", None) is not None:  # python -m
        name = module.__spec__.name
    if module is None or name == "__main__" or not any(one is task for one in vars(module).values()):
        raise ConfigurationError(
            f"task {task.name}: a process finds it only if it is at the top of a module that can be imported"
            f" (it was declared in {name})"
        )
    return str(name)


def raised(error: Mapping[str, Any]) -> Exception:
    """The exception that the words of ``task_child.error_of`` stand for, under its own name."""
    kind, name, message = str(error["kind"]), str(error["type"]), str(error["message"])
    match kind:
        case "retry":
            made: Exception = Retry(message, delay=error["delay"])
        case "done":
            made = AlreadyDone(message)
        case "result":
            made = BadResultError(message)
        case "payload":
            made = BadPayloadError(message)
        case "permanent":
            made = _named(Permanent, name)(message)
        case "exit":
            made = TaskExitError(f"the task raised {name}({message})")
            if name == "SystemExit":
                made.__cause__ = SystemExit(int(message) if message.isdecimal() else message or None)
                setattr(made.__cause__, TRACE, str(error["trace"]))
        case _:
            made = _named(TaskError, name)(message)
    setattr(made, TRACE, str(error["trace"]))
    return made


def _named(base: type[Exception], name: str) -> type[Exception]:
    return base if base.__name__ == name else type(name, (base,), {})
