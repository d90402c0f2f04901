"""Fetching: for free slots only, from all queues in turn, in the order that was asked for, whatever the line does."""

import asyncio
import json
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import encola
from encola.consumers.fetcher import TURN_OF_LOW
from encola.consumers.slots import Slots
from encola.consumers.task import Task
from encola.consumers.transport import Incoming
from encola.testing import EncolaServer

from ..process import ServerProcess
from .bench import Queues, until, working
from .sqs.services import Line
from .watched import Watched


async def made(app: encola.App) -> None:
    """Lets a worker make the queues."""
    async with working(app):
        ...


async def send(queues: Queues, queue: str, task: str, numbers: Sequence[int], **options: str) -> None:
    for number in numbers:
        more = {"MessageDeduplicationId": uuid.uuid4().hex, **options} if queue.endswith(".fifo") else {}
        body = json.dumps({"task": task, "args": {"number": number}})
        await asyncio.to_thread(queues.send, queue, body, **more)


async def counts(queues: Queues, queue: str) -> tuple[int, int, int]:
    return await asyncio.to_thread(queues.counts, queue)


# Slots -----------------------------------------------------------------------------------------------


async def test_a_busy_worker_keeps_nothing_from_an_idle_one(
    make_app: Callable[..., encola.App], queue: str, queues: Queues
) -> None:
    ran: list[tuple[str, int]] = []
    go = asyncio.Event()

    def declare(name: str) -> encola.App:
        app = make_app()

        @app.task(queue=queue)
        async def held(number: int) -> None:
            ran.append((name, number))
            await go.wait()

        return app

    first, second = declare("first"), declare("second")
    async with working(first, concurrency=2):
        await send(queues, queue, "held", range(5))
        await until(lambda: len(ran) == 2, "its slots are taken")
        assert await counts(queues, queue) == (3, 2, 0)
        async with working(second, concurrency=3):
            await until(lambda: len(ran) == 5, "the second has the rest")
            assert [name for name, _ in ran] == ["first"] * 2 + ["second"] * 3
            go.set()


async def test_a_worker_fetches_ahead_only_where_jobs_are_short() -> None:
    slots = Slots(8)
    assert slots.ahead == 0
    for _ in range(500):
        slots.ran(0.01)
    assert slots.ahead > 0
    for _ in range(5):
        slots.ran(10.0)
    assert slots.ahead == 0


async def test_who_waits_for_slots_stands_in_a_line() -> None:
    slots = Slots(2)
    assert await slots.take(2) == 2
    got: list[str] = []

    async def wait(name: str) -> None:
        got.append(f"{name} {await slots.take(2)}")

    waiting = [asyncio.create_task(wait(name)) for name in ("a", "b", "c")]
    await asyncio.sleep(0)
    waiting[1].cancel()  # who goes away holds up nobody
    slots.give_back(1)
    waiting.append(asyncio.create_task(wait("late")))
    await until(lambda: got == ["a 1"], "the first has one")
    slots.give_back(1)
    slots.give_back(1)
    await until(lambda: got == ["a 1", "c 2"], "the next has both")
    slots.give_back(2)
    await until(lambda: got == ["a 1", "c 2", "late 2"], "and the last")


# Many queues -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "concurrency"), [(3, 1), (5, 2), (12, 40)])
async def test_each_of_many_queues_has_its_turn(app: encola.App, queue: str, count: int, concurrency: int) -> None:
    """Even where there are fewer slots than queues, and most of them are empty."""

    def declare(number: int) -> Task[[], int]:
        @app.task(queue=f"{queue}-{number}", name=f"task{number}")
        async def one() -> int:
            return number

        return one

    tasks = [declare(number) for number in range(count)]
    async with working(app, concurrency=concurrency):
        for _ in range(2):
            jobs = [await task.asend() for task in tasks]
            assert [await job.aresult(30) for job in jobs] == list(range(count))


