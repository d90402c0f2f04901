"""The heartbeat: what a worker has stays its own, and what it lost it does not touch any more."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

import encola
from encola.consumers.errors import InterruptedTaskError
from encola.consumers.worker import Worker
from encola.engine import records
from encola.testing import EncolaServer

from .bench import Queues, until, working
from .watched import Watched

LEASE = 1.0


@pytest.fixture
def watched(house: EncolaServer) -> Watched:
    return Watched(house.url)


@pytest.fixture
def app(make_app: Callable[..., encola.App], watched: Watched) -> encola.App:
    return make_app(lease=LEASE, transport=lambda: watched)


def receipt_of(worker: Worker) -> str:
    (receipt,) = [hold.message.receipt for hold in worker._keeper.holds]
    return receipt


# Kept ------------------------------------------------------------------------------------------------


async def test_a_job_that_takes_three_leases_is_delivered_once(app: encola.App, queue: str, watched: Watched) -> None:
    runs = 0

    @app.task(queue=queue, key="long")
    async def long() -> str:
        nonlocal runs
        runs += 1
        await asyncio.sleep(3 * LEASE)
        return "made"

    async with working(app) as worker:
        job = await long.asend()
        assert await job.aresult(30) == "made"
        await until(lambda: not worker._keeper.holds, "it is settled")
        record = await job.arecord()
    assert runs == 1
    assert len(watched.asked("received")) == 1
    assert len(watched.asked("extend")) >= 4
    assert record is not None
    assert (record.fence, record.attempts) == (1, 1)


async def test_a_message_for_which_a_poll_waited_longer_than_a_lease_is_not_taken_for_lost(
    app: encola.App, queue: str, watched: Watched
) -> None:
    """When its lease began is not known: between the beginning of the poll and its end."""

    @app.task(queue=queue)
    async def short() -> str:
        await asyncio.sleep(LEASE / 2)
        return "made"

    async with working(app):
        job = await short.options(delay=2 * LEASE).asend()
        assert await job.aresult(30) == "made"
    assert len(watched.asked("received")) == 1


async def test_jobs_that_wait_for_their_turn_keep_their_leases(
    make_app: Callable[..., encola.App], queue: str, watched: Watched
) -> None:
    """On a FIFO queue: the second and third of a group wait in the worker while the first runs for three leases."""
    fifo = f"{queue}.fifo"
    app = make_app(lease=LEASE, transport=lambda: watched)
    ran: list[int] = []

    @app.task(queue=fifo, group="one")
    async def step(number: int) -> None:
        if number == 0:
            await asyncio.sleep(3 * LEASE)
        ran.append(number)

    async with working(app):
        ...  # makes the queue
    watched.calls.clear()
    connection = app.connect()
    await connection.open()
    app.use(connection)
    await step.asend_many([(number,) for number in range(3)])
    app.leave()
    async with working(app):
        await until(lambda: ran == [0, 1, 2], "all ran in order")
        await until(lambda: len(watched.asked("delete")) == 3, "all are done")
    assert len(watched.asked("received")) == 3
    extended = set(watched.asked("extend"))
    assert extended == set(watched.asked("received"))


async def test_what_waits_in_a_worker_that_stops_is_kept_until_it_is_given_back(
    make_app: Callable[..., encola.App], queue: str, queues: Queues, watched: Watched
) -> None:
    """The first of its group may still end, within the grace period: for three leases the others wait for that."""
    fifo = f"{queue}.fifo"
    app = make_app(lease=LEASE, transport=lambda: watched)
    began = asyncio.Event()

    @app.task(queue=fifo, group="one")
    async def step(number: int) -> None:
        began.set()
        await asyncio.sleep(3 * LEASE)

    async with working(app):
        ...
    for number in range(2):
        body = f'{{"task": "step", "args": {{"number": {number}}}}}'
        await asyncio.to_thread(
            queues.send, fifo, body, MessageGroupId="one", MessageDeduplicationId=f"{queue}{number}"
        )
    async with working(app, grace=30):
        await asyncio.wait_for(began.wait(), 30)
        await until(lambda: len(watched.asked("received")) == 2, "both are here")
    (left,) = await asyncio.to_thread(queues.receive, fifo)
    assert left["Attributes"]["ApproximateReceiveCount"] == "1"
    assert [pause for _, pause in watched.asked("release")] == [0.0]


# Lost ------------------------------------------------------------------------------------------------


class Losing:
    """A task that waits, and how it ended. ``stubborn`` ones catch what stops them, and answer all the same."""

    def __init__(self, app: encola.App, queue: str, kind: str) -> None:
        self.ended = ""
        self.began = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def on_loop() -> str:
            self.began.set()
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                self.ended = "cancelled"
                if kind == "stubborn":
                    return "late"
                if kind == "failing":
                    raise ValueError("late") from None
                raise
            return "never"

        def in_thread() -> str:
            loop.call_soon_threadsafe(self.began.set)
            try:
                while True:
                    time.sleep(0.01)
            except InterruptedTaskError:
                self.ended = "interrupted"
                if kind == "stubborn thread":
                    return "late"
                raise

        self.task = app.task(queue=queue, name="waits", key="only")(in_thread if "thread" in kind else on_loop)


KINDS = ["async", "stubborn", "failing", "thread", "stubborn thread"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_that_somebody_else_took_stops_its_handler_and_late_results_change_nothing(
    app: encola.App, queue: str, queues: Queues, watched: Watched, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    losing = Losing(app, queue, kind)
    async with working(app, concurrency=1) as worker:  # which does not poll meanwhile
        job = await losing.task.asend()
        await asyncio.wait_for(losing.began.wait(), 30)
        url = await asyncio.to_thread(queues.url, queue)
        thief = await asyncio.to_thread(_steal, queues, url, receipt_of(worker))
        await until(lambda: losing.ended, "the handler is stopped")
        await until(lambda: not worker._keeper.holds, "it is let go")
        record = await job.arecord()
        assert record is not None
        assert (record.state, record.errors) == ("running", ())  # until its lease is over
        assert watched.asked("delete") == watched.asked("retry") == watched.asked("reject") == []
        # The thief's lease holds.
        await asyncio.to_thread(queues.sqs.delete_message, QueueUrl=url, ReceiptHandle=thief)
        assert await asyncio.to_thread(queues.held, queue) == 0
    assert losing.ended == ("interrupted" if "thread" in kind else "cancelled")
    assert "was lost" in caplog.text


def _steal(queues: Queues, url: str, receipt: str) -> str:
    """Somebody makes the message visible with the worker's own receipt, and takes it."""
    queues.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)
    (found,) = queues.sqs.receive_message(QueueUrl=url, VisibilityTimeout=60)["Messages"]
    return str(found["ReceiptHandle"])


