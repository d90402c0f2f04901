"""Tasks in processes: what they know, answer and raise, how they are stopped, and that none is left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

import encola
from encola.consumers.context import CurrentJob
from encola.consumers.errors import ConfigurationError, TaskExitError
from encola.consumers.options import TaskOptions
from encola.consumers.retry import Backoff
from encola.consumers.task_processes import TaskProcesses, path_of
from encola.consumers.verdicts import Again, Over, describe, judge
from encola.consumers.worker import Worker
from encola.testing import EncolaServer, Inline

from . import process_tasks
from .bench import Queues, WorkProcess, until, wait_until, working
from .process_tasks import do, noted

NO_JSON = "the result cannot be made JSON"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "journal"
    monkeypatch.setenv("JOURNAL", str(path))
    return path


@pytest.fixture
async def processes(journal: Path) -> AsyncIterator[TaskProcesses]:
    found = TaskProcesses(process_tasks.app)
    yield found
    await found.close()
    assert found.pids == []


def a_job(task: encola.consumers.task.Task[Any, Any]) -> CurrentJob:
    return CurrentJob("processes", task.name, f"{task.name}/1", "processes", 3)


async def run(
    processes: TaskProcesses, task: Any, timeout: float | None = None, job: CurrentJob | None = None, **arguments: Any
) -> Any:
    return await processes.run(task, msgspec.json.encode(arguments), job or a_job(task), timeout)


def alive(pid: int) -> bool:
    """A process that nobody has waited for yet is over, too."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_one_process_serves_many_jobs_and_a_crash_costs_only_itself(processes: TaskProcesses) -> None:
    first = await run(processes, do, what="nothing")
    assert first != os.getpid()
    assert await run(processes, do, what="nothing") == first
    with pytest.raises(Exception, match=r"the process ended while the task ran \(signal SIGSEGV\)"):
        await run(processes, do, what="segfault")
    assert await run(processes, do, what="nothing") != first


@pytest.mark.parametrize(
    ("what", "kind", "message", "verdict"),
    [
        ("raise", "ValueError", "no such month", Again(1.0)),
        ("permanent", "NoSuchMonthError", "there is no month 13", Over("permanent")),
        ("retry", "Retry", "not yet", Again(7.5)),
        ("retry with nonsense", "Retry", "not yet", Again(1.0)),
        ("foul", "FoulError", "half a pair: ? and a zero: \ufffd", Again(1.0)),
        (
            "object",
            "BadResultError",
            "the result cannot be made JSON: a object cannot be made JSON",
            Over("bad-result"),
        ),
        ("large", "BadResultError", "the result has 300002 bytes; at most 262144 are kept", Over("bad-result")),
        ("exit", "SystemExit", "the task called sys.exit(7)", Again(1.0)),
        ("interrupt", "KeyboardInterrupt", "", Again(1.0)),
        ("kill", "TaskProcessError", "the process ended while the task ran (signal SIGKILL)", Again(1.0)),
        ("leave", "TaskProcessError", "the process ended while the task ran (exit status 9)", Again(1.0)),
    ],
)
async def test_what_a_task_raises_is_judged_and_kept_as_if_it_had_run_here(
    processes: TaskProcesses, what: str, kind: str, message: str, verdict: Any
) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the question
        await run(processes, do, what=what)
    error = caught.value
    settings = TaskOptions(queue="q", name="t", backoff=Backoff(base=2.0, factor=1.0))
    assert judge(error, 1, settings, 0.5) == verdict
    cause = error.__cause__ if isinstance(error, TaskExitError) else error
    assert cause is not None
    failure = describe(cause, 1, 0, "")
    assert (failure.type, failure.message) == (kind, message)
    if kind not in ("TaskProcessError", "BadResultError"):
        assert failure.traceback.startswith('Traceback (most recent call last):\n  File "' + process_tasks.__file__)
        assert "in _do" in failure.traceback
    assert "task_processes.py" not in failure.traceback


async def test_what_was_done_before_is_told_as_such(processes: TaskProcesses) -> None:
    with pytest.raises(encola.AlreadyDone):
        await run(processes, do, what="done")


async def test_after_sys_exit_the_next_job_has_a_new_process(processes: TaskProcesses) -> None:
    before = await run(processes, do, what="nothing")
    with pytest.raises(TaskExitError):
        await run(processes, do, what="exit")
    assert await run(processes, do, what="nothing") != before


@pytest.mark.parametrize("what", ["fork", "fork and raise"])
async def test_a_forked_process_that_comes_back_says_nothing(processes: TaskProcesses, what: str) -> None:
    await run(processes, do, what=what)
    before = await run(processes, do, what="nothing")
    assert await run(processes, do, what="nothing") == before


async def test_a_task_may_use_a_pool_of_processes(processes: TaskProcesses) -> None:
    assert await asyncio.wait_for(run(processes, do, what="pool"), 30) == [1, 2, 3]


async def test_a_task_that_closes_what_is_not_its_own_has_failed(processes: TaskProcesses) -> None:
    with pytest.raises(Exception, match="the process ended while the task ran"):
        await asyncio.wait_for(run(processes, do, what="close everything"), 30)
    assert await run(processes, do, what="nothing")