async def test_a_queue_full_of_work_leaves_slots_to_the_others(app: encola.App, queue: str, queues: Queues) -> None:
    ran: list[str] = []

    @app.task(queue=f"{queue}-full")
    async def common(number: int) -> None:
        ran.append("common")
        await asyncio.sleep(0.02)

    @app.task(queue=f"{queue}-rare")
    async def rare() -> int:
        return len(ran)

    await made(app)
    await send(queues, f"{queue}-full", "common", range(100))
    async with working(app, concurrency=2):
        await until(lambda: ran, "it began")
        before = await (await rare.asend()).aresult(30)
        assert before < 100
        await until(lambda: len(ran) == 100, "all ran")


# Priorities ------------------------------------------------------------------------------------------


class Lanes:
    """An application with priorities, and the order in which its jobs ran, one at a time."""

    def __init__(self, app: encola.App, queue: str) -> None:
        self.ran: list[str] = []
        app.queue(queue, priorities=True)

        @app.task(queue=queue)
        async def note(number: int, lane: str = "") -> None:
            self.ran.append(lane)

        self.task = note
        self.app = app

    async def send(self, lane: Any, count: int) -> None:
        """With a connection of its own: no worker runs yet."""
        await asyncio.to_thread(self.task.options(priority=lane).send_many if count < 0 else self._send, lane, count)

    def _send(self, lane: Any, count: int) -> None:
        for number in range(count):
            self.task.options(priority=lane).send(number, lane)


async def test_the_more_urgent_run_first(app: encola.App, queue: str) -> None:
    lanes = Lanes(app, queue)
    await made(app)
    for lane in ("low", "normal", "high"):
        await lanes.send(lane, 3)
    async with working(app, concurrency=1):
        await until(lambda: len(lanes.ran) == 9, "all ran")
    assert lanes.ran[:3] == ["high"] * 3
    assert set(lanes.ran[3:6]) == {"normal"}


async def test_the_least_urgent_are_not_forgotten(app: encola.App, queue: str) -> None:
    lanes = Lanes(app, queue)
    await made(app)
    await lanes.send("high", 3 * TURN_OF_LOW)
    await lanes.send("low", 1)
    async with working(app, concurrency=1):
        await until(lambda: len(lanes.ran) == 3 * TURN_OF_LOW + 1, "all ran")
    assert lanes.ran.index("low") < 2 * TURN_OF_LOW


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("lane", ["high", "normal", "low"])
async def test_an_idle_worker_waits_on_all_lanes(app: encola.App, queue: str, concurrency: int, lane: Any) -> None:
    lanes = Lanes(app, queue)
    async with working(app, concurrency=concurrency) as worker:
        await until(lambda: worker.liveness.polls or worker._slots._taken, "it polls")
        await (await lanes.task.options(priority=lane).asend(1, lane)).aresult(30)
    assert lanes.ran == [lane]


# Order -----------------------------------------------------------------------------------------------


async def test_jobs_of_one_group_run_in_order_also_after_one_that_failed(
    app: encola.App, queue: str, queues: Queues
) -> None:
    fifo = f"{queue}.fifo"
    ran: list[tuple[str, int]] = []
    failed = False

    @app.task(queue=fifo, backoff=encola.Backoff(base=0.0))
    async def step(number: int) -> None:
        nonlocal failed
        (message,) = encola.current_job().messages
        if message.group == "a" and number == 2 and not failed:
            failed = True
            raise ValueError("not yet")
        ran.append((message.group or "", number))

    await made(app)
    for group in ("a", "b"):
        await send(queues, fifo, "step", range(6), MessageGroupId=group)
    async with working(app, concurrency=8):
        await until(lambda: len(ran) == 12, "all ran")
    for group in ("a", "b"):
        assert [number for one, number in ran if one == group] == list(range(6))
    assert failed


async def test_jobs_of_one_group_run_in_order_also_after_a_worker_gave_them_back(
    app: encola.App, queue: str, queues: Queues
) -> None:
    fifo = f"{queue}.fifo"
    ran: list[int] = []
    began, go = asyncio.Event(), asyncio.Event()

    @app.task(queue=fifo)
    async def step(number: int) -> None:
        began.set()
        await go.wait()
        assert encola.current_job().attempt == 1
        ran.append(number)

    await made(app)
    await send(queues, fifo, "step", range(6), MessageGroupId="a")
    async with working(app, concurrency=8, grace=0):
        await asyncio.wait_for(began.wait(), 30)
    assert ran == []
    assert await counts(queues, fifo) == (6, 0, 0)
    go.set()
    async with working(app, concurrency=8):
        await until(lambda: len(ran) == 6, "all ran")
    assert ran == list(range(6))


