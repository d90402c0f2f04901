"""A whole worker on a service that is not encola (moto), with each store of records there is, and with none."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import encola
from encola.consumers import fetcher, gate
from encola.consumers.connection import JobsFactory
from encola.consumers.errors import ConfigurationError, NoRecordsError
from encola.consumers.sqs import copies
from encola.consumers.stores.dynamodb import DynamoDbJobStore
from encola.consumers.stores.postgres import PostgresJobStore
from encola.consumers.stores.sqlite import SqliteJobStore

from ..process import client
from .bench import Queues, until, working
from .sqs.services import moto

pytestmark = pytest.mark.clients

AT_ONCE = encola.Backoff(base=0.0)
SECONDS_MAX = 30.0
STORES = ("dynamodb", "postgres", "sqlite")
_numbers = itertools.count(1)

MakeApp = Callable[..., encola.App]


class ForeignQueues(Queues):
    """moto takes any key."""

    def __init__(self, url: str) -> None:
        self.sqs = client(url, retries=3)


@pytest.fixture(scope="session")
def foreign_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("foreign") / "log") as url:
        yield url


@pytest.fixture(autouse=True)
def _short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long poll of moto does not see that a group is free again, and takes messages when its client has gone."""
    monkeypatch.setattr(fetcher, "WAIT_SECONDS", 1.0)
    monkeypatch.setattr(gate, "SLOT_SECONDS_MAX", 0.3)


@pytest.fixture
def queues(foreign_url: str) -> Queues:
    return ForeignQueues(foreign_url)


@pytest.fixture
def queue() -> str:
    return f"foreign{next(_numbers)}"


@pytest.fixture(params=STORES)
async def jobs(request: pytest.FixtureRequest, tmp_path: Path, foreign_url: str) -> AsyncIterator[JobsFactory]:
    """What makes each store of records that does not need an encola server."""
    if request.param == "sqlite":
        yield lambda: SqliteJobStore(tmp_path / "jobs.db")
    elif request.param == "postgres":
        conninfo = request.getfixturevalue("postgres").new_database()
        yield lambda: PostgresJobStore(conninfo)
    else:
        table = f"jobs-{uuid.uuid4().hex[:8]}"
        first = DynamoDbJobStore(table, endpoint=foreign_url, region="us-east-1")
        await first.create_table()
        await first.close()
        yield lambda: DynamoDbJobStore(table, endpoint=foreign_url, region="us-east-1")


@pytest.fixture
def make(foreign_url: str, queue: str, make_app: MakeApp) -> MakeApp:
    """Makes applications on the foreign service, which may make their queues."""

    def on_foreign(**options: Any) -> encola.App:
        return make_app(**{"server": foreign_url, "create_queues": True, **options})

    return on_foreign


@pytest.fixture
def file_jobs(tmp_path: Path) -> JobsFactory:
    """The store of the tests that are not about stores."""
    return lambda: SqliteJobStore(tmp_path / "jobs.db")


# With each store ---------------------------------------------------------------------------------------


async def test_jobs_run_and_fail_and_are_tried_again_as_on_a_server_of_ours(
    make: MakeApp, jobs: JobsFactory, queue: str, queues: Queues
) -> None:
    app = make(jobs=jobs)
    attempts: list[int] = []

    @app.task(queue=queue, backoff=AT_ONCE)
    def flaky(n: int) -> int:
        attempts.append(encola.current_job().attempt)
        if len(attempts) < 3:
            raise RuntimeError("not yet")
        return n + 1

    @app.task(queue=queue)
    async def hopeless(n: int) -> None:
        raise encola.Permanent(f"no such number: {n}")

    async with working(app):
        good, bad = await flaky.asend(1), await hopeless.asend(2)
        assert await good.aresult(SECONDS_MAX) == 2
        with pytest.raises(encola.JobDeadError, match="no such number: 2"):
            await bad.aresult(SECONDS_MAX)
        await until(lambda: queues.held(queue) == 0, "an empty queue")
    assert attempts == [1, 2, 3]
    assert [error.message for error in await good.aerrors()] == ["not yet", "not yet"]
    assert queues.dead(queue) == ("permanent", "Permanent: no such number: 2")


