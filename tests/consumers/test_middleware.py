"""Hooks around tasks: in which order they nest, what they hear, and what happens when they fail."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

import encola
from encola.consumers.middleware import Outcome
from encola.consumers.transport import Outgoing
from encola.testing import Inline

from .bench import Queues, until, working


class Listener(encola.Middleware):
    """Writes down what it hears."""

    def __init__(self, heard: list[Any], name: str = "") -> None:
        self.heard = heard
        self.name = name

    def sending(self, task: str, job: str, queue: str, attributes: dict[str, str]) -> None:
        self.heard.append(f"{self.name}sending {task} to {queue}")

    async def delivering(
        self, queue: str, messages: Sequence[Outgoing], call_next: Callable[[], Awaitable[Any]]
    ) -> Any:
        self.heard.append(f"{self.name}delivering {len(messages)} to {queue}")
        try:
            return await call_next()
        finally:
            self.heard.append(f"{self.name}delivered")

    async def running(
        self, job: encola.CurrentJob, attributes: Mapping[str, str], call_next: Callable[[], Awaitable[Any]]
    ) -> Any:
        self.heard.append(f"{self.name}running {job.task}")
        try:
            return await call_next()
        finally:
            self.heard.append(f"{self.name}ran {job.task}")

    def ended(self, job: encola.CurrentJob, outcome: Outcome, seconds: float) -> None:
        self.heard.append(f"{self.name}{job.task} {outcome}")


class Outcomes(encola.Middleware):
    """Keeps the outcomes, and whether there was a run."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bool]] = []
        self.jobs: list[encola.CurrentJob] = []

    def ended(self, job: encola.CurrentJob, outcome: Outcome, seconds: float) -> None:
        self.jobs.append(job)
        self.heard.append((outcome, seconds > 0))


def test_the_first_is_the_outermost_on_the_way_in_and_the_last_to_hear_of_the_end() -> None:
    heard: list[Any] = []
    app = encola.App("nest", middleware=[Listener(heard, "a "), Listener(heard, "b ")])

    @app.task(queue="q")
    def work() -> None:
        heard.append("work")

    with Inline(app) as run:
        work.send()
        run.until_idle()
    assert heard == [
        "a sending work to q", "b sending work to q",
        "a delivering 1 to q", "b delivering 1 to q", "b delivered", "a delivered",
        "a running work", "b running work", "work", "b ran work", "a ran work",
        "b work completed", "a work completed",
    ]  # fmt: skip


def test_attributes_that_sending_adds_are_those_of_the_message() -> None:
    seen: list[Mapping[str, str]] = []

    class Tenant(encola.Middleware):
        def sending(self, task: str, job: str, queue: str, attributes: dict[str, str]) -> None:
            attributes["tenant"] = "blue"

        async def running(
            self, job: encola.CurrentJob, attributes: Mapping[str, str], call_next: Callable[[], Awaitable[Any]]
        ) -> Any:
            seen.append(attributes)
            return await call_next()

    app = encola.App("tenants", middleware=[Tenant()])

    @app.task(queue="q")
    async def work() -> None: ...

    with Inline(app) as run:
        work.send()
        run.until_idle()
    assert seen == [{"encola.task": "work", "tenant": "blue"}]


def test_each_attempt_has_its_outcome() -> None:
    outcomes = Outcomes()
    app = encola.App("outcomes", middleware=[outcomes])

    @app.task(queue="q", retries=1)
    def work(how: str) -> None:
        if how == "permanent":
            raise encola.Permanent("no")
        if how == "already":
            raise encola.AlreadyDone("yes")
        if how == "fail":
            raise ValueError(how)

    with Inline(app) as run:
        for how in ("well", "already", "permanent"):
            work.send(how)
            run.until_idle()
        work.send("fail")
        run.advance(hours=1)
    assert outcomes.heard == [
        ("completed", True), ("completed", True), ("dead", True), ("retrying", True), ("dead", True),
    ]  # fmt: skip
    assert [job.attempt for job in outcomes.jobs] == [1, 1, 1, 1, 2]


def test_a_job_that_was_done_before_is_replayed_and_one_above_its_rate_is_released() -> None:
    outcomes = Outcomes()
    app = encola.App("again", middleware=[outcomes])

    @app.task(queue="q", key="one")
    def done() -> None: ...

    @app.task(queue="q", rate="1/m")
    def rare() -> None: ...

    with Inline(app) as run:
        done.send()
        done.send()
        run.until_idle()
        assert outcomes.heard == [("completed", True), ("replayed", False)]
        outcomes.heard.clear()
        rare.send()
        rare.send()
        run.until_idle()
        assert outcomes.heard == [("completed", True), ("released", False)]


def test_a_cancelled_job_is_told_as_cancelled() -> None:
    outcomes = Outcomes()
    app = encola.App("cancelled", middleware=[outcomes])

    @app.task(queue="q")
    def work() -> None: ...

    with Inline(app) as run:
        work.send().cancel()
        run.until_idle()
    assert outcomes.heard == [("cancelled", False)]


async def test_a_running_job_that_is_given_back_at_the_end_of_its_worker_is_released(
    make_app: Callable[..., encola.App], queue: str
) -> None:
    outcomes = Outcomes()
    app = make_app(middleware=[outcomes])
    started = asyncio.Event()

    @app.task(queue=queue)
    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    async with working(app, grace=0.0):
        await work.asend()
        await asyncio.wait_for(started.wait(), 20)
    assert outcomes.heard == [("released", True)]


