"""The handle of a job: how it stands in each of its states, what comes of it, and what is not known."""

import asyncio
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import pytest

import encola
from encola.consumers.errors import NoRecordsError
from encola.consumers.states import status_of
from encola.engine import records

from .bench import until, working

MakeApp = Callable[..., encola.App]


@dataclasses.dataclass
class Report:
    month: str
    pages: list[int]


async def test_a_job_goes_from_queued_over_running_to_completed(app: encola.App, queue: str) -> None:
    go = asyncio.Event()

    @app.task(queue=queue)
    async def work(month: str) -> Report:
        encola.progress(0.4, "rendering")
        await go.wait()
        return Report(month, [1, 2])

    async with working(app):
        job = await work.asend("10")
        while (status := await job.astatus()) != "running":
            assert status == "queued"
            await asyncio.sleep(0.01)
        go.set()
        assert await job.aresult(timeout=30) == Report("10", [1, 2])
    assert await job.astatus() == "completed"
    record = await job.arecord()
    assert record is not None
    assert (record.attempts, record.task, record.queue, record.key) == (1, "work", queue, job.record_key)
    assert record.created_at <= record.started_at <= record.finished_at
    assert (await job.aprogress()).share == 1.0
    assert await job.aerrors() == ()


async def test_progress_is_told_while_it_runs(make_app: MakeApp, queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("encola.consumers.leases.PROGRESS_SECONDS", 0.05)
    app = make_app(lease=2)
    go = asyncio.Event()

    @app.task(queue=queue)
    async def work() -> None:
        encola.progress(0.4, "rendering")
        await go.wait()

    async with working(app):
        job = await work.asend()
        while (progress := await job.aprogress()).share != 0.4:
            await asyncio.sleep(0.02)
        assert progress.note == "rendering"
        go.set()


async def test_errors_of_each_attempt_can_be_read_and_the_last_is_told(app: encola.App, queue: str) -> None:
    go = asyncio.Event()

    @app.task(queue=queue, retries=1, backoff=encola.Backoff(cap=0.0))
    async def work() -> None:
        attempt = encola.current_job().attempt
        if attempt == 2:
            await go.wait()
        raise ValueError(f"attempt {attempt}")

    async with working(app):
        job = await work.asend()
        while not (errors := await job.aerrors()):
            await asyncio.sleep(0.01)
        assert (errors[0].attempt, errors[0].type, errors[0].message) == (1, "ValueError", "attempt 1")
        go.set()
        with pytest.raises(encola.JobDeadError, match="failed: ValueError: attempt 2") as dead:
            await job.aresult(timeout=30)
    assert dead.value.type == "ValueError"
    assert "raise ValueError" in dead.value.traceback
    assert await job.astatus() == "dead"
    assert [error.message for error in await job.aerrors()] == ["attempt 1", "attempt 2"]


async def test_between_two_attempts_it_is_retrying(app: encola.App, queue: str) -> None:
    @app.task(queue=queue)
    async def work() -> None:
        raise encola.Retry(delay=600)

    async with working(app):
        job = await work.asend()
        while await job.astatus() != "retrying":
            await asyncio.sleep(0.01)
        assert await job.acancel() == "cancelled"
        with pytest.raises(encola.JobCancelledError, match="was cancelled"):
            await job.aresult()


async def test_a_job_that_runs_stops_when_it_is_cancelled(make_app: MakeApp, queue: str) -> None:
    app = make_app(lease=1)
    started = asyncio.Event()
    stopped: list[bool] = []

    @app.task(queue=queue)
    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(encola.current_job().stop_requested)

    async with working(app):
        job = await work.asend()
        await asyncio.wait_for(started.wait(), 30)
        assert await job.acancel() == "running"
        with pytest.raises(encola.JobCancelledError):
            await job.aresult(timeout=30)
        await until(lambda: stopped, "its end")
    assert stopped == [True]
    assert await job.acancel() == "cancelled"


async def test_to_cancel_what_has_ended_changes_nothing(app: encola.App, queue: str) -> None:
    @app.task(queue=queue, retries=0)
    async def work(fails: bool) -> None:
        if fails:
            raise ValueError

    async with working(app):
        well, badly = await work.asend(False), await work.asend(True)
        await well.aresult(timeout=30)
        with pytest.raises(encola.JobDeadError):
            await badly.aresult(timeout=30)
        assert (await well.acancel(), await badly.acancel()) == ("completed", "dead")


def test_a_result_that_does_not_come_is_pending(app: encola.App, queue: str) -> None:
    job = app.job("work/never")
    for timeout in (0, 0.1):
        began = time.monotonic()
        with pytest.raises(encola.ResultPendingError, match=rf"the job work/never is queued after {timeout} s"):
            job.result(timeout=timeout)
        assert time.monotonic() - began >= timeout
    with pytest.raises(TimeoutError):
        job.result(timeout=0)


@pytest.mark.parametrize("kind", ["task", "application"])
def test_where_no_records_are_kept_each_question_says_so(make_app: MakeApp, queue: str, kind: str) -> None:
    app = make_app(jobs=False) if kind == "application" else make_app()

    @app.task(queue=queue, track=kind != "task")
    def work() -> None: ...

    for job in (encola.Job(app, "work/1", tracked=work.settings.track), app.job("work/1")):
        for ask in (job.status, job.progress, job.errors, job.record, job.cancel, lambda job=job: job.result(1)):
            with pytest.raises(NoRecordsError):
                ask()
    if kind == "application":
        with pytest.raises(NoRecordsError, match="the application has no store of records"):
            app.job("unknown/1").status()


async def test_a_handle_is_its_name_and_nothing_more(make_app: MakeApp, queue: str) -> None:
    app, other = make_app(), make_app()

    @app.task(queue=queue)
    async def work() -> Report:
        return Report("10", [])

    async with working(app):
        job = await work.asend()
        await job.aresult(timeout=30)
    again = app.job(job.id)
    assert repr(again) == f"<Job {job.id}>"
    assert await again.aresult() == Report("10", [])
    # Who does not know the task gets what JSON has.
    assert await other.job(job.id).aresult() == {"month": "10", "pages": []}


def test_twins_without_async_answer_the_same(app: encola.App, queue: str) -> None:
    job = app.job("work/x")
    assert job.status() == "queued"
    assert job.cancel() == "cancelled"
    assert job.status() == "cancelled"
    assert job.progress().share == 0.0
    assert job.errors() == ()
    record = job.record()
    assert record is not None
    assert record.state == "cancelled"
    with pytest.raises(encola.JobCancelledError):
        job.result()


async def test_results_come_back_as_the_annotation_says(app: encola.App, queue: str) -> None:
    answers: dict[str, Any] = {}

    def answer(name: str, value: Any, annotation: Any) -> None:
        async def work() -> Any:
            return value

        if annotation is not ...:
            work.__annotations__["return"] = annotation
        answers[name] = app.task(queue=queue, name=name)(work)

    answer("dataclass", Report("1", [2]), Report)
    answer("list", [Report("1", [2])], list[Report])
    answer("optional", None, Report | None)
    answer("text", "x", "str")
    answer("none", {"a": 1}, None)
    answer("nothing", {"a": 1}, "None")
    answer("any", {"a": [1.5, None]}, ...)
    async with working(app):
        found = {name: await (await task.asend()).aresult(timeout=30) for name, task in answers.items()}
    assert found == {
        "dataclass": Report("1", [2]), "list": [Report("1", [2])], "optional": None, "text": "x", "none": {"a": 1},
        "nothing": {"a": 1}, "any": {"a": [1.5, None]},
    }  # fmt: skip


def test_a_job_that_was_given_back_before_its_first_attempt_is_queued() -> None:
    record = records.Job("a/t/1", "t", "q", "failed", "", 1, 0, 0, "", 0, 0)
    assert status_of(record) == "queued"
    record.attempts = 1
    assert status_of(record) == "retrying"
    assert status_of(None) == "queued"
