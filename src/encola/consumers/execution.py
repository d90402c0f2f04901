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

from encola.consumers.context import CurrentJob, current
from encola.consumers.errors import InterruptedTaskError, TaskTimeoutError
from encola.consumers.task import Task

THREADS_MAX = 10_000
"""Threads are made when needed; how many run is the worker's concurrency, and those that were left to themselves."""

STOP_SECONDS_MAX = 2.0
"""For so long a thread that was interrupted is waited for."""

_log = logging.getLogger("encola.worker")


class TaskExitError(Exception):
    """The task called ``sys.exit``, or raised what is no ``Exception``."""


class Executor:
    """See the module."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="encola-task")
        self._pid = os.getpid()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, task: Task[Any, Any], arguments: dict[str, Any], job: CurrentJob) -> Any:
        """Answers what the function answers. Raises what it raises, TaskTimeoutError, TaskExitError."""
        timeout = task.settings.timeout
        run = self._on_loop(task, arguments, job) if task.is_async else self._in_thread(task.function, arguments, job)
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