async def test_the_current_job_is_the_parents_and_its_progress_comes_here(processes: TaskProcesses) -> None:
    job = a_job(process_tasks.tell)
    heard: list[float] = []
    job.carry = {"traceparent": "of middleware"}
    job._on_progress = lambda job: heard.append(job.share)
    found = await run(processes, process_tasks.tell, job=job, words=20_000)
    assert found == {
        "app": "processes",
        "task": "tell",
        "id": "tell/1",
        "queue": "processes",
        "attempt": 3,
        **job.carry,
    }
    assert (job.share, job.note) == (1.0, "last word")
    assert heard == sorted(heard)
    assert len(heard) < 1000  # not each word


async def test_a_thread_that_a_job_left_behind_tells_nothing_of_the_next(processes: TaskProcesses) -> None:
    await run(processes, process_tasks.late)
    job = a_job(process_tasks.tell)
    await run(processes, process_tasks.tell, job=job, words=3)
    assert job.note == "last word"


async def test_resources_are_opened_once_in_each_process_and_closed_at_its_end(
    processes: TaskProcesses, journal: Path
) -> None:
    answers = [await run(processes, process_tasks.write, text=text) for text in "ab"]
    (pid,) = processes.pids
    assert answers == [f"a by pen of {pid}", f"b by pen of {pid}"]
    assert noted(journal) == [f"open {pid}"]
    await processes.close()
    assert noted(journal) == [f"open {pid}", f"close {pid}"]


async def test_a_resource_that_cannot_be_opened_is_an_error_of_the_job(processes: TaskProcesses) -> None:
    with pytest.raises(Exception, match="no database") as caught:
        await run(processes, process_tasks.without)
    assert describe(caught.value, 1, 0, "").type == "ConnectionError"
    assert await run(processes, do, what="nothing")


async def test_arguments_are_read_by_the_tasks_own_types_and_may_be_large(processes: TaskProcesses) -> None:
    with pytest.raises(encola.BadPayloadError, match="Expected `str`, got `int`"):
        await run(processes, process_tasks.echo, data=5)
    text = "é" * 100_000
    assert await run(processes, process_tasks.echo, data=text) == text


async def test_the_time_of_a_task_begins_when_it_does(processes: TaskProcesses, journal: Path) -> None:
    """Not with the start of its process, which here takes longer than the task may."""
    with pytest.raises(TimeoutError):
        await run(processes, do, timeout=0.05, what="hang")
    (line,) = noted(journal)
    assert not alive(int(line.split()[1]))


async def test_a_cancelled_job_ends_with_all_that_it_has_started(processes: TaskProcesses, journal: Path) -> None:
    running = asyncio.create_task(run(processes, do, what="hang with others"))
    _, *pids = (await until(lambda: noted(journal), "the beginning of the job"))[0].split()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for pid in pids:
        await until(lambda pid=int(pid): not alive(pid), f"the end of process {pid}")


# Finding the application ----------------------------------------------------------------------------


def test_the_application_is_found_in_the_module_of_the_task() -> None:
    assert path_of(process_tasks.app, do) == "tests.consumers.process_tasks:app"


def test_the_application_is_found_in_another_module_than_the_tasks_function() -> None:
    task = process_tasks.app.task(queue="processes", run="process", name="elsewhere")(os.getpid)
    del process_tasks.app.tasks["elsewhere"]
    assert path_of(process_tasks.app, task).endswith(":app")