async def test_an_attempt_whose_lease_was_lost_is_told_as_lost(
    make_app: Callable[..., encola.App], queue: str, queues: Queues
) -> None:
    outcomes = Outcomes()
    app = make_app(middleware=[outcomes], lease=1.0)
    started = asyncio.Event()

    @app.task(queue=queue)
    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    async with working(app):
        await work.asend()
        await asyncio.wait_for(started.wait(), 20)
        await asyncio.to_thread(queues.sqs.purge_queue, QueueUrl=queues.url(queue))
        await until(lambda: outcomes.heard, "the end of the attempt")
    assert outcomes.heard == [("lost", True)]


def test_a_call_of_a_batch_has_the_outcome_of_its_least_lucky_message_and_all_messages() -> None:
    outcomes = Outcomes()
    app = encola.App("batches", middleware=[outcomes])

    @app.batch(queue="b", size=10, retries=1)
    def work(items: list[int]) -> list[int]:
        return [item for item in items if item < 0]

    with Inline(app) as run:
        work.send_many([(1,), (2,)])
        run.until_idle()
        work.send_many([(3,), (-4,)])
        run.advance(hours=1)
    assert outcomes.heard == [("completed", True), ("retrying", True), ("dead", True)]
    assert [len(job.messages) for job in outcomes.jobs] == [2, 2, 1]
    assert all(job.is_batch for job in outcomes.jobs)
    assert outcomes.jobs[0].messages[0].attributes == {"encola.task": "work"}


def test_a_batch_that_is_halved_to_find_who_is_at_fault_is_told_of_each_call() -> None:
    outcomes = Outcomes()
    app = encola.App("halves", middleware=[outcomes])

    @app.batch(queue="b", size=10, retries=0)
    def work(items: list[int]) -> None:
        if -1 in items:
            raise ValueError("one is bad")

    with Inline(app) as run:
        work.send_many([(1,), (-1,)])
        run.until_idle()
        assert len(run.dead_letters("b")) == 1
    assert outcomes.heard == [("retrying", True), ("completed", True), ("dead", True)]


def test_what_fails_in_ended_loses_no_message_and_keeps_nobody_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(encola.Middleware):
        def ended(self, job: encola.CurrentJob, outcome: Outcome, seconds: float) -> None:
            raise RuntimeError("the counters are full")

    outcomes = Outcomes()
    app = encola.App("broken", middleware=[outcomes, Broken()])

    @app.task(queue="q")
    def work() -> int:
        return 7

    with Inline(app) as run:
        job = work.send()
        run.until_idle()
        assert job.result() == 7
        assert run.waiting("q") == 0
    assert outcomes.heard == [("completed", True)]
    assert "middleware Broken failed at the end of job work/" in caplog.text


def test_what_running_raises_counts_as_raised_by_the_task() -> None:
    class Guard(encola.Middleware):
        async def running(
            self, job: encola.CurrentJob, attributes: Mapping[str, str], call_next: Callable[[], Awaitable[Any]]
        ) -> Any:
            raise encola.Permanent("not today")

    outcomes = Outcomes()
    app = encola.App("guarded", middleware=[outcomes, Guard()])
    ran: list[int] = []

    @app.task(queue="q")
    def work() -> None:
        ran.append(1)

    with Inline(app) as run:
        job = work.send()
        run.until_idle()
        with pytest.raises(encola.JobDeadError, match="not today"):
            job.result()
    assert not ran
    assert outcomes.heard == [("dead", True)]


class Refusing(encola.Middleware):
    """Lets nobody send to the task ``second``."""

    def sending(self, task: str, job: str, queue: str, attributes: dict[str, str]) -> None:
        if task == "second":
            raise PermissionError("not you")


def test_what_sending_raises_keeps_a_producer_from_sending_and_no_chain_from_going_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = encola.App("refusing", middleware=[Refusing()])

    @app.task(queue="q")
    def first() -> int:
        return 1

    @app.task(queue="q")
    def second(n: int) -> int:
        return n + 1

    with Inline(app) as run:
        with pytest.raises(PermissionError):
            second.send(1)
        assert run.waiting("q") == 0
        job = encola.chain(first.s(), second.s()).send()
        run.until_idle()
        assert job.result() == 2
    assert "middleware Refusing failed before job second/" in caplog.text


async def test_a_schedule_whose_message_could_not_be_made_goes_on(
    make_app: Callable[..., encola.App], queue: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It ended with the first error that was none of the service's."""
    failures = iter([True, False])
    ran = asyncio.Event()

    class Once(encola.Middleware):
        def sending(self, task: str, job: str, queue: str, attributes: dict[str, str]) -> None:
            if next(failures, False):
                raise RuntimeError("not now")

    monkeypatch.setattr("encola.consumers.clockwork.PAUSE_SECONDS", 0.01)
    app = make_app(middleware=[Once()])

    @app.cron("* * * * *", catch_up=86_400.0)
    @app.task(queue=queue)
    async def work() -> None:
        ran.set()

    with caplog.at_level(logging.ERROR):
        async with working(app):
            await asyncio.wait_for(ran.wait(), 20)
    assert "could not be sent" in caplog.text