async def test_a_key_is_one_job_also_when_its_dead_letter_comes_back(
    make: MakeApp, jobs: JobsFactory, queue: str, queues: Queues
) -> None:
    app = make(jobs=jobs)
    ran: list[str] = []
    broken = True

    @app.task(queue=queue, key="report/{month}", retries=0)
    def report(month: str) -> str:
        ran.append(month)
        if broken:
            raise RuntimeError("no paper")
        return f"pages of {month}"

    async with working(app):
        first = await report.asend("2026-10")
        with pytest.raises(encola.JobDeadError):
            await first.aresult(SECONDS_MAX)
        (message,) = await asyncio.to_thread(queues.receive, f"{queue}-dead", 20)  # the loop is the worker's
        broken = False
        queues.send(queue, message["Body"], MessageAttributes=message["MessageAttributes"])  # as a redrive does
        await until(lambda: len(ran) == 2, "the second run")
        assert await first.aresult(SECONDS_MAX) == "pages of 2026-10"
        again = await report.asend("2026-10")
        await until(lambda: queues.held(queue) == 0, "an empty queue")
    assert again.id == first.id
    assert ran == ["2026-10", "2026-10"]


async def test_limits_hold_over_two_workers(make: MakeApp, jobs: JobsFactory, queue: str, queues: Queues) -> None:
    running: list[str] = []
    most = 0
    done: list[int] = []

    def application() -> encola.App:
        app = make(jobs=jobs)

        @app.task(queue=queue, limit_key="shop", limit_per_key=1, rate="20/s")
        async def visit(n: int) -> None:
            nonlocal most
            running.append("one")
            most = max(most, len(running))
            await asyncio.sleep(0.02)
            running.pop()
            done.append(n)

        return app

    first, second = application(), application()
    async with working(first), working(second):
        await first.tasks["visit"].asend_many([(n,) for n in range(4)])
        await until(lambda: len(done) >= 4, "all visits", 60)
        await until(lambda: queues.held(queue) == 0, "an empty queue")
    assert (sorted(done), most) == (list(range(4)), 1)


async def test_a_schedule_fires_once_over_two_workers(make: MakeApp, jobs: JobsFactory, queue: str) -> None:
    ran: list[str] = []

    def application() -> encola.App:
        app = make(jobs=jobs)

        @app.cron("0 0 * * *", catch_up=86_400.0)  # the last midnight is made up for
        @app.task(queue=queue)
        async def midnight() -> None:
            ran.append(encola.current_job().id)

        @app.task(queue=queue)
        async def after() -> str:
            return "after"

        return app

    first, second = application(), application()
    async with working(first), working(second):
        await until(lambda: ran, "the schedule")
        job = await first.tasks["after"].asend()
        assert await job.aresult(SECONDS_MAX) == "after"
    assert len(ran) == 1


# Without records ---------------------------------------------------------------------------------------


async def test_without_records_tasks_run_and_fail_all_the_same(make: MakeApp, queue: str, queues: Queues) -> None:
    app = make(jobs=False)
    attempts: list[int] = []

    @app.task(queue=queue, backoff=AT_ONCE, retries=1)
    def broken() -> None:
        attempts.append(encola.current_job().attempt)
        raise RuntimeError("for good")

    async with working(app):
        job = await broken.asend()
        await until(lambda: queues.counts(f"{queue}-dead")[0] == 1, "the dead letter")
    assert attempts == [1, 2]
    assert queues.dead(queue) == ("retries-exhausted", "RuntimeError: for good")
    with pytest.raises(NoRecordsError):
        await job.astatus()


async def test_a_worker_whose_tasks_need_records_does_not_begin_without_a_store(make: MakeApp, queue: str) -> None:
    """Neither ``jobs=False`` nor a store was said, and the service keeps none."""
    app = make()
    app.task(queue=queue, name="tracked")(lambda: None)
    with pytest.raises(ConfigurationError, match="the task tracked needs a store of records"):
        async with working(app):
            pass


@pytest.mark.parametrize("options", [{"rate": "1/s"}, {"limit_key": "shop", "limit_per_key": 1}], ids=str)
async def test_limits_need_records_too(make: MakeApp, queue: str, options: dict[str, Any]) -> None:
    app = make(jobs=False)
    app.task(queue=queue, name="limited", **options)(lambda: None)
    with pytest.raises(ConfigurationError, match="the task limited needs a store of records"):
        async with working(app):
            pass


# Delays and order --------------------------------------------------------------------------------------