async def test_a_message_that_was_deleted_stops_its_handler(
    app: encola.App, queue: str, queues: Queues, watched: Watched
) -> None:
    losing = Losing(app, queue, "async")
    async with working(app) as worker:
        await losing.task.asend()
        await asyncio.wait_for(losing.began.wait(), 30)
        url = await asyncio.to_thread(queues.url, queue)
        receipt = receipt_of(worker)
        await asyncio.to_thread(queues.sqs.delete_message, QueueUrl=url, ReceiptHandle=receipt)
        await until(lambda: losing.ended, "the handler is stopped")
    assert watched.asked("delete") == []


async def test_a_purged_queue_stops_what_runs(app: encola.App, queue: str, queues: Queues) -> None:
    losing = Losing(app, queue, "thread")
    async with working(app):
        await losing.task.asend()
        await asyncio.wait_for(losing.began.wait(), 30)
        url = await asyncio.to_thread(queues.url, queue)
        await asyncio.to_thread(queues.sqs.purge_queue, QueueUrl=url)
        await until(lambda: losing.ended, "the handler is stopped")


async def test_a_lease_that_could_not_be_renewed_in_its_time_is_lost(
    app: encola.App, queue: str, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the server has given the message to somebody else is not known: the worker must think so."""
    losing = Losing(app, queue, "async")
    async with working(app):
        await losing.task.asend()
        await asyncio.wait_for(losing.began.wait(), 30)
        watched.broken |= {"extend"}
        await until(lambda: losing.ended, "the handler is stopped")
        watched.broken.clear()
    assert "leases could not be renewed, trying again: the line is cut" in caplog.text
    assert "ended: the service was not reached" in caplog.text


async def test_a_renewal_that_fails_once_is_tried_again_before_the_lease_is_over(
    app: encola.App, queue: str, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(queue=queue)
    async def long() -> str:
        watched.broken |= {"extend"}
        await until(lambda: "leases could not be renewed" in caplog.text, "a renewal failed")
        watched.broken.clear()
        await asyncio.sleep(2 * LEASE)
        return "made"

    async with working(app):
        assert await (await long.asend()).aresult(30) == "made"
    assert len(watched.asked("received")) == 1


@pytest.mark.parametrize("kind", ["async", "stubborn", "stubborn thread"])
async def test_a_record_that_another_worker_has_stops_the_handler_though_the_message_is_ours(
    app: encola.App, queue: str, watched: Watched, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    losing = Losing(app, queue, kind)
    async with working(app) as worker:
        job = await losing.task.asend()
        await asyncio.wait_for(losing.began.wait(), 30)
        (hold,) = worker._keeper.holds
        assert hold.owner_fence is not None
        owner, fence = hold.owner_fence
        jobs, record = watched.records(), await job.arecord()
        assert jobs is not None
        assert record is not None
        # As if its lease had run out, and another had claimed it.
        await jobs.apply(
            [
                records.Release(job.record_key, owner, fence),
                records.Claim(job.record_key, "another", "waits", queue, record.payload_hash, 60_000, 60_000),
            ]
        )
        await until(lambda: losing.ended, "the handler is stopped")
        await until(lambda: hold not in worker._keeper.holds, "it is let go")
        assert "belongs to another worker now" in caplog.text
        record = await job.arecord()
        assert record is not None
        assert (record.state, record.owner, record.fence, record.errors) == ("running", "another", fence + 1, ())
        assert watched.asked("delete") == []
        await jobs.apply([records.Complete(job.record_key, "another", fence + 1, 60_000)])
        await until(lambda: watched.asked("delete"), "the message comes again, and finds it done")


# Progress, and the word to stop ----------------------------------------------------------------------


async def test_progress_reaches_the_record_while_the_job_runs(app: encola.App, queue: str) -> None:
    go = asyncio.Event()

    @app.task(queue=queue)
    async def renders() -> None:
        encola.progress(0.4, "rendering")
        await go.wait()

    async with working(app):
        job = await renders.asend()
        async with asyncio.timeout(30):
            while (await job.aprogress()).note != "rendering":
                await asyncio.sleep(0.01)
        progress = await job.aprogress()
        go.set()
        await job.aresult(30)
        assert (progress.share, (await job.aprogress()).share) == (0.4, 1.0)


async def test_progress_is_stored_about_once_a_second_and_the_newest_counts(app: encola.App, queue: str) -> None:
    commands: list[records.Command] = []

    @app.task(queue=queue)
    def counts() -> None:
        for step in range(100):
            encola.progress(step / 100, f"step {step}")
            time.sleep(0.015)

    async with working(app) as worker:
        command = worker._keeper._connection.command

        async def heard(one: records.Command) -> Any:
            commands.append(one)
            return await command(one)

        worker._keeper._connection.command = heard  # type: ignore[method-assign]
        await (await counts.asend()).aresult(30)
    shares = [one.progress for one in commands if isinstance(one, records.Renew) and one.progress]
    assert 1 <= len(shares) <= 10
    assert shares == sorted(shares)


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_job_that_is_cancelled_while_it_runs_is_stopped_at_its_next_renewal(
    app: encola.App, queue: str, queues: Queues, kind: str
) -> None:
    losing = Losing(app, queue, kind)
    async with working(app) as worker:
        job = await losing.task.asend()
        await asyncio.wait_for(losing.began.wait(), 30)
        assert await job.acancel() == "running"
        await until(lambda: losing.ended, "the handler is stopped")
        with pytest.raises(encola.JobCancelledError):
            await job.aresult(30)
        await until(lambda: not worker._keeper.holds, "it is settled")
    assert await asyncio.to_thread(queues.held, queue) == 0
    assert await asyncio.to_thread(queues.held, f"{queue}-dead") == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_at_a_shutdown_an_answer_counts_and_whatever_is_raised_does_not(
    app: encola.App, queue: str, queues: Queues, watched: Watched, kind: str
) -> None:
    losing = Losing(app, queue, kind)
    async with working(app, grace=0):
        job = await losing.task.asend()
        await asyncio.wait_for(losing.began.wait(), 30)
    connection = app.connect()
    await connection.open()
    assert connection.jobs is not None
    (record,) = await connection.jobs.get([job.record_key])
    await connection.close()
    assert record is not None
    assert record.errors == ()
    if kind == "stubborn":
        assert (record.state, bytes(record.result)) == ("completed", b'"late"')
        assert await asyncio.to_thread(queues.held, queue) == 0
    else:  # a thread that was interrupted is not asked for its answer
        assert (record.state, record.attempts) == ("failed", 0)
        (message,) = await asyncio.to_thread(queues.receive, queue)
        assert message["Attributes"]["ApproximateReceiveCount"] == "1"
