"""What a worker tells its server of itself, what it hears in return, and that its work does not wait for either."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

import encola
from encola.cli.client import call
from encola.consumers.reports import REFUSED_SECONDS, Reporter, report_of
from encola.consumers.sqs.transport import SqsTransport
from encola.consumers.transport import RefusedError, TransportError
from encola.consumers.worker import Worker
from encola.engine.workers import RUNNING_MAX, Orders, Report
from encola.testing import EncolaServer

from ..process import client
from .bench import KEYS, Queues, until, working

NEVER = 3600.0


class Desk:
    """Keeps the states that it is told, and answers what the test says: orders, an error, or nothing."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.answer: Orders | Exception | None = Orders()

    async def report(self, report: Report) -> Orders:
        self.states.append(report.state)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or Orders()


def told(last: bool) -> Report:
    return Report(id="w", at=1, started_at=1, state="stopped" if last else "running")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def obeyed() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def make(desk: Desk, obeyed: asyncio.Event) -> Callable[..., Reporter]:
    def make(seconds: float = NEVER, report: Callable[[bool], Report] = told) -> Reporter:
        reporter = Reporter(desk, report, obeyed.set, seconds)
        reporter.start()
        return reporter

    return make


async def test_the_first_report_comes_at_once_and_the_last_says_that_the_worker_has_left(
    make: Callable[..., Reporter], desk: Desk
) -> None:
    reporter = make()
    await until(lambda: desk.states == ["running"], "the first report")
    await reporter.close()
    assert desk.states == ["running", "stopped"]
    await reporter.close()  # once is enough
    assert desk.states == ["running", "stopped"]


async def test_news_are_told_at_once(make: Callable[..., Reporter], desk: Desk) -> None:
    reporter = make()
    await until(lambda: len(desk.states) == 1, "the first report")
    reporter.soon()
    await until(lambda: len(desk.states) == 2, "the next report")
    await reporter.close()


async def test_reports_go_on_and_on(make: Callable[..., Reporter], desk: Desk) -> None:
    reporter = make(0.001)
    await until(lambda: len(desk.states) > 10, "reports")
    await reporter.close()


async def test_an_order_to_stop_is_obeyed(make: Callable[..., Reporter], desk: Desk, obeyed: asyncio.Event) -> None:
    desk.answer = Orders(stop=True)
    reporter = make()
    await asyncio.wait_for(obeyed.wait(), 10)
    await reporter.close()


async def test_an_order_that_comes_with_the_last_report_is_heard(
    make: Callable[..., Reporter], desk: Desk, obeyed: asyncio.Event
) -> None:
    reporter = make()
    await until(lambda: desk.states == ["running"], "the first report")
    assert not obeyed.is_set()
    desk.answer = Orders(stop=True)
    await reporter.close()
    assert obeyed.is_set()


