"""Running functions: on the loop, in threads and in processes, the same holds of results, errors and stops."""

import asyncio
import contextlib
import contextvars
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import encola
from encola.consumers import execution
from encola.consumers.context import CurrentJob
from encola.consumers.errors import InterruptedTaskError, TaskExitError
from encola.consumers.execution import Executor
from encola.consumers.task import Task
from encola.consumers.task_processes import TaskProcesses

from . import execution_tasks
from .bench import until

KINDS = ("loop", "thread", "process")
Run = Callable[..., Any]


@pytest.fixture
async def executor() -> AsyncIterator[Executor]:
    found = Executor(TaskProcesses(execution_tasks.app))
    yield found
    await found.close()


@pytest.fixture
def run(executor: Executor) -> Run:
    """Runs the task of a name in one of three ways."""

    async def call(kind: str, name: str, job: CurrentJob | None = None, **arguments: Any) -> Any:
        task = execution_tasks.app.tasks[f"{name}-{kind}"]
        return await executor.run(task, arguments, job or job_of(task), msgspec.json.encode(arguments))

    return call


def job_of(task: Task[Any, Any]) -> CurrentJob:
    return CurrentJob("execution", task.name, f"{task.name}/1", "q", 2)


def fine() -> int:
    return 0


def declared(function: Callable[..., Any], **options: Any) -> Task[Any, Any]:
    return encola.App("execution").task(queue="q", **options)(function)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_task_answers_and_runs_where_it_says(run: Run, kind: str) -> None:
    pid, thread, number = await run(kind, "where", number=5)
    assert number == 5
    assert (pid == os.getpid()) == (kind != "process")
    assert (pid == os.getpid() and thread == threading.get_ident()) == (kind == "loop")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_task_raises_has_its_name_and_text(run: Run, kind: str) -> None:
    with pytest.raises(Exception, match=r"^no such month$") as caught:
        await run(kind, "fails")
    assert type(caught.value).__name__ == "ValueError"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "what"), [("exits", "SystemExit"), ("interrupts", "KeyboardInterrupt")])
async def test_what_would_end_a_process_ends_the_job_only(run: Run, kind: str, name: str, what: str) -> None:
    with pytest.raises(TaskExitError) as caught:
        await run(kind, name)
    assert type(caught.value.__cause__).__name__ == what
    assert (await run(kind, "where", number=1))[2] == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_task_knows_its_job_and_tells_of_its_progress(run: Run, kind: str) -> None:
    heard: list[tuple[float, str]] = []
    job = CurrentJob("execution", "t", "t/1", "q", 2, lambda job: heard.append((job.share, job.note)))
    assert await run(kind, "knows", job) == ["t/1", 2]
    assert heard[-1] == (0.5, "half")
    assert execution_tasks.current.get() is None


@pytest.mark.parametrize("kind", ["thread", "process"])  # on the loop it is that of the worker's coroutine: a new one
async def test_what_a_task_sets_in_its_context_is_not_there_for_the_next(run: Run, kind: str) -> None:
    assert await run(kind, "leaves") == "clean"
    assert await run(kind, "leaves") == "clean"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_task_that_runs_too_long_is_stopped(run: Run, kind: str, tmp_path: Path) -> None:
    with pytest.raises(encola.TaskTimeoutError, match=r"the task ran longer than 0\.3 s"):
        await run(kind, "endless", path=str(tmp_path / "beat"))
    seen = (tmp_path / "beat").stat().st_size
    await asyncio.sleep(0.1)
    assert (tmp_path / "beat").stat().st_size == seen


@pytest.mark.parametrize("kind", KINDS)
async def test_a_timeout_of_the_tasks_own_is_an_error_like_others(run: Run, kind: str) -> None:
    with pytest.raises(Exception, match="the database is slow") as caught:
        await run(kind, "slow")
    assert not isinstance(caught.value, encola.TaskTimeoutError)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_forked_process_that_comes_back_ends(run: Run, kind: str) -> None:
    """Else there would be two workers, with one set of connections."""
    child = await run(kind, "forks")
    assert child > 0
    if kind != "process":
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0


