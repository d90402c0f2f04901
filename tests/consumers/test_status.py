"""A worker's own page, over HTTP: for probes, for people, for Prometheus."""

import asyncio
import contextlib
import os
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

import encola
from encola.consumers.status import StatusPage
from encola.consumers.worker import Worker
from encola.prometheus import Counters

from .bench import Queues, WorkProcess, until, wait_until, working


class Page:
    """The page of a worker, as a client sees it."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}"

    async def get(self, path: str) -> tuple[int, str]:
        async with self._session.get(self._url + path) as answer:
            return answer.status, await answer.text()

    async def status(self) -> dict[str, Any]:
        status, text = await self.get("/status")
        assert status == 200
        found: dict[str, Any] = msgspec.json.decode(text)
        return found

    async def metrics(self) -> dict[str, float]:
        """Values by name; labels are left out."""
        status, text = await self.get("/metrics")
        assert status == 200
        return {sample.name: sample.value for one in text_string_to_metric_families(text) for sample in one.samples}


@contextlib.asynccontextmanager
async def page_of(worker: Worker, **options: Any) -> AsyncIterator[Page]:
    page = StatusPage(worker, **options)
    port = await page.open(0)
    try:
        async with aiohttp.ClientSession() as session:
            yield Page(session, port)
    finally:
        await page.close()


async def test_a_worker_that_polls_is_alive_and_one_that_was_silent_for_too_long_is_not(
    app: encola.App, queue: str
) -> None:
    @app.task(queue=queue)
    def work() -> None: ...

    async with working(app) as worker:
        async with page_of(worker) as page:
            status, text = await page.get("/live")
            assert status == 200
            assert text.startswith("last successful poll ")
        async with page_of(worker, silent=0.0) as page:
            assert (await page.get("/live"))[0] == 503


async def test_the_page_is_for_this_machine_only(app: encola.App, queue: str) -> None:
    @app.task(queue=queue)
    def work() -> None: ...

    async with page_of(Worker(app)) as page:
        assert page._url.startswith("http://127.0.0.1:")
        assert (await page.get("/"))[0] == 404


async def test_before_it_has_begun_a_worker_runs_nothing(app: encola.App, queue: str) -> None:
    """The page opens while the worker still waits for its server: it answered 500 then."""

    @app.task(queue=queue)
    def work() -> None: ...

    async with page_of(Worker(app, name="early")) as page:
        told = await page.status()
        assert (await page.metrics())["encola_worker_slots_busy"] == 0
    assert (told["worker"], told["running"]) == ("early", [])


async def test_the_page_tells_what_runs(app: encola.App, queue: str) -> None:
    started, over = asyncio.Event(), asyncio.Event()

    @app.task(queue=queue)
    async def work(n: int) -> None:
        started.set()
        await over.wait()

    async with working(app, concurrency=7) as worker, page_of(worker) as page:
        job = await work.asend(1)
        await asyncio.wait_for(started.wait(), 20)
        told = await page.status()
        assert told.pop("seconds_since_last_poll") >= 0
        assert told == {
            "worker": worker.name,
            "app": app.name,
            "pid": os.getpid(),
            "queues": [queue],
            "jobs_done": 0,
            "running": [{"job": job.id, "task": "work", "queue": queue, "attempt": 1}],
        }
        values = await page.metrics()
        assert (values["encola_worker_slots"], values["encola_worker_slots_busy"]) == (7, 1)
        over.set()
        await until(lambda: worker.jobs_done, "the end of the job")
        told = await page.status()
        assert (told["jobs_done"], told["running"]) == (1, [])
        values = await page.metrics()
        assert (values["encola_worker_slots_busy"], values["encola_worker_jobs_done_total"]) == (0, 1)


async def test_a_batch_that_runs_is_told_as_one_job(app: encola.App, queue: str) -> None:
    started, over = asyncio.Event(), asyncio.Event()

    @app.batch(queue=queue, size=2, window=30.0)
    async def store(items: list[int]) -> None:
        started.set()
        await over.wait()

    async with working(app) as worker, page_of(worker) as page:
        await store.asend_many([(1,), (2,)])
        await asyncio.wait_for(started.wait(), 20)
        (running,) = (await page.status())["running"]
        assert running.pop("job").startswith("store/batch-")
        assert running == {"task": "store", "queue": queue, "attempt": 1}
        over.set()
        await until(lambda: worker.jobs_done == 2, "the end of the batch")
        assert (await page.status())["running"] == []


async def test_a_running_batch_keeps_its_leases_while_its_worker_stops(
    app: encola.App, queue: str, queues: Queues, make_app: Callable[..., encola.App]
) -> None:
    """Its messages were taken for ones that had not begun, and nobody kept their leases any more."""
    app = make_app(lease=1.0)
    started, over = asyncio.Event(), asyncio.Event()

    @app.batch(queue=queue, size=1, window=0.0)
    async def store(items: list[int]) -> None:
        started.set()
        await over.wait()

    worker: Worker
    async with working(app, grace=20.0) as worker:
        await store.asend(1)
        await asyncio.wait_for(started.wait(), 20)
        worker.stop()
        # Longer than a lease: the message would be visible now.
        assert await asyncio.to_thread(queues.receive, queue, 3) == []
        over.set()
    assert worker.jobs_done == 1


async def test_counters_of_the_application_are_on_the_page_whatever_their_registry(
    make_app: Callable[..., encola.App], queue: str
) -> None:
    app = make_app(middleware=[Counters(CollectorRegistry())])

    @app.task(queue=queue)
    async def work() -> None: ...

    async with working(app) as worker, page_of(worker) as page:
        await work.asend()
        await until(lambda: worker.jobs_done, "the end of the job")
        values = await page.metrics()
    assert values["encola_task_attempts_total"] == 1
    assert values["encola_messages_sent_total"] == 1
    assert values["encola_worker_poll_age_seconds"] >= 0


async def test_without_the_client_for_prometheus_the_page_says_what_to_install(
    app: encola.App, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task(queue=queue)
    def work() -> None: ...

    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    async with page_of(Worker(app)) as page:
        assert await page.get("/metrics") == (501, "install encola[prometheus]\n")
        assert (await page.get("/live"))[0] == 200


def test_a_worker_process_serves_its_page_on_the_port_that_it_was_told(
    work: Callable[..., WorkProcess], tmp_path: Path, queue: str
) -> None:
    (tmp_path / "paged.py").write_text(
        f"import encola\napp = encola.App('paged')\n\n@app.task(queue={queue!r})\ndef nothing() -> None: ...\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    work("paged:app", "--status-port", str(port)).ready()

    def answer(path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            found: bytes = response.read()
            return found

    wait_until(lambda: answer("/live").startswith(b"last successful poll"), "an answer")
    assert msgspec.json.decode(answer("/status"))["app"] == "paged"
    assert b"encola_worker_slots 32.0" in answer("/metrics")
