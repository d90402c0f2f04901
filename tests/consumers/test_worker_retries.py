"""What fails is tried again: the same message, later and later, then the dead-letter queue; nothing is forgotten."""

import asyncio
import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

import encola
from encola.cli.main import app as command
from encola.consumers import runner
from encola.consumers.runner import Runner
from encola.testing import EncolaServer

from .bench import Queues, until, working
from .watched import Watched

BACKOFF = encola.Backoff(base=10.0, factor=3.0, cap=50.0)
AT_ONCE = encola.Backoff(base=0.0)


@pytest.fixture
def watched(house: EncolaServer) -> Watched:
    return Watched(house.url, hurry=lambda seconds: 0.0)


@pytest.fixture
def app(make_app: Callable[..., encola.App], watched: Watched) -> encola.App:
    return make_app(transport=lambda: watched)


@pytest.fixture
def cli(house: EncolaServer) -> Callable[..., str]:
    """The command line, on the server."""
    environment = {"ENCOLA_ENDPOINT": house.url, "COLUMNS": "200", **house.environment}

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(command, list(arguments), env=environment)
        assert done.exit_code == 0, done.output
        return done.output

    return run


async def dead(queues: Queues, queue: str) -> tuple[str, str]:
    return await asyncio.to_thread(queues.dead, queue)


async def redrive(queues: Queues, queue: str) -> None:
    """As any SQS client does it: all messages of the dead-letter queue go where they came from."""

    def move() -> None:
        url = queues.url(f"{queue}-dead")
        found = queues.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        queues.sqs.start_message_move_task(SourceArn=found["QueueArn"])

    await asyncio.to_thread(move)


async def rests_there(queues: Queues, queue: str) -> None:
    async with asyncio.timeout(30):
        while await asyncio.to_thread(queues.held, f"{queue}-dead") == 0:
            await asyncio.sleep(0.02)


# Attempts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("track", [True, False])
async def test_each_attempt_is_the_same_message_received_once_more_after_a_longer_pause(
    app: encola.App, queue: str, watched: Watched, monkeypatch: pytest.MonkeyPatch, track: bool
) -> None:
    monkeypatch.setattr("encola.consumers.worker.Runner", functools.partial(Runner, chance=lambda: 1.0))
    seen: list[tuple[str, int, int]] = []
    done = asyncio.Event()

    @app.task(queue=queue, retries=4, backoff=BACKOFF, track=track)
    async def fails() -> None:
        job = encola.current_job()
        (message,) = job.messages
        seen.append((message.message_id, message.receives, job.attempt))
        if job.attempt < 5:
            raise ValueError(job.attempt)
        done.set()

    async with working(app):
        await fails.asend()
        await asyncio.wait_for(done.wait(), 30)
        await until(lambda: watched.asked("delete"), "it is done")
    (message_id,) = {one for one, _, _ in seen}
    assert [(receives, attempt) for _, receives, attempt in seen] == [(n, n) for n in range(1, 6)]
    assert watched.asked("retry") == [(message_id, pause) for pause in (10.0, 30.0, 50.0, 50.0)]
    assert len(watched.asked("send")) == 1
    assert watched.asked("release") == []


async def test_pauses_are_spread_over_the_whole_interval(
    app: encola.App, queue: str, queues: Queues, watched: Watched
) -> None:
    @app.task(queue=queue, retries=1, backoff=encola.Backoff(base=10.0))
    async def fails(number: int) -> None:
        raise ValueError(number)

    async with working(app):
        for number in range(40):
            await fails.asend(number)
        await until(lambda: len(watched.asked("reject")) == 40, "all failed")
    pauses = [pause for _, pause in watched.asked("retry")]
    assert len(pauses) == 40
    assert all(0 <= pause <= 10 for pause in pauses)
    assert min(pauses) < 4  # missed once in 10^9 times
    assert max(pauses) > 6


async def test_while_it_waits_for_its_next_attempt_no_worker_holds_it(
    make_app: Callable[..., encola.App], queue: str, queues: Queues, house: EncolaServer
) -> None:
    app = make_app()

    @app.task(queue=queue, retries=1)
    async def fails() -> None:
        if encola.current_job().attempt == 1:
            raise encola.Retry(delay=1)

    async with working(app) as worker:
        job = await fails.asend()
        await _status(job, "retrying")
        await until(lambda: not worker._keeper.holds, "it is let go")
        await job.aresult(30)
    async with working(app):
        ...