async def test_without_processes_their_tasks_run_in_threads() -> None:
    executor = Executor()
    task = execution_tasks.app.tasks["where-process"]
    assert not executor.uses_process(task)
    assert (await executor.run(task, {"number": 1}, job_of(task)))[0] == os.getpid()
    await executor.close()


# Threads --------------------------------------------------------------------------------------------


class Busy:
    """A function that runs until it is interrupted."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.raised: list[type[BaseException]] = []
        self.job: CurrentJob | None = None

    def __call__(self) -> None:
        self.job = encola.current_job()
        self.begun.set()
        try:
            while True:
                time.sleep(0.001)
        except BaseException as error:
            self.raised.append(type(error))
            raise


async def test_a_thread_is_interrupted_at_its_next_instruction(executor: Executor) -> None:
    busy = Busy()

    def task() -> None:
        busy()

    running = asyncio.create_task(executor.run(declared(task), {}, job_of(declared(task))))
    await until(busy.begun.is_set, "the beginning")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert busy.raised == [InterruptedTaskError]
    assert busy.job is not None
    assert busy.job.stop_requested


async def test_a_thread_that_does_not_listen_is_left_to_itself(
    executor: Executor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(execution, "STOP_SECONDS_MAX", 0.05)
    caplog.set_level(logging.ERROR, "encola.worker")
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def deaf() -> str:
        begun.set()
        while not may_end.is_set():
            try:
                time.sleep(0.001)
            except InterruptedTaskError:
                continue
        ended.set()
        return "too late"

    task = declared(deaf)
    running = asyncio.create_task(executor.run(task, {}, job_of(task)))
    await until(begun.is_set, "the beginning")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "the thread of job deaf/1 does not stop" in caplog.text
    may_end.set()
    await until(ended.is_set, "the end of the thread")


async def test_an_interrupt_does_not_hit_the_next_job_of_the_thread(executor: Executor) -> None:
    """The end of a function and its interrupt may come at the same moment; the thread lives on, and works."""
    held, began = threading.Event(), threading.Event()

    def brief() -> None:
        began.set()
        held.wait()

    task = declared(brief)
    for _ in range(50):
        held.clear()
        began.clear()
        running = asyncio.create_task(executor.run(task, {}, job_of(task)))
        await until(began.is_set, "the beginning")
        held.set()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(running, 10)
        assert await asyncio.wait_for(executor.run(declared(fine), {}, job_of(task)), 10) == 0
    assert not [thread for thread in executor._threads._threads if not thread.is_alive()]


def test_an_interrupt_that_comes_too_late_hits_nobody() -> None:
    call = execution._ThreadCall(fine, lambda: None)
    assert call() == (0, None)
    call.interrupt()
    assert fine() == 0  # in the same thread


async def test_a_function_whose_thread_has_not_begun_does_not_run_once_it_is_stopped() -> None:
    ran: list[bool] = []
    call = execution._ThreadCall(lambda: ran.append(True), lambda: None)
    call.interrupt()
    result, error = call()
    assert (result, type(error), ran) == (None, InterruptedTaskError, [])


async def test_sys_exit_leaves_no_thread_short(executor: Executor) -> None:
    def leave() -> None:
        sys.exit(3)

    for _ in range(20):
        with pytest.raises(TaskExitError, match="SystemExit"):
            await executor.run(declared(leave), {}, job_of(declared(leave)))
    assert await executor.run(declared(fine), {}, job_of(declared(fine))) == 0


async def test_a_thread_sees_the_context_of_its_worker(executor: Executor) -> None:
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="")
    trace.set("of the worker")

    def look() -> str:
        return trace.get()

    assert await executor.run(declared(look), {}, job_of(declared(look))) == "of the worker"