@pytest.mark.parametrize("failure", [TransportError("gone"), ValueError("unforeseen")])
async def test_failures_are_told_of_once_and_the_next_report_is_tried(
    make: Callable[..., Reporter], desk: Desk, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    desk.answer = failure
    with caplog.at_level(logging.DEBUG, "encola.worker"):
        reporter = make(0.001)
        await until(lambda: len(desk.states) > 5, "more tries")
        assert [record.levelname for record in caplog.records] == ["DEBUG"]
        desk.answer = Orders()
        seen = len(desk.states)
        await until(lambda: len(desk.states) > seen + 2, "reports again")
        desk.answer = failure
        seen = len(desk.states)
        await until(lambda: len(desk.states) > seen + 2, "tries again")
        assert len(caplog.records) == 2
    await reporter.close()


async def test_a_server_that_did_not_answer_is_not_told_of_the_end(make: Callable[..., Reporter], desk: Desk) -> None:
    desk.answer = TransportError("gone")
    reporter = make()
    await until(lambda: desk.states == ["running"], "the first report")
    await reporter.close()
    assert desk.states == ["running"]


async def test_a_server_that_never_answers_does_not_keep_the_worker(make: Callable[..., Reporter], desk: Desk) -> None:
    desk.answer = None
    reporter = make()
    await until(lambda: desk.states == ["running"], "the first report")
    await asyncio.wait_for(reporter.close(), 10)  # it gives up by itself: its own patience is an hour


async def test_a_report_that_cannot_be_made_does_not_end_the_reports(make: Callable[..., Reporter], desk: Desk) -> None:
    made = 0

    def report(last: bool) -> Report:
        nonlocal made
        made += 1
        if made < 3:
            raise RuntimeError("no report today")
        return told(last)

    reporter = make(0.001, report)
    await until(lambda: desk.states, "a report")
    await reporter.close()


async def test_whom_the_server_refuses_does_not_ask_again_soon(desk: Desk) -> None:
    reporter = Reporter(desk, told, lambda: None)
    assert await reporter._tell(desk, last=False) < REFUSED_SECONDS
    desk.answer = RefusedError("AccessDeniedException", "no")
    assert await reporter._tell(desk, last=False) == REFUSED_SECONDS


async def test_without_a_desk_nobody_is_told() -> None:
    reporter = Reporter(None, told, lambda: None)
    reporter.start()
    reporter.soon()
    await reporter.close()


def test_only_a_server_of_encola_has_a_desk() -> None:
    assert SqsTransport("aws", "eu-west-1").desk() is None
    assert SqsTransport("http://127.0.0.1:9").desk() is None  # nobody has said yet who it is


# Real workers, in this loop -----------------------------------------------------------------------------


class Office:
    """The server's list, as people see it."""

    def __init__(self, url: str, app: encola.App) -> None:
        self._sqs = client(url, **KEYS)
        self._app = app.name

    def workers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = call(self._sqs, "List", {}, of="EncolaWorkers")["Workers"]
        return [one for one in found if one["app"] == self._app]

    async def seen(self, condition: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
        """The one worker, as soon as it is as the test wishes."""

        async def look() -> list[dict[str, Any]]:
            return await asyncio.to_thread(self.workers)

        while True:
            found = await look()
            if len(found) == 1 and condition(found[0]):
                return found[0]
            assert len(found) <= 1, found
            await asyncio.sleep(0.01)

    async def stop(self, worker: str) -> None:
        await asyncio.to_thread(call, self._sqs, "Stop", {"Worker": worker}, of="EncolaWorkers")


@pytest.fixture
def office(house: EncolaServer, app: encola.App) -> Office:
    return Office(house.url, app)


async def test_a_worker_is_listed_with_the_job_that_it_runs(app: encola.App, queue: str, office: Office) -> None:
    go_on = asyncio.Event()

    @app.task(queue=queue, key="n{number}")
    async def wait(number: int) -> int:
        await go_on.wait()
        return number

    async with working(app, concurrency=3, report_seconds=0.02) as worker:
        idle = await office.seen(lambda one: True, "the worker")
        assert (idle["id"], idle["name"], idle["state"]) == (worker.id, worker.name, "running")
        assert (idle["slots"], idle["busy"], idle["running"]) == (3, 0, [])
        assert idle["queues"] == [{"queue": queue, "slots": 3, "busy": 0}]
        job = await asyncio.to_thread(wait.send, 7)
        busy = await office.seen(lambda one: one["running"], "the job")
        (running,) = busy["running"]
        assert (running["task"], running["queue"], running["attempt"]) == ("wait", queue, 1)
        assert running["key"] == f"{app.name}/{job.id}"
        assert idle["started_at"] <= running["since"] <= busy["at"]
        assert (busy["busy"], busy["queues"]) == (1, [{"queue": queue, "slots": 3, "busy": 1}])
        go_on.set()
        done = await office.seen(lambda one: one["done"] == 1 and not one["running"], "the end")
        assert done["last_poll_at"] > 0
    assert office.workers() == []  # it has said that it left


async def test_what_came_of_attempts_is_counted(app: encola.App, queue: str, office: Office, queues: Queues) -> None:
    @app.task(queue=queue, retries=1, backoff=encola.Backoff(base=0.01, cap=0.01))
    def fail() -> None:
        raise ValueError

    @app.task(queue=queue, track=False)
    def work() -> None: ...

    async with working(app, report_seconds=0.02):
        await asyncio.to_thread(fail.send)
        await asyncio.to_thread(work.send)
        await asyncio.to_thread(queues.send, queue, "no message of ours")
        await office.seen(lambda one: (one["done"], one["failed"], one["retried"]) == (1, 2, 1), "all three")


async def test_a_batch_is_one_job_with_a_slot_of_its_own(app: encola.App, queue: str, office: Office) -> None:
    go_on = asyncio.Event()

    @app.batch(queue=queue, size=3, window=5)
    async def take(items: list[int]) -> None:
        await go_on.wait()

    async with working(app, report_seconds=0.02):
        await asyncio.to_thread(take.send_many, [{"item": number} for number in range(3)])
        busy = await office.seen(lambda one: one["running"], "the batch")
        (running,) = busy["running"]
        assert (running["task"], running["messages"], running["key"]) == ("take", 3, "")
        assert busy["queues"] == [{"queue": queue, "slots": 1, "busy": 1}]
        assert (busy["slots"], busy["busy"]) == (1, 1)
        go_on.set()
        await office.seen(lambda one: one["done"] == 3, "its end")


async def test_queues_of_one_worker_share_what_is_free(app: encola.App, queue: str, office: Office) -> None:
    go_on = asyncio.Event()
    app.queue(f"{queue}-b", priorities=True)

    @app.task(queue=f"{queue}-a")
    async def wait() -> None:
        await go_on.wait()

    @app.task(queue=f"{queue}-b")
    async def work() -> None: ...

    async with working(app, concurrency=4, report_seconds=0.02):
        await asyncio.to_thread(wait.send)
        busy = await office.seen(lambda one: one["running"], "the job")
        assert {one["queue"]: (one["slots"], one["busy"]) for one in busy["queues"]} == {
            f"{queue}-a": (4, 1),
            f"{queue}-b-high": (3, 0),
            f"{queue}-b": (3, 0),
            f"{queue}-b-low": (3, 0),
        }
        assert busy["slots"] == 4
        go_on.set()


async def test_of_many_jobs_those_that_run_the_longest_are_told(app: encola.App, queue: str, office: Office) -> None:
    go_on = asyncio.Event()

    @app.task(queue=queue, track=False)
    async def wait(number: int) -> None:
        await go_on.wait()

    async with working(app, concurrency=100, report_seconds=0.02) as worker:
        await asyncio.to_thread(wait.send, 0)
        await until(lambda: worker.slots.busy == 1, "the first")
        oldest = (await office.seen(lambda one: one["busy"] == 1, "the first"))["running"][0]["message"]
        await asyncio.to_thread(wait.send_many, [{"number": number} for number in range(RUNNING_MAX + 10)])
        busy = await office.seen(lambda one: one["busy"] == RUNNING_MAX + 11, "all of them")
        assert len(busy["running"]) == RUNNING_MAX
        assert busy["running"][0]["message"] == oldest
        go_on.set()


async def test_a_worker_that_is_asked_to_stop_ends_its_job_and_returns(
    app: encola.App, queue: str, office: Office
) -> None:
    go_on = asyncio.Event()

    @app.task(queue=queue)
    async def wait() -> str:
        await go_on.wait()
        return "done"

    worker = Worker(app, grace=30, report_seconds=0.02)
    run = asyncio.create_task(worker.run())
    job = await asyncio.to_thread(wait.send)
    await office.seen(lambda one: one["running"], "the job")
    await office.stop(worker.id)
    seen = await office.seen(lambda one: one["state"] == "stopping", "a worker that stops")
    assert (seen["stop_asked"], len(seen["running"])) == (True, 1)
    go_on.set()
    await asyncio.wait_for(run, 30)
    assert worker.dismissed
    assert await asyncio.to_thread(job.result, 10) == "done"
    assert office.workers() == []


async def test_that_a_worker_stops_is_told_at_once(app: encola.App, queue: str, office: Office) -> None:
    go_on = asyncio.Event()

    @app.task(queue=queue)
    async def wait() -> None:
        await go_on.wait()

    async with working(app, grace=30, report_seconds=NEVER) as worker:
        await office.seen(lambda one: one["state"] == "running", "the worker")
        await asyncio.to_thread(wait.send)
        await until(lambda: worker.slots.busy == 1, "the job")
        worker.stop()
        seen = await office.seen(lambda one: one["state"] == "stopping", "a worker that stops")
        assert [one["task"] for one in seen["running"]] == ["wait"]
        go_on.set()


async def test_a_report_costs_an_idle_worker_less_than_some_empty_polls(app: encola.App, queue: str) -> None:
    """Both in this process, in turns: the processor's time of a report, and of a receive that finds nothing."""

    @app.task(queue=queue)
    def work() -> None: ...

    async with working(app, report_seconds=NEVER) as worker:
        transport = app._connections[asyncio.get_running_loop()].transport
        desk = transport.desk()
        assert desk is not None
        spent = {"report": 0.0, "poll": 0.0}
        for _ in range(10):
            begun = time.thread_time()
            for _ in range(10):
                await desk.report(report_of(worker, "running"))
            spent["report"] += time.thread_time() - begun
            begun = time.thread_time()
            for _ in range(10):
                await transport.receive(queue, 1, 0, 30)
            spent["poll"] += time.thread_time() - begun
        assert spent["report"] < 5 * spent["poll"], spent