async def test_a_task_of_another_module_than_the_applications_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "split_app.py").write_text('import encola\n\napp = encola.App("split")\n')
    (tmp_path / "split_tasks.py").write_text(
        "from split_app import app\n\n\n@app.task(queue='q', run='process')\ndef one() -> str:\n    return __name__\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import split_app  # type: ignore[import-not-found]
    import split_tasks  # type: ignore[import-not-found]

    processes = TaskProcesses(split_app.app, "split_app:app")
    assert await run(processes, split_tasks.one) == "split_tasks"
    await processes.close()


async def test_a_worker_does_not_start_with_a_task_that_no_process_would_find(app: encola.App, queue: str) -> None:
    @app.task(queue=queue, run="process")
    def lost() -> None: ...

    with pytest.raises(ConfigurationError, match=r'task lost: run="process" needs its application at the top'):
        await Worker(app).run()
    with pytest.raises(ConfigurationError, match="task lost"):
        app.lambda_handler()({"Records": []})


async def test_an_application_of_the_script_that_runs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    app = encola.App("script")

    @app.task(queue="q", run="process")
    def task() -> None: ...

    task.function.__module__ = "__main__"
    monkeypatch.setattr(sys.modules["__main__"], "app", app, raising=False)
    with pytest.raises(ConfigurationError, match="it was declared in the script that runs"):
        path_of(app, task)


async def test_code_that_a_new_process_cannot_load_is_an_error_of_the_job(processes: TaskProcesses) -> None:
    processes._path = "tests.consumers.nowhere:app"
    with pytest.raises(Exception, match="cannot load the application: ConfigurationError: there is no module"):
        await run(processes, do, what="nothing")


# In workers -----------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[EncolaServer]:
    """Of this test only: what it leaves on the queue is nobody else's."""
    with EncolaServer() as server:
        yield server


@pytest.fixture
def here(server: EncolaServer, monkeypatch: pytest.MonkeyPatch, journal: Path) -> Iterator[encola.App]:
    """The application of ``process_tasks`` as this process's own, on the server."""
    monkeypatch.setattr(process_tasks.app, "_server", server.url)
    monkeypatch.setattr(process_tasks.app, "lease", 3.0)
    monkeypatch.setenv("ENCOLA_ENDPOINT", server.url)
    yield process_tasks.app
    process_tasks.app.close()


async def test_a_worker_runs_them_with_middleware_around(here: encola.App, monkeypatch: pytest.MonkeyPatch) -> None:
    results: list[Any] = []

    class Listener(encola.Middleware):
        async def running(self, job: Any, attributes: Any, call_next: Callable[[], Any]) -> Any:
            results.append((os.getpid(), await call_next()))
            return results[-1][1]

    monkeypatch.setattr(here, "middleware", [Listener()])
    async with working(here):
        found = await (await process_tasks.echo.asend("é")).aresult(30)
    assert found == "é"
    assert results == [(os.getpid(), "é")]


async def test_a_job_that_is_cancelled_ends_its_process(here: encola.App, journal: Path) -> None:
    async with working(here):
        job = await do.asend("hang with others")
        _, *pids = (await until(lambda: noted(journal), "the beginning of the job"))[0].split()
        await job.acancel()
        for pid in pids:
            await until(lambda pid=int(pid): not alive(pid), f"the end of process {pid}", 60)
        with pytest.raises(encola.JobCancelledError):
            await job.aresult(60)  # which is told after their end


def test_a_pushed_function_runs_them_too(here: encola.App, server: EncolaServer) -> None:
    queues = Queues(server.url)
    handler = here.lambda_handler()

    async def prepare() -> None:
        async with working(here):
            pass

    asyncio.run(prepare())
    job = process_tasks.echo.send("pushed")
    (message,) = [one for one in queues.receive("processes") if "pushed" in one["Body"]]
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:processes",
    }
    assert handler({"Records": [record]}) == {"batchItemFailures": []}
    assert job.result(10) == "pushed"


def test_inline_they_run_in_a_thread_of_the_tests_own_process(journal: Path) -> None:
    with Inline(process_tasks.app) as inline:
        job = do.send("nothing")
        written = process_tasks.write.send("x")
        inline.until_idle()
        assert job.result() == os.getpid()
        assert written.result() == f"x by pen of {os.getpid()}"


# The whole story --------------------------------------------------------------------------------------


def _children(worker: WorkProcess) -> list[psutil.Process]:
    return [one for one in worker.children() if "encola.consumers.task_child" in one.cmdline()]


@pytest.mark.crash
def test_a_worker_process_its_tasks_processes_and_their_ends(
    here: encola.App, work: Callable[..., WorkProcess], journal: Path, server: EncolaServer
) -> None:
    """A job runs, one takes too long, one crashes and is tried again; then the worker is killed."""
    module = "tests.consumers.process_tasks"
    worker = work(module, "-c", "4", url=server.url, JOURNAL=str(journal)).ready()
    assert do.send("nothing").result(30) in [one.pid for one in _children(worker)]

    slow = process_tasks.short.send("hang")
    with pytest.raises(encola.JobDeadError, match="TaskTimeoutError: the task ran longer than 1 s"):
        slow.result(30)
    (line,) = noted(journal)
    assert not alive(int(line.split()[1]))

    crashing = do.send("segfault")
    with pytest.raises(encola.JobDeadError, match="SIGSEGV"):
        crashing.result(60)
    failures = crashing.errors()
    assert [failure.attempt for failure in failures] == [1, 2, 3]
    assert {failure.message for failure in failures} == {"the process ended while the task ran (signal SIGSEGV)"}

    do.send("hang")
    pid = int(wait_until(lambda: noted(journal)[1:], "a job that hangs")[0].split()[1])
    assert do.send("nothing").result(30)
    children = _children(worker)
    assert pid in [one.pid for one in children]
    assert len(children) > 1
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not any(alive(one.pid) for one in children), "the end of all processes")


def test_a_worker_process_that_stops_gives_back_what_its_processes_run(
    here: encola.App, work: Callable[..., WorkProcess], journal: Path, server: EncolaServer
) -> None:
    worker = work("tests.consumers.process_tasks", "--grace", "0.1", url=server.url, JOURNAL=str(journal)).ready()
    job = do.send("hang with others")
    _, *pids = wait_until(lambda: noted(journal), "a job that hangs")[0].split()
    assert worker.stop() == 0
    wait_until(lambda: not any(alive(int(pid)) for pid in pids), "the end of the processes")
    assert job.status() == "queued"
    assert job.cancel() == "cancelled"
