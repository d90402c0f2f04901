"""One key, one job: what workers make of duplicates, of jobs that are done, dead, cancelled, forgotten or another's."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import encola
from encola.cli.main import app as command
from encola.consumers import runner
from encola.consumers.errors import NoRecordsError
from encola.testing import EncolaServer

from .bench import Queues, WorkProcess, until, wait_until, working
from .watched import Watched


@pytest.fixture
def watched(house: EncolaServer) -> Watched:
    return Watched(house.url)


@pytest.fixture
def app(make_app: Callable[..., encola.App], watched: Watched) -> encola.App:
    return make_app(transport=lambda: watched)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is busy is looked at again after a second."""
    monkeypatch.setattr(runner, "BUSY_SECONDS_MAX", runner.BUSY_SECONDS_MIN)
    monkeypatch.setattr(runner, "BUSY_JITTER", 0.0)


async def is_empty(queues: Queues, queue: str) -> None:
    async with asyncio.timeout(30):
        while await asyncio.to_thread(queues.held, queue):
            await asyncio.sleep(0.02)


class Counter:
    """A task that counts its runs by argument."""

    def __init__(self, app: encola.App, queue: str, **options: Any) -> None:
        self.runs: list[int] = []
        self.go = asyncio.Event()
        self.go.set()

        async def count(number: int, note: str = "") -> int:
            self.runs.append(number)
            await self.go.wait()
            return len(self.runs)

        self.task = app.task(queue=queue, **{"key": "{number}", **options})(count)


async def test_one_key_sent_twice_runs_once_and_both_have_its_result(
    app: encola.App, queue: str, queues: Queues
) -> None:
    counter = Counter(app, queue)
    async with working(app):
        first = await counter.task.asend(1)
        assert await first.aresult(30) == 1
        second = await counter.task.asend(1)
        await is_empty(queues, queue)
        assert await second.aresult(30) == 1
        assert second.id == first.id
    assert counter.runs == [1]


@pytest.mark.usefixtures("soon")
async def test_duplicates_that_come_while_it_runs_wait_uncounted_and_are_answered_by_its_result(
    make_app: Callable[..., encola.App], app: encola.App, queue: str, queues: Queues, watched: Watched
) -> None:
    counter = Counter(app, queue, retries=0)
    counter.go.clear()
    async with working(app, concurrency=8):
        jobs = [await counter.task.asend(1) for _ in range(5)]
        await until(lambda: len(watched.asked("release")) >= 8, "they came again and again")
        counter.go.set()
        assert [await job.aresult(30) for job in jobs] == [1] * 5
        await is_empty(queues, queue)
    assert counter.runs == [1]
    assert watched.asked("retry") == []
    assert watched.asked("reject") == []


@pytest.mark.usefixtures("soon")
async def test_two_workers_and_many_duplicates_make_one_run_of_each(
    make_app: Callable[..., encola.App], queue: str, queues: Queues
) -> None:
    one, two = make_app(), make_app()
    counters = [Counter(app, queue) for app in (one, two)]
    async with working(one, concurrency=4), working(two, concurrency=4):
        connection = one.connect()
        await connection.open()
        prepared = [counters[0].task.prepare((number,), {}) for number in range(20) for _ in range(3)]
        await asyncio.gather(*(connection.send(wish.queue, wish.message) for wish in prepared))
        await connection.close()
        await is_empty(queues, queue)
    assert sorted(counters[0].runs + counters[1].runs) == list(range(20))


async def test_one_key_with_other_arguments_is_a_mistake_that_is_told(
    app: encola.App, queue: str, queues: Queues
) -> None:
    counter = Counter(app, queue)
    async with working(app):
        job = await counter.task.asend(1, note="first")
        assert await job.aresult(30) == 1
        await counter.task.asend(1, note="second")
        reason, error = await asyncio.to_thread(queues.dead, queue)
        assert (reason, error) == ("mismatch", "count/1: another job has the same key and other arguments")
        assert await job.astatus() == "completed"
    assert counter.runs == [1]


async def test_a_job_that_is_cancelled_before_its_time_does_not_run(
    app: encola.App, queue: str, queues: Queues
) -> None:
    counter = Counter(app, queue)
    async with working(app):
        job = await counter.task.options(delay=1).asend(1)
        assert await job.acancel() == "cancelled"
        await is_empty(queues, queue)
        with pytest.raises(encola.JobCancelledError):
            await job.aresult(5)
        again = await counter.task.asend(1)  # a wish after that is a new one
        assert again.id == job.id
        await until(lambda: counter.runs == [1], "it ran")
        await is_empty(queues, queue)
    assert await asyncio.to_thread(queues.held, f"{queue}-dead") == 0