async def _status(job: encola.Job[Any], status: str) -> None:
    async with asyncio.timeout(30):
        while await job.astatus() != status:
            await asyncio.sleep(0.01)


async def test_a_task_may_say_when_to_try_again_and_that_counts(
    app: encola.App, queue: str, queues: Queues, watched: Watched
) -> None:
    @app.task(queue=queue, retries=2, backoff=BACKOFF)
    async def busy() -> None:
        raise encola.Retry("the printer is busy", delay=1234)

    async with working(app):
        await busy.asend()
        assert await dead(queues, queue) == ("retries-exhausted", "Retry: the printer is busy")
    assert [pause for _, pause in watched.asked("retry")] == [1234, 1234]


async def test_what_is_permanent_goes_to_the_dead_letter_queue_at_once(
    app: encola.App, queue: str, queues: Queues, watched: Watched
) -> None:
    @app.task(queue=queue, retries=50)
    async def lost(number: int) -> None:
        raise encola.Permanent(f"no such route: {number}")

    async with working(app):
        job = await lost.asend(7)
        (message,) = await asyncio.to_thread(queues.receive, f"{queue}-dead", 20)
        assert await job.astatus() == "dead"
        with pytest.raises(encola.JobDeadError, match="no such route: 7"):
            await job.aresult(5)
    assert watched.asked("retry") == []
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert told == {
        "encola.task": "lost",
        "encola.reason": "permanent",
        "encola.error": "Permanent: no such route: 7",
    }
    assert json.loads(message["Body"])["args"] == {"number": 7}


async def test_the_error_of_each_attempt_is_kept_and_can_be_read(
    app: encola.App, queue: str, queues: Queues, cli: Callable[..., str]
) -> None:
    @app.task(queue=queue, retries=2, backoff=AT_ONCE, key="only")
    def fails() -> None:
        attempt = encola.current_job().attempt
        raise (ValueError, KeyError, OSError)[attempt - 1](f"reason {attempt}")

    async with working(app) as worker:
        job = await fails.asend()
        assert await dead(queues, queue) == ("retries-exhausted", "OSError: reason 3")
        errors = await job.aerrors()
        assert [(one.attempt, one.type, one.message) for one in errors] == [
            (1, "ValueError", "reason 1"), (2, "KeyError", "'reason 2'"), (3, "OSError", "reason 3"),
        ]  # fmt: skip
        assert all(one.worker == worker.name and "raise (ValueError" in one.traceback for one in errors)
        shown = await asyncio.to_thread(cli, "jobs", "show", job.record_key)
    lines = [line for line in shown.splitlines() if line.startswith("attempt ")]
    assert [line.rpartition(f" on {worker.name}: ")[2] for line in lines] == [
        "ValueError: reason 1", "KeyError: 'reason 2'", "OSError: reason 3",
    ]  # fmt: skip
    assert "raise (ValueError" in shown


async def test_what_is_known_of_a_job_outlives_the_pause_before_its_next_attempt(
    make_app: Callable[..., encola.App], queue: str, queues: Queues
) -> None:
    """However short its window is: else it would begin anew, with its first attempt, for ever."""
    app = make_app(lease=1)

    @app.task(queue=queue, retries=1, window=0.001)
    async def fails() -> None:
        raise encola.Retry(delay=2)

    async with working(app):
        await fails.asend()
        assert (await dead(queues, queue))[0] == "retries-exhausted"


# From the dead-letter queue --------------------------------------------------------------------------


async def test_a_redrive_after_a_fix_keeps_the_key_and_the_job_runs_with_all_its_attempts(
    app: encola.App, queue: str, queues: Queues
) -> None:
    fixed = False
    attempts: list[int] = []

    @app.task(queue=queue, retries=1, backoff=AT_ONCE, key="{month}")
    async def report(month: str) -> str:
        attempts.append(encola.current_job().attempt)
        if not fixed or attempts == [1, 2, 1]:
            raise ValueError("broken")
        return month

    async with working(app):
        job = await report.asend("2026-10")
        await rests_there(queues, queue)
        assert await job.astatus() == "dead"
        fixed = True
        await redrive(queues, queue)
        assert await _result(job) == "2026-10"
        assert attempts == [1, 2, 1, 2]
        assert [error.attempt for error in await job.aerrors()] == [1, 2, 1]  # the errors of before are kept
        # Its key is that of a job that is done, now as ever.
        assert await (await report.asend("2026-10")).aresult(30) == "2026-10"
        await until(lambda: len(attempts) == 4, "it did not run again")


