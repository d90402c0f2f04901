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
from typing import TYPE_CHECKING, Any

from encola.consumers.context import CurrentJob, current
from encola.consumers.errors import InterruptedTaskError, TaskExitError, TaskTimeoutError
from encola.consumers.task import Task

if TYPE_CHECKING:
    from encola.consumers.task_processes import TaskProcesses

THREADS_MAX = 10_000
"""Threads are made when needed; how many run is the worker's concurrency, and those that were left to themselves."""

STOP_SECONDS_MAX = 2.0
"""For so long a thread that was interrupted is waited for."""

_log = logging.getLogger("encola.worker")


class Executor:
    """See the module. ``processes=False`` runs in threads what belongs into processes: for tests on virtual time."""

    def __init__(self, *, processes: bool = True) -> None:
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="encola-task")
        self._may_start_processes = processes
        self._processes: TaskProcesses | None = None
        self._pid = os.getpid()

    def uses_process(self, task: Task[Any, Any]) -> bool:
        """Does a task run in a process here? Then its resources are opened there."""
        return task.settings.run == "process" and self._may_start_processes

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._processes is not None:
            await self._processes.close()

    async def run(self, task: Task[Any, Any], arguments: dict[str, Any], job: CurrentJob) -> Any:
        """Answers what the function answers. Raises what it raises, TaskTimeoutError, TaskExitError."""
        timeout = task.settings.timeout
        if task.is_async:
            run = self._on_loop(task, arguments, job)
        elif self.uses_process(task):
            run = self._in_process(task, arguments, job)
        else:
            run = self._in_thread(task.function, arguments, job)
        if timeout is None:
            return await run
        try:
            async with asyncio.timeout(timeout) as limit:
                return await run
        except TimeoutError:
            if limit.expired():
                raise TaskTimeoutError(f"the task ran longer than {timeout:g} s") from None
            raise

    async def _on_loop(self, task: Task[Any, Any], arguments: dict[str, Any], job: CurrentJob) -> Any:
        token = current.set(job)
        try:
            return await task.function(**arguments)
        except (Exception, asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # SystemExit must not reach the loop
            raise TaskExitError(f"the task raised {error!r}") from error
        finally:
            current.reset(token)
            self._end_of_a_fork()

    async def _in_process(self, task: Task[Any, Any], arguments: dict[str, Any], job: CurrentJob) -> Any:
        if self._processes is None:
            from encola.consumers.task_processes import TaskProcesses

            self._processes = TaskProcesses()
        return await self._processes.run(task, arguments, job)

    async def _in_thread(self, function: Callable[..., Any], arguments: dict[str, Any], job: CurrentJob) -> Any:
        context = contextvars.copy_context()
        context.run(current.set, job)
        thread: list[int] = []

        def call() -> tuple[Any, BaseException | None]:
            thread.append(threading.get_ident())
            try:
                return function(**arguments), None
            except BaseException as error:  # SystemExit must not reach the loop
                return None, error
            finally:
                thread.clear()
                self._end_of_a_fork()

        future = asyncio.get_running_loop().run_in_executor(self._threads, functools.partial(context.run, call))
        try:
            result, error = await asyncio.shield(future)
        except asyncio.CancelledError:
            job.stop_requested = True
            await self._interrupt(future, thread, job)
            raise
        if error is None:
            return result
        if isinstance(error, Exception):
            raise error
        raise TaskExitError(f"the task raised {error!r}") from error

    async def _interrupt(self, future: "asyncio.Future[Any]", thread: list[int], job: CurrentJob) -> None:
        for ident in tuple(thread):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(InterruptedTaskError))
        done, _ = await asyncio.wait([future], timeout=STOP_SECONDS_MAX)
        if not done:
            _log.error(
                "the thread of job %s does not stop: it is left to itself, its answer will be thrown away", job.id
            )

    def _end_of_a_fork(self) -> None:
        """A child that the task forked must not go on as a worker."""
        if os.getpid() != self._pid:
            os._exit(0)