async def test_a_forgotten_job_runs_again(app: encola.App, queue: str, queues: Queues, house: EncolaServer) -> None:
    counter = Counter(app, queue)
    environment = {"ENCOLA_ENDPOINT": house.url, **house.environment}

    def forget(key: str) -> str:
        return CliRunner().invoke(command, ["jobs", "forget", "--yes", key], env=environment).output

    async with working(app):
        job = await counter.task.asend(1)
        assert await job.aresult(30) == 1
        assert "forgotten" in await asyncio.to_thread(forget, job.record_key)
        assert await job.astatus() == "queued"
        assert await (await counter.task.asend(1)).aresult(30) == 2
        counter.go.clear()
        running = await counter.task.asend(2)
        await until(lambda: counter.runs == [1, 1, 2], "it runs")
        assert "it runs: cancel it first" in await asyncio.to_thread(forget, running.record_key)
        counter.go.set()


async def test_when_its_window_is_over_a_key_may_be_used_anew(app: encola.App, queue: str, queues: Queues) -> None:
    counter = Counter(app, queue, window=0.5)
    async with working(app):
        job = await counter.task.asend(1)
        await until(lambda: counter.runs == [1], "it ran")
        async with asyncio.timeout(30):
            while await job.arecord() is not None:
                await asyncio.sleep(0.02)
        await counter.task.asend(1)
        await until(lambda: counter.runs == [1, 1], "it ran again")


async def test_an_untracked_task_runs_for_each_message_and_leaves_no_record(
    app: encola.App, queue: str, queues: Queues, watched: Watched
) -> None:
    counter = Counter(app, queue, key=None, track=False)
    async with working(app):
        job = await counter.task.asend(1)
        await until(lambda: counter.runs == [1], "it ran")
        await asyncio.to_thread(queues.send, queue, f'{{"task": "count", "args": {{"number": 1}}, "job": "{job.id}"}}')
        await until(lambda: counter.runs == [1, 1], "the duplicate ran")
        with pytest.raises(NoRecordsError):
            await job.astatus()
        jobs = watched.records()
        assert jobs is not None
        assert await jobs.get([job.record_key]) == [None]
        await is_empty(queues, queue)


async def test_a_record_that_is_done_though_its_message_is_not_is_not_run_again(
    app: encola.App, queue: str, queues: Queues, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is cut between the record and the message."""
    watched.broken |= {"delete"}
    app.lease = 1
    counter = Counter(app, queue)
    async with working(app):
        job = await counter.task.asend(1)
        assert await job.aresult(30) == 1
        await until(lambda: "comes again: the line is cut" in caplog.text, "it could not be deleted")
        watched.broken.clear()
        await is_empty(queues, queue)
    assert counter.runs == [1]


# Suspended -------------------------------------------------------------------------------------------

OFFICE = """
import os, pathlib, time
import encola

app = encola.App(os.environ["NAME"], lease=1)
here = pathlib.Path(__file__).parent

@app.task(queue=os.environ["NAME"], key="only")
def slow():
    who = os.environ["WHO"]
    (here / f"{who}-began").touch()
    while not (here / f"{who}-go").exists():
        time.sleep(0.01)
    return who
"""


@pytest.mark.crash
def test_a_worker_that_was_suspended_past_its_lease_completes_nothing(
    tmp_path: Path, work: Callable[..., WorkProcess], make_app: Callable[..., encola.App], queue: str, queues: Queues
) -> None:
    """A laptop is closed, a virtual machine is moved: when it goes on, it believes that the job is still its own."""
    (tmp_path / "office.py").write_text(OFFICE)
    job = make_app(queue).job("slow/only")
    first = work("office:app", NAME=queue, WHO="first").ready()
    queues.send(queue, '{"task": "slow"}')
    wait_until((tmp_path / "first-began").exists, "the first has it")
    os.kill(first.pid, signal.SIGSTOP)
    try:
        second = work("office:app", NAME=queue, WHO="second").ready()
        wait_until((tmp_path / "second-began").exists, "the second has it")
        (tmp_path / "first-go").touch()
    finally:
        os.kill(first.pid, signal.SIGCONT)
    wait_until(lambda: "its lease was lost" in first.logged, "the first is told")
    assert job.status() == "running"
    assert queues.counts(queue) == (0, 1, 0)
    (tmp_path / "second-go").touch()
    assert job.result(30) == "second", first.logged + second.logged
    wait_until(lambda: queues.held(queue) == 0, "it is done")
    record = job.record()
    assert record is not None
    assert (record.fence, record.attempts, record.errors) == (2, 2, ())
    assert first.stop() == 0
