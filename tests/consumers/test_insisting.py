"""What came of a job is told until it is heard, while its lease is held; and whose job it is, is in its message."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Never

import pytest

import encola
from encola.consumers.errors import ConfigurationError
from encola.testing import Inline

from ..process import ServerProcess
from .bench import Queues, until, working

MakeApp = Callable[..., encola.App]


def untold(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The jobs that are over, of which nobody could be told yet."""
    return {line.split()[1] for line in caplog.messages if "could not be told yet" in line}


@pytest.mark.crash
async def test_a_server_that_is_away_when_a_job_ends_hears_of_it_later_and_nothing_is_done_twice(
    tmp_path: Path, make_app: MakeApp, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = await asyncio.to_thread(ServerProcess(tmp_path).start)
    app, ran, go_on = make_app(server=server.url), [], asyncio.Event()
    port = server.port
    with server:

        @app.task(queue=queue, key="{number}")
        async def work(number: int) -> int:
            ran.append(number)
            await go_on.wait()
            return number

        @app.task(queue=queue, track=False)
        async def plain(number: int) -> None:
            ran.append(number)
            await go_on.wait()

        async with working(app):
            jobs = [await work.asend(number) for number in range(5)]
            await plain.asend(9)
            await until(lambda: len(ran) == 6, "all begin")
            await asyncio.to_thread(server.kill)
            go_on.set()
            # They end while nobody hears it.
            await until(lambda: len(untold(caplog)) == 6, "all end")
            server._port = port
            await asyncio.to_thread(server.start)
            assert [await job.aresult(20) for job in jobs] == list(range(5))
            queues = Queues(server.url)
            await until(lambda: queues.held(queue) == 0, "an empty queue, long before the leases are over")
    assert sorted(ran) == [0, 1, 2, 3, 4, 9]


async def test_a_job_of_another_application_waits_for_that_one(make_app: MakeApp, queue: str, queues: Queues) -> None:
    one, other = make_app(f"one-{queue}"), make_app(f"other-{queue}")
    answers: list[Any] = []
    for app, name in ((one, "one"), (other, "other")):

        @app.task(queue=queue, name="same")
        def same(name: str = name) -> str:
            answers.append(name)
            return name

    async with working(other):
        job = await one.tasks["same"].asend()
        await until(lambda: queues.counts(queue) == (0, 1, 0), "a message that waits")
        assert answers == []
        assert await one.job(job.id).astatus() == "queued"
        queues.send(queue, '{"task": "same", "args": {}}')  # a foreign producer need not say whose it is
        await until(lambda: answers == ["other"], "the foreign one")


def test_a_provider_that_exits_fails_the_attempt_and_not_the_worker() -> None:
    app = encola.App("exits")

    def closed() -> Never:
        raise SystemExit(5)

    @app.task(queue="exits", retries=0)
    def work(thing: Annotated[object, encola.Use(closed)] = encola.USE) -> None: ...

    with Inline(app) as run:
        job = work.send()
        run.until_idle()
        assert job.status() == "dead"
        assert "SystemExit" in job.errors()[-1].traceback + job.errors()[-1].type


def test_whose_slots_a_job_takes_is_known_when_it_is_sent() -> None:
    app = encola.App("slots")

    @app.task(queue="slots", limit_per_key=1, limit_key=lambda value: value["x"])
    def work(value: dict[str, str]) -> None: ...

    with Inline(app) as run:
        with pytest.raises(ConfigurationError, match=r"limit_key .* cannot be filled in"):
            work.send({"y": "1"})
        assert run.waiting("slots") == 0


def test_a_result_that_does_not_fit_its_annotation_says_so() -> None:
    app = encola.App("results")

    @app.task(queue="results")
    def work() -> int:
        return "one"  # type: ignore[return-value]

    with Inline(app) as run:
        job = work.send()
        run.until_idle()
        assert job.status() == "completed"
        with pytest.raises(encola.ResultTypeError, match="work answered what its annotation does not say"):
            job.result()
