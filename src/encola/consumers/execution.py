"""Running a task's function: on the event loop, in a thread, or in a process, with its timeout.

A function that shall stop (timeout, lost lease, cancelled, shutdown) is told so: an ``async def`` by cancellation; a
thread by ``InterruptedTaskError``, raised at its next Python instruction; a process by its end. Nobody waits for a
thread that does not listen: it is left to itself, and what it answers is thrown away.
"""

import asyncio
import contextvars
import ctypes
import functools
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from encola.consumers.context import CurrentJob, current
from encola.consumers.errors import AlreadyDone, InterruptedTaskError, TaskExitError, TaskTimeoutError
from encola.consumers.once import refuse_loss
from encola.consumers.task import Task
from encola.consumers.task_processes import TaskProcesses

THREADS_MAX = 10_000
"""Threads are made when needed; how many run is the worker's concurrency, and those that were left to themselves."""

STOP_SECONDS_MAX = 2.0
"""For so long a thread that was interrupted is waited for."""

_log = logging.getLogger("encola.worker")


class Executor:
    """See the module. Without ``processes``, what belongs into a process runs in a thread."""

    def __init__(self, processes: TaskProcesses | None = None) -> None:
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="encola-task")
        self._processes = processes
        self._pid = os.getpid()

    def uses_process(self, task: Task[Any, Any]) -> bool:
        """Does a task run in a process here? Then its resources are opened there."""
        return task.settings.run == "process" and self._processes is not None

    async def close(self) -> None:
        """Ends processes; threads that still run are left to themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._processes is not None:
            await self._processes.close()

    async def run(
        self, task: Task[Any, Any], arguments: dict[str, Any], job: CurrentJob, data: bytes | msgspec.Raw = b"{}"
    ) -> Any:
        """Answers what the function answers. Raises what it raises, TaskTimeoutError, TaskExitError,
        UncertainEffectError.

        ``data`` are the arguments as they came: for a process, whose answer is as JSON has it.
        """
        timeout = task.settings.timeout
        limit: asyncio.Timeout | None = None
        try:
            if self._processes is not None and task.settings.run == "process":
                return await self._processes.run(task, data, job, timeout)
            run = self._on_loop if task.is_async else self._in_thread
            async with asyncio.timeout(timeout) as limit:
                return await run(task.function, arguments, job)
        except AlreadyDone as error:
            refuse_loss(job, error)
            raise
        except TimeoutError:
            if limit is None or limit.expired():
                raise TaskTimeoutError(f"the task ran longer than {timeout:g} s") from None
            raise

    async def _on_loop(self, function: Callable[..., Any], arguments: dict[str, Any], job: CurrentJob) -> Any:
        token, own = current.set(job), asyncio.current_task()
        try:
            return await function(**arguments)
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:  # SystemExit must not reach the loop
            if isinstance(error, GeneratorExit) and not _is_running(own):
                raise  # the loop is gone, and what is left of it is closed
            raise TaskExitError(f"the task raised {error!r}") from error
        finally:
            current.reset(token)
            self._end_of_a_fork()

    async def _in_thread(self, function: Callable[..., Any], arguments: dict[str, Any], job: CurrentJob) -> Any:
        context = contextvars.copy_context()
        context.run(current.set, job)
        call = _ThreadCall(functools.partial(function, **arguments), self._end_of_a_fork)
        future = asyncio.get_running_loop().run_in_executor(self._threads, context.run, call)
        try:
            result, error = await asyncio.shield(future)
        except asyncio.CancelledError:
            job.stop_requested = True
            call.interrupt()
            done, _ = await asyncio.wait([future], timeout=STOP_SECONDS_MAX)
            if not done:
                _log.error(
                    "the thread of job %s does not stop: it is left to itself, its answer will be thrown away", job.id
                )
            raise
        if error is None:
            return result
        if isinstance(error, Exception):
            raise error
        raise TaskExitError(f"the task raised {error!r}") from error

    def _end_of_a_fork(self) -> None:
        """A child that the task forked must not go on as a worker."""
        if os.getpid() != self._pid:
            os._exit(0)


class _ThreadCall:
    """A call in a thread that can be interrupted while it runs; not after that, when the thread is another's.

    An exception that is set for a thread is raised at its next instruction, wherever that is.
    """

    def __init__(self, function: Callable[[], Any], at_end: Callable[[], None]) -> None:
        self._function = function
        self._at_end = at_end
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._interrupted = False

    def __call__(self) -> tuple[Any, BaseException | None]:
        """Answers the result or the error: SystemExit must not reach the loop."""
        try:
            try:
                with self._lock:
                    if self._interrupted:
                        raise InterruptedTaskError
                    self._thread = threading.get_ident()
                return self._function(), None
            finally:
                self._at_end()
                with self._lock:
                    thread, self._thread = self._thread, None
                if thread is not None:
                    _set_exception(thread, None)  # one that has not been raised yet
        except BaseException as error:
            return None, error

    def interrupt(self) -> None:
        """Raises InterruptedTaskError in its thread; a call that has not begun will not begin. Once."""
        with self._lock:
            self._interrupted = True
            if self._thread is not None:
                _set_exception(self._thread, InterruptedTaskError)


def _is_running(task: "asyncio.Task[Any] | None") -> bool:
    try:
        return asyncio.current_task() is task
    except RuntimeError:  # there is no loop
        return False


def _set_exception(thread: int, kind: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(kind) if kind is not None else None
    )