async def _result(job: encola.Job[Any]) -> Any:
    async with asyncio.timeout(30):
        while True:
            try:
                return await job.aresult(30)
            except encola.JobDeadError:  # not taken up again yet
                await asyncio.sleep(0.02)


async def test_a_redrive_without_a_fix_ends_there_again_with_the_new_reason(
    app: encola.App, queue: str, queues: Queues
) -> None:
    reasons = ["no such route", "no such bridge"]

    @app.task(queue=queue)
    async def walk() -> None:
        raise encola.Permanent(reasons.pop(0))

    async with working(app):
        await walk.asend()
        await rests_there(queues, queue)
        await redrive(queues, queue)
        await until(lambda: not reasons, "it ran again")
        await rests_there(queues, queue)
        assert await dead(queues, queue) == ("permanent", "Permanent: no such bridge")


async def test_a_duplicate_that_was_sent_before_the_job_failed_does_not_bring_it_back(
    app: encola.App, queue: str, queues: Queues
) -> None:
    ran = 0

    @app.task(queue=queue, key="only")
    async def walk() -> None:
        nonlocal ran
        ran += 1
        raise encola.Permanent("no such route")

    async with working(app):
        ...  # makes the queue
    for _ in range(2):
        await asyncio.to_thread(queues.send, queue, '{"task": "walk"}')
    async with working(app, concurrency=1):
        letters = await asyncio.to_thread(queues.all_dead, queue, 2)
        assert letters == [("permanent", "Permanent: no such route")] * 2
        assert ran == 1
        job = await walk.asend()  # a new wish is another matter
        await until(lambda: ran == 2, "it ran")
        await rests_there(queues, queue)
    assert job.id == "walk/only"


async def test_one_job_is_brought_back_by_the_command_line(
    app: encola.App, queue: str, queues: Queues, cli: Callable[..., str]
) -> None:
    fixed = False

    @app.task(queue=queue, retries=0, key="{month}")
    async def report(month: str) -> str:
        if not fixed:
            raise ValueError("broken")
        return month

    async with working(app):
        first, second = await report.asend("2026-10"), await report.asend("2026-11")
        async with asyncio.timeout(30):
            while await asyncio.to_thread(queues.held, f"{queue}-dead") < 2:
                await asyncio.sleep(0.02)
        fixed = True
        said = await asyncio.to_thread(cli, "jobs", "retry", first.record_key)
        assert "its attempts begin anew" in said
        assert await _result(first) == "2026-10"
        assert await second.astatus() == "dead"


# Without a dead-letter queue -------------------------------------------------------------------------


async def test_without_a_dead_letter_queue_a_message_rests_and_is_told_of_until_there_is_one(
    app: encola.App,
    queue: str,
    queues: Queues,
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = queues.sqs.create_queue(QueueName=queue)["QueueUrl"]
    runs = 0

    @app.task(queue=queue, retries=0, key="only")
    async def fails() -> None:
        nonlocal runs
        runs += 1
        raise ValueError("broken")

    async with working(app):
        assert f"the queue {queue} has no dead-letter queue" in caplog.text
        job = await fails.asend()
        await until(lambda: len(watched.asked("retry")) >= 3, "it rests, again and again")
        assert {pause for _, pause in watched.asked("retry")} == {runner.NO_DEAD_LETTERS_SECONDS}
        assert await job.astatus() == "dead"
        assert caplog.text.count("can't be dead-lettered, and rests") >= 3
        assert runs == 1  # it does not run meanwhile

        def give() -> None:
            target = queues.sqs.create_queue(QueueName=f"{queue}-dead")["QueueUrl"]
            arn = queues.sqs.get_queue_attributes(QueueUrl=target, AttributeNames=["QueueArn"])["Attributes"]
            policy = json.dumps({"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": 1000})
            queues.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})

        await asyncio.to_thread(give)
        assert await dead(queues, queue) == ("permanent", "ValueError: broken")
    assert runs == 1
