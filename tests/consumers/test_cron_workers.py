"""Schedules with several workers: each time is sent once, whoever sends it and whoever dies over it."""

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import encola
from encola.consumers import clockwork
from encola.consumers.connection import Connection
from encola.consumers.cron import Schedule, tick
from encola.consumers.transport import TransportError
from encola.engine import records

from .bench import Queues, until, working

MakeApp = Callable[..., encola.App]
WORKERS = 3
STEP = 0.5
DAY = 86_400.0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clockwork, "PAUSE_SECONDS", 0.05)


def schedule(app: encola.App, queue: str, ran: list[str], *, catch_up: float = DAY) -> Any:
    """A task whose last time was missed; each run tells its job."""

    @app.cron("0 0 * * *", catch_up=catch_up)
    @app.task(queue=queue, name="ring")
    async def ring() -> None:
        ran.append(encola.current_job().id)

    return ring


async def alone(queues: Queues, queue: str) -> None:
    """Nothing is on its way any more."""
    await until(lambda: queues.held(queue) == 0, "an empty queue")


async def test_a_time_that_all_missed_is_sent_once(make_app: MakeApp, queue: str, queues: Queues) -> None:
    ran: list[str] = []
    apps = [make_app() for _ in range(WORKERS)]
    for app in apps:
        schedule(app, queue, ran)
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(working(app))
        await until(lambda: ran, "the run")
        await alone(queues, queue)
    async with working(apps[0]):  # and one that comes later sees that it was
        await alone(queues, queue)
        await asyncio.sleep(0.2)
    assert ran == [f"ring/{datetime.now(UTC):%Y%m%d}T0000Z"]


async def test_a_time_that_was_missed_too_long_ago_is_left_out(make_app: MakeApp, queue: str, queues: Queues) -> None:
    ran: list[str] = []
    app = make_app()
    schedule(app, queue, ran, catch_up=0)
    async with working(app):
        await asyncio.sleep(0.2)
        await alone(queues, queue)
    assert ran == []


async def test_each_time_is_sent_once_while_workers_come_and_go(
    make_app: MakeApp, queue: str, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times are half a second apart here, and named to the microsecond."""

    def next_after(self: Schedule, moment: datetime) -> datetime:
        return datetime.fromtimestamp((moment.timestamp() // STEP + 1) * STEP, UTC)

    monkeypatch.setattr(Schedule, "next_after", next_after)
    monkeypatch.setattr(clockwork, "tick", lambda time: f"{time.timestamp():.1f}")
    ran: list[str] = []
    apps = [make_app() for _ in range(WORKERS)]
    for app in apps:
        schedule(app, queue, ran, catch_up=2.0)
    async with AsyncExitStack() as stack:
        for app in apps[:2]:
            await stack.enter_async_context(working(app))
        await until(lambda: len(ran) >= 3, "some times")
        async with working(apps[2]):
            await until(lambda: len(ran) >= 6, "more times")
        await until(lambda: len(ran) >= 8, "and more")
        await alone(queues, queue)
    times = sorted(float(job.partition("/")[2]) for job in ran)
    assert len(set(ran)) == len(ran)
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [STEP] * (len(times) - 1)


async def _with_records(app: encola.App, *commands: records.Command) -> list[records.Reply]:
    async def use(connection: Connection) -> list[records.Reply]:
        return [await connection.command(command) for command in commands]

    return await app.connected(use)


def _claim(app: encola.App, queue: str, lease_ms: int) -> records.Claim:
    """As a worker claims the time of today that then dies."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    key = app.record_key(f"cron/ring/{tick(midnight)}")
    return records.Claim(key, "a worker that died", "cron", queue, "", lease_ms, int(DAY * 1000))


async def test_if_the_one_who_claimed_a_time_dies_before_it_sends_another_sends_it(
    make_app: MakeApp, queue: str, queues: Queues
) -> None:
    ran: list[str] = []
    apps = [make_app() for _ in range(WORKERS)]
    for app in apps:
        schedule(app, queue, ran)
    began = time.monotonic()
    await _with_records(apps[0], _claim(apps[0], queue, 1500))
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(working(app))
        await until(lambda: ran, "the run")
        assert time.monotonic() - began >= 1.5
        await alone(queues, queue)
    assert len(ran) == 1


async def test_if_it_dies_after_it_has_sent_the_second_message_makes_no_second_run(
    make_app: MakeApp, queue: str, queues: Queues
) -> None:
    ran: list[str] = []
    apps = [make_app() for _ in range(WORKERS)]
    rings = [schedule(app, queue, ran) for app in apps]
    async with working(apps[0], queues=[queue]):
        await until(lambda: ran, "the run, of what was sent")
    claim = _claim(apps[0], queue, 300)
    # As if its end had not been told: the record of the time is gone, and its claim is held by who died.
    await _with_records(apps[0], records.Forget(claim.key), claim)
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(working(app))

        async def sent_again() -> bool:
            (reply,) = await _with_records(
                apps[0], records.Claim(claim.key, "x", "cron", queue, "", 1, int(DAY * 1000))
            )
            return isinstance(reply, records.Replay)

        deadline = time.monotonic() + 30
        while not await sent_again():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        await alone(queues, queue)
    assert len(ran) == 1
    assert len(rings) == WORKERS


async def test_a_time_is_sent_in_the_end_also_when_the_service_fails_for_a_while(
    make_app: MakeApp, queue: str, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    app = make_app()
    schedule(app, queue, ran)
    failures = iter([True, True, False])
    send = Connection.send

    async def shaky(self: Connection, *arguments: Any) -> str:
        if next(failures, False):
            raise TransportError("not now")
        return await send(self, *arguments)

    monkeypatch.setattr(Connection, "send", shaky)
    async with working(app):
        await until(lambda: ran, "the run")
        await alone(queues, queue)
    assert len(ran) == 1


async def test_two_schedules_of_one_task_that_meet_at_one_time_are_one_run(
    make_app: MakeApp, queue: str, queues: Queues
) -> None:
    app = make_app()
    ran: list[str] = []
    ring = schedule(app, queue, ran)
    app.cron("0 0,12 * * *", catch_up=(datetime.now(UTC) + timedelta(seconds=5)).hour * 3600.0 + 3600)(ring)
    async with working(app):
        await until(lambda: ran, "the run")
        await alone(queues, queue)
    assert len(set(ran)) == len(ran)