async def test_a_long_delay_is_made_of_hops_that_count_no_attempt(
    make: MakeApp, file_jobs: JobsFactory, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "DELAY_SECONDS_MAX", 1)
    hops: list[int] = []
    postponed = copies.postponed

    def noted(*arguments: Any) -> Any:
        hops.append(1)
        return postponed(*arguments)

    monkeypatch.setattr(copies, "postponed", noted)
    app = make(jobs=file_jobs)
    times: list[tuple[float, int]] = []

    @app.task(queue=queue)
    async def later() -> None:
        times.append((asyncio.get_running_loop().time(), encola.current_job().attempt))

    async with working(app):
        began = asyncio.get_running_loop().time()
        job = await later.options(delay=4).asend()
        await job.aresult(SECONDS_MAX)
    ((at, attempt),) = times
    assert at - began >= 3.9
    assert attempt == 1
    assert hops


async def test_a_fifo_group_stays_in_order_and_who_waits_for_another_loses_no_attempt(
    make: MakeApp, file_jobs: JobsFactory, queue: str, queues: Queues
) -> None:
    """What is given back behind a failed message counts as received there: the record knows that it never began."""
    queue = f"{queue}.fifo"
    app = make(jobs=file_jobs)
    ran: list[tuple[int, int]] = []

    @app.task(queue=queue, group="one", retries=1, backoff=AT_ONCE)
    async def step(n: int) -> int:
        ran.append((n, encola.current_job().attempt))
        if n == 0:
            raise RuntimeError("for good")
        if len([one for one in ran if one[0] == 1]) == 1:
            raise RuntimeError("once")
        return n

    async with working(app):
        jobs = await step.asend_many([(0,), (1,), (2,)])
        results = [await job.aresult(SECONDS_MAX) for job in jobs[1:]]
        await until(lambda: queues.held(queue) == 0, "an empty queue")
    assert results == [1, 2]
    assert ran == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1)]


async def test_a_worker_that_stops_gives_back_what_runs_uncounted(
    make: MakeApp, file_jobs: JobsFactory, queue: str, queues: Queues
) -> None:
    app = make(jobs=file_jobs, lease=3.0)
    begun: list[int] = []
    go_on = asyncio.Event()

    @app.task(queue=queue, retries=0)
    async def long(n: int) -> str:
        begun.append(encola.current_job().attempt)
        await go_on.wait()
        return "done"

    async with working(app, grace=0.0):
        job = await long.asend(1)
        await until(lambda: begun, "the job")
    assert await job.astatus() == "queued"
    go_on.set()
    async with working(app):
        assert await job.aresult(SECONDS_MAX) == "done"
        await until(lambda: queues.held(queue) == 0, "an empty queue")
    assert begun == [1, 1]


# Queues ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("create_queues", [None, False])
async def test_a_missing_queue_is_told_of_in_one_clear_line(
    make: MakeApp, queue: str, create_queues: bool | None
) -> None:
    app = make(jobs=False, create_queues=create_queues)
    app.task(queue=queue, name="nothing")(lambda: None)
    with pytest.raises(ConfigurationError, match=f"the queue {queue} is missing: create it"):
        async with working(app):
            pass


async def test_missing_queues_are_made_with_their_dead_letter_queues(make: MakeApp, queue: str, queues: Queues) -> None:
    app = make(jobs=False)
    app.task(queue=queue, name="plain")(lambda: None)
    app.task(queue=f"{queue}.fifo", name="ordered")(lambda: None)
    async with working(app):
        pass
    for name, dead in ((queue, f"{queue}-dead"), (f"{queue}.fifo", f"{queue}-dead.fifo")):
        found = queues.sqs.get_queue_attributes(QueueUrl=queues.url(name), AttributeNames=["All"])["Attributes"]
        assert found["RedrivePolicy"].partition(":" + dead)[1]
        assert queues.held(dead) == 0


# AWS itself --------------------------------------------------------------------------------------------


def test_an_application_on_aws_is_declared_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    app = encola.App("shop", server="aws", region="eu-west-1")
    app.task(queue="orders", name="order")(lambda: None).prepare((), {})
    app.connect()


async def test_endpoint_region_and_keys_of_aws_are_found_as_its_own_tools_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile office]\nregion = eu-central-1\n")
    (tmp_path / "credentials").write_text("[office]\naws_access_key_id = AKID\naws_secret_access_key = secret\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    app = encola.App("shop", server="aws", profile="office", jobs=False)
    transport: Any = app.connect().transport
    await transport.open()
    try:
        place = transport.client._place
        assert (place.address.url, place.region) == ("https://sqs.eu-central-1.amazonaws.com/", "eu-central-1")
        assert (await transport.client._keys.current()).access_key == "AKID"
        assert transport.client.is_aws
        assert not transport.is_encola
    finally:
        await transport.close()
