"""Limits that hold over all workers: how many start in a time, and how many of one key run at a time."""

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import encola
from encola.consumers.connection import Connection
from encola.consumers.limits import RateLimit
from encola.consumers.options import Rate
from encola.consumers.stores.memory import MemoryJobStore
from encola.engine import records
from encola.testing.local import LocalTransport

from .bench import WorkProcess, until, wait_until, working

MakeApp = Callable[..., encola.App]
WORKERS = 3


async def test_a_rate_holds_over_several_workers(make_app: MakeApp, queue: str) -> None:
    started: list[float] = []
    apps = [make_app() for _ in range(WORKERS)]

    def declare(app: encola.App) -> Any:
        @app.task(queue=queue, rate="20/s")
        async def work() -> None:
            started.append(time.monotonic())

        return work

    tasks = [declare(app) for app in apps]
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(working(app))
        await tasks[0].asend_many([()] * 60)
        await until(lambda: len(started) == 60, "sixty starts")
    gaps = [later - earlier for earlier, later in zip(started, started[30:], strict=False)]
    assert min(gaps) > 30 / 20 / 2  # a burst would be all at once; a slow machine makes starts late, not early
    assert started[-1] - started[0] > 59 / 20 - 1


async def test_jobs_above_the_rate_lose_no_attempt(
    make_app: MakeApp, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encola.consumers.limits.PATIENCE_SECONDS", 0.05)
    app = make_app()
    attempts: list[int] = []

    @app.task(queue=queue, rate="10/s", retries=0)
    async def work() -> None:
        attempts.append(encola.current_job().attempt)

    async with working(app):
        await work.asend_many([()] * 5)
        await until(lambda: len(attempts) == 5, "five starts")
    assert attempts == [1] * 5


async def test_a_start_that_is_booked_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that would have started a little later than the patience allows were given back, and their starts lost."""
    monkeypatch.setattr("encola.consumers.limits.PATIENCE_SECONDS", 0.1)
    booked: list[int] = []

    class Busy(Connection):
        async def command(self, command: Any) -> Any:
            booked.append(command.count)
            return records.Reserved(granted=True, start_at_us=90_000, now_us=0)

    limit = RateLimit(Busy(LocalTransport(clock=None), False), "k", Rate(100, 1.0))  # type: ignore[arg-type]
    answers = await asyncio.gather(*(limit.wait() for _ in range(15)))
    assert booked == [10]
    assert answers[:10] == [0.0] * 10
    assert answers[10:] == [pytest.approx(0.19)] * 5


async def test_many_who_wait_together_book_together(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryJobStore(now=lambda: int(time.time() * 1000))
    asked = itertools.count()

    class Counting(Connection):
        async def command(self, command: Any) -> Any:
            next(asked)
            return (await store.apply([command]))[0]

    limit = RateLimit(Counting(LocalTransport(clock=None), False), "k", Rate(1000, 1.0))  # type: ignore[arg-type]
    assert await asyncio.gather(*(limit.wait() for _ in range(50))) == [0.0] * 50
    assert next(asked) == 1


async def test_jobs_of_one_key_never_overlap_over_several_workers(
    make_app: MakeApp, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encola.consumers.gate.SLOT_SECONDS_MIN", 0.02)
    monkeypatch.setattr("encola.consumers.gate.SLOT_SECONDS_MAX", 0.1)
    running: dict[str, int] = {"a": 0, "b": 0}
    most: dict[str, int] = {"a": 0, "b": 0}
    done: list[int] = []
    apps = [make_app() for _ in range(WORKERS)]

    def declare(app: encola.App) -> Any:
        @app.task(queue=queue, limit_per_key=1, limit_key="{key}", retries=0)
        async def work(key: str, number: int) -> None:
            running[key] += 1
            most[key] = max(most[key], running[key])
            await asyncio.sleep(0.01)
            running[key] -= 1
            done.append(number)

        return work

    tasks = [declare(app) for app in apps]
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(working(app))
        await tasks[0].asend_many([("ab"[number % 2], number) for number in range(14)])
        await until(lambda: len(done) == 14, "fourteen jobs")
    assert most == {"a": 1, "b": 1}
    assert sorted(done) == list(range(14))


async def test_as_many_run_at_a_time_as_a_key_may_have(make_app: MakeApp, queue: str) -> None:
    app = make_app()
    both = asyncio.Barrier(2)

    @app.task(queue=queue, limit_per_key=2, limit_key="all")
    async def meet() -> bool:
        await asyncio.wait_for(both.wait(), 20)
        return True

    async with working(app):
        jobs = [await meet.asend() for _ in range(2)]
        assert [await job.aresult(timeout=30) for job in jobs] == [True, True]


async def test_a_slot_is_free_again_when_its_job_has_failed(make_app: MakeApp, queue: str) -> None:
    app = make_app()

    @app.task(queue=queue, limit_per_key=1, limit_key="all", retries=1, backoff=encola.Backoff(cap=0.0))
    async def fail() -> None:
        raise ValueError("no")

    async with working(app):
        for _ in range(2):
            job = await fail.asend()
            with pytest.raises(encola.JobDeadError):
                await job.aresult(timeout=30)


TASKS = """
import os, pathlib, time
import encola

app = encola.App("slots-" + os.environ["QUEUE"], lease=2)
here = pathlib.Path(os.environ["HERE"])

@app.task(queue=os.environ["QUEUE"], limit_per_key=1, limit_key="all")
def work(name: str) -> str:
    with (here / "started").open("a") as file:
        file.write(name + "\\n")
    while (here / "block").exists():
        time.sleep(0.01)
    return name
"""


@pytest.mark.crash
def test_the_slot_of_a_worker_that_died_is_free_when_its_lease_is_over(
    tmp_path: Path, work: Callable[..., WorkProcess], make_app: MakeApp, queue: str
) -> None:
    (tmp_path / "slot_tasks.py").write_text(TASKS)
    (tmp_path / "block").touch()
    environment = {"QUEUE": queue, "HERE": str(tmp_path)}
    app = make_app(f"slots-{queue}", lease=2)

    @app.task(queue=queue, limit_per_key=1, limit_key="all", name="work")
    def task(name: str) -> str:
        raise NotImplementedError

    first = work("slot_tasks:app", **environment).ready()
    jobs = [task.send("first")]
    wait_until(lambda: (tmp_path / "started").exists(), "the first to start")
    second = work("slot_tasks:app", **environment).ready()
    jobs.append(task.send("second"))
    first.kill()
    (tmp_path / "block").unlink()
    assert [job.result(timeout=60) for job in jobs] == ["first", "second"]
    second.stop()
    assert sorted((tmp_path / "started").read_text().split()) == ["first", "first", "second"]