async def test_a_stop_in_the_middle_of_polls_leaves_no_message_leased(
    make_app: Callable[..., encola.App], queue: str, queues: Queues
) -> None:
    """Messages come in just when it stops, on every lane: they must not be lent to nobody until a lease is over."""
    ran: list[int] = []
    for round_ in range(20):
        app = make_app()
        app.queue(queue, priorities=True)

        @app.task(queue=queue)
        async def quick(number: int) -> None:
            ran.append(number)

        async with working(app):
            sends = [send(queues, f"{queue}{lane}", "quick", [round_]) for lane in ("-high", "", "-low")]
            sending = asyncio.gather(*sends)
            await asyncio.sleep(0.001 * round_)
        await sending
        leased = [(await counts(queues, f"{queue}{lane}"))[1] for lane in ("-high", "", "-low")]
        assert leased == [0, 0, 0]


# The line --------------------------------------------------------------------------------------------


async def test_a_worker_goes_on_after_its_connections_were_cut(
    make_app: Callable[..., encola.App], queue: str, house: EncolaServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with Line(int(house.url.rpartition(":")[2])) as line:
        app = make_app(server=line.url)

        @app.task(queue=queue)
        async def echo(number: int) -> int:
            return number

        async with working(app):
            for number in range(3):
                assert await (await echo.asend(number)).aresult(30) == number
                line.cut()
    assert "Traceback" not in caplog.text


async def test_a_worker_goes_on_after_its_server_was_restarted_and_its_liveness_tells(
    make_app: Callable[..., encola.App], queue: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ServerProcess(tmp_path) as server:
        server._port = server.port  # it comes back where it was
        app = make_app(server=server.url)

        @app.task(queue=queue)
        async def echo(number: int) -> int:
            return number

        async with working(app) as worker:
            assert await (await echo.asend(1)).aresult(30) == 1
            await asyncio.to_thread(server.kill)
            await until(lambda: "could not be polled, trying again" in caplog.text, "it has noticed")
            silent = worker.liveness.seconds
            await until(lambda: worker.liveness.seconds > silent + 0.3, "nothing is polled")
            silent, polls = worker.liveness.seconds, worker.liveness.polls
            await asyncio.to_thread(server.start)
            assert await (await echo.asend(2)).aresult(30) == 2
            await until(lambda: worker.liveness.polls > polls, "a poll came back")
            assert worker.liveness.seconds < silent


async def test_a_queue_that_is_deleted_and_made_again_is_polled_again(
    app: encola.App, queue: str, queues: Queues, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[int] = []

    @app.task(queue=queue, track=False)
    async def note(number: int) -> None:
        ran.append(number)

    async with working(app):
        url = await asyncio.to_thread(queues.url, queue)
        await asyncio.to_thread(queues.sqs.delete_queue, QueueUrl=url)
        await until(lambda: f"the queue {queue} is missing, trying again" in caplog.text, "it is told")
        await asyncio.to_thread(queues.sqs.create_queue, QueueName=queue)
        await send(queues, queue, "note", [1])
        await until(lambda: ran == [1], "it ran")


async def test_an_error_that_nobody_foresaw_does_not_end_polling(
    make_app: Callable[..., encola.App], queue: str, house: EncolaServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Watched):
        odd = 2

        async def receive(self, queue: str, limit: int, wait: float, lease: float) -> Sequence[Incoming]:
            if self.odd:
                self.odd -= 1
                raise RuntimeError("nobody foresaw this")
            return await super().receive(queue, limit, wait, lease)

    app = make_app(transport=lambda: Odd(house.url))

    @app.task(queue=queue)
    async def echo(number: int) -> int:
        return number

    async with working(app):
        assert await (await echo.asend(1)).aresult(30) == 1
    assert "nobody foresaw this" in caplog.text
    assert "Traceback" in caplog.text
