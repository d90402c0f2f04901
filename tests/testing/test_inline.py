"""Tasks without a server: whole stories on virtual time, in one test each."""

import asyncio
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import encola
from encola.testing import Inline, inline


@pytest.fixture
def app() -> encola.App:
    return encola.App("stories")


def clock(run: Inline, times: list[str]) -> Callable[[], None]:
    """Notes the virtual time."""
    return lambda: times.append(f"{run.now:%d %H:%M:%S}")


def test_the_example_of_its_documentation_runs() -> None:
    app = encola.App("back-office")
    attempts: list[datetime] = []

    @app.task(queue="reports", retries=5)
    def report(month: str) -> str:
        attempts.append(run.now)
        return f"report of {month}"

    @app.cron("0 3 * * *")
    def nightly() -> None:
        attempts.append(run.now)

    with Inline(app) as run:
        job = report.send("2026-10")
        run.until_idle()
        assert job.result() == "report of 2026-10"
        run.advance(hours=6)
    assert len(attempts) == 2
    assert "with Inline(app) as run:" in (inline.__doc__ or "")


# Time ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0.5, 1, 899, 901, 43_200, 43_201, 14 * 86_400])
def test_a_delay_ends_at_its_time_and_not_before(app: encola.App, delay: float) -> None:
    ran: list[float] = []
    with Inline(app) as run:
        start = run.now

        @app.task(queue="q")
        def work() -> None:
            ran.append((run.now - start).total_seconds())

    with Inline(app) as run:
        start = run.now
        work.options(delay=delay).send()
        assert run.until_idle() == 0
        run.advance(seconds=delay - 0.1)
        assert ran == []
        run.advance(days=20)
        assert ran == [pytest.approx(delay)]
        assert run.now == start + timedelta(seconds=delay - 0.1, days=20)


def test_retries_come_at_half_of_their_longest_pause_and_then_the_letter_is_dead(app: encola.App) -> None:
    times: list[str] = []

    @app.task(queue="q", retries=3, backoff=encola.Backoff(base=60, factor=10, cap=3600))
    def fail() -> None:
        times.append(f"{run.now:%H:%M:%S}")
        raise ValueError("no luck")

    with Inline(app) as run:
        job = fail.send()
        run.advance(days=1)
        assert times == ["00:00:00", "00:00:30", "00:05:30", "00:35:30"]
        (letter,) = run.dead_letters("q")
        assert (letter.reason, letter.error) == ("retries-exhausted", "ValueError: no luck")
        assert '"task":"fail"' in letter.body
        assert [error.attempt for error in job.errors()] == [1, 2, 3, 4]
        assert run.waiting("q") == 0


def test_schedules_fire_at_their_times_over_days_and_changes_of_the_clock(app: encola.App) -> None:
    times: list[str] = []

    @app.cron("30 2 * * *", timezone="Europe/Berlin")
    def nightly() -> None:
        times.append(f"{run.now:%d %H:%M}")

    with Inline(app, start=datetime(2026, 3, 27, 12, tzinfo=UTC)) as run:
        run.advance(days=4)
    assert times == ["28 01:30", "29 01:00", "30 00:30", "31 00:30"]
    times.clear()
    with Inline(app, start=datetime(2026, 10, 23, 12, tzinfo=UTC)) as run:
        run.advance(days=4)
    assert times == ["24 00:30", "25 00:30", "26 01:30", "27 01:30"]


def test_a_schedule_fires_in_each_minute_and_once_in_each(app: encola.App) -> None:
    ids: list[str] = []

    @app.cron("* * * * *")
    def ring() -> None:
        ids.append(encola.current_job().id)

    with Inline(app) as run:
        for _ in range(60):
            run.advance(seconds=59.7)
    assert len(ids) == len(set(ids)) == 59


def test_what_comes_due_on_the_way_runs_in_its_order_and_at_its_time(app: encola.App) -> None:
    times: list[tuple[str, str]] = []

    @app.task(queue="a")
    def first(name: str) -> None:
        times.append((name, f"{run.now:%d %H}"))
        if name == "long":
            second.options(delay=3600).send("follows")

    @app.task(queue="b")
    def second(name: str) -> None:
        times.append((name, f"{run.now:%d %H}"))

    with Inline(app) as run:
        first.options(delay=5 * 86_400).send("longest")
        first.options(delay=2 * 86_400).send("long")
        second.options(at=run.now + timedelta(hours=3)).send("short")
        assert run.advance(days=7) == 4
    assert times == [("short", "01 03"), ("long", "03 00"), ("follows", "03 01"), ("longest", "06 00")]


def test_sleep_in_an_async_task_takes_virtual_time_only(app: encola.App) -> None:
    @app.task(queue="q", timeout=7200)
    async def wait(hours: int) -> str:
        await asyncio.sleep(hours * 3600)
        return f"{run.now:%H:%M}"

    @app.task(queue="q", timeout=60, retries=0)
    async def too_long() -> None:
        await asyncio.sleep(61)

    with Inline(app) as run:
        job, late = wait.send(1), too_long.send()
        run.until_idle()
        assert job.result() == "01:00"
        with pytest.raises(encola.JobDeadError, match="the task ran longer than 60 s"):
            late.result()


# What runs -------------------------------------------------------------------------------------------


def test_tasks_that_are_not_asynchronous_run_in_threads_and_may_send_from_there(app: encola.App) -> None:
    threads: list[Any] = []

    @app.task(queue="q")
    def parent(depth: int) -> int:
        threads.append(threading.current_thread())
        time.sleep(0.001)
        if depth:
            job = parent.send(depth - 1)
            assert job.status() == "queued"
        return depth

    with Inline(app) as run:
        job = parent.send(3)
        assert run.until_idle() == 4
        assert job.result() == 3
    assert threading.main_thread() not in threads


def test_async_tasks_send_and_ask_on_the_tests_own_loop(app: encola.App) -> None:
    @app.task(queue="q")
    async def child(number: int) -> int:
        return number + 1

    @app.task(queue="q")
    async def parent() -> str:
        job = await child.asend(1)
        return await job.astatus()

    with Inline(app) as run:
        job = parent.send()
        run.until_idle()
        assert job.result() == "queued"


def test_a_batch_gets_what_is_there_up_to_its_size_and_those_that_failed_come_again(app: encola.App) -> None:
    """A batch was what one receive brought: ten, whatever the size."""
    batches: list[list[int]] = []

    @app.batch(queue="q", size=25, retries=1)
    def keep(numbers: list[int]) -> list[int]:
        batches.append(numbers)
        return [number for number in numbers if number == 7]

    @app.batch(queue="few", size=2)
    def few(numbers: list[int]) -> None:
        batches.append(numbers)

    with Inline(app) as run:
        keep.send_many([(number,) for number in range(60)])
        run.until_idle()
        assert [len(batch) for batch in batches] == [25, 25, 10]
        run.advance(hours=1)
        assert batches[3:] == [[7]]
        assert [letter.reason for letter in run.dead_letters("q")] == ["retries-exhausted"]
        few.send_many([(1,), (2,), (3,)])
        run.until_idle()
        assert batches[4:] == [[1, 2], [3]]


def test_rates_take_virtual_time(app: encola.App) -> None:
    times: list[float] = []

    @app.task(queue="q", rate="2/s")
    async def one() -> None:
        times.append(run.now.timestamp() - start)

    @app.batch(queue="b", size=10, rate="10/s")
    async def many(numbers: list[int]) -> None:
        times.append(run.now.timestamp() - start)

    with Inline(app) as run:
        start = run.now.timestamp()
        one.send_many([()] * 5)
        run.advance(minutes=1)
        assert times == pytest.approx([0, 0.5, 1.0, 1.5, 2.0], abs=0.01)
        times.clear()
        start = run.now.timestamp()
        many.send_many([(number,) for number in range(30)])
        run.advance(minutes=1)
        assert times == pytest.approx([0, 1.0, 2.0], abs=0.01)


def test_the_high_lane_is_asked_before_the_others(app: encola.App) -> None:
    ran: list[str] = []
    app.queue("q", priorities=True)

    @app.task(queue="q")
    def work(name: str) -> None:
        ran.append(name)

    with Inline(app) as run:
        work.options(priority="low").send("low")
        work.send("normal")
        work.options(priority="high").send("high")
        assert (run.waiting("q-low"), run.waiting("q"), run.waiting("q-high")) == (1, 1, 1)
        run.until_idle()
    assert ran == ["high", "normal", "low"]


def test_a_fifo_queue_keeps_the_order_of_a_group_over_a_retry(app: encola.App) -> None:
    ran: list[int] = []

    @app.task(queue="q.fifo", group="{name}")
    def work(name: str, number: int) -> None:
        ran.append(number)
        if number == 1 and encola.current_job().attempt == 1:
            raise ValueError("again")

    with Inline(app) as run:
        for number in (1, 2, 3):
            work.send("a", number)
        work.send("b", 4)
        run.until_idle()
        assert ran == [1, 4]
        run.advance(minutes=1)
    assert ran == [1, 4, 1, 2, 3]


def test_a_key_is_one_job_within_its_window_and_may_run_again_after(app: encola.App) -> None:
    ran: list[str] = []

    @app.task(queue="q", key="{month}", window=3600)
    def report(month: str) -> None:
        ran.append(month)

    with Inline(app) as run:
        for _ in range(3):
            report.send("10")
        run.until_idle()
        report.send("10")
        run.until_idle()
        assert ran == ["10"]
        run.advance(hours=1)
        report.send("10")
        run.until_idle()
    assert ran == ["10", "10"]


def test_a_cancelled_job_does_not_run_and_progress_can_be_read(app: encola.App) -> None:
    @app.task(queue="q")
    def work() -> None:
        encola.progress(0.5, "half")

    with Inline(app) as run:
        job, other = work.send(), work.send()
        assert job.cancel() == "cancelled"
        run.until_idle()
        with pytest.raises(encola.JobCancelledError):
            job.result()
        assert other.result() is None
        assert other.progress().share == 1.0


# Misuse ----------------------------------------------------------------------------------------------


def test_a_result_that_nobody_works_on_is_pending_at_once(app: encola.App) -> None:
    """The test waited for ever, and virtual time ran away."""

    @app.task(queue="q")
    def work() -> None: ...

    @app.task(queue="q", retries=0)
    async def wait() -> None:
        await (await work.asend()).aresult()

    with Inline(app) as run:
        job, start = work.send(), run.now
        for timeout in (None, 30.0):
            with pytest.raises(encola.ResultPendingError, match="is queued, and nobody works meanwhile"):
                job.result(timeout)
        assert run.now - start < timedelta(seconds=1)
        other = wait.send()
        run.until_idle()
        with pytest.raises(encola.JobDeadError, match="ResultPendingError"):
            other.result()


def test_an_async_task_that_sends_as_if_it_were_not_is_told_so(app: encola.App) -> None:
    """The loop waited for itself."""

    @app.task(queue="q", retries=0)
    async def work() -> None:
        work.send()

    with Inline(app) as run:
        job = work.send()
        run.until_idle()
        with pytest.raises(encola.JobDeadError, match=re.escape("await asend(), aresult() ... instead")):
            job.result()


def test_a_task_that_asks_for_itself_for_ever_is_told_so(app: encola.App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline, "ROUNDS_MAX", 200)

    @app.task(queue="q")
    async def again() -> None:
        await again.asend()

    with Inline(app) as run:
        again.send()
        with pytest.raises(RuntimeError, match=r"no end after 2\d\d messages: does a task ask for itself?"):
            run.until_idle()


async def test_within_an_async_test_it_says_that_it_cannot(app: encola.App) -> None:
    @app.task(queue="q")
    def work() -> None: ...

    with pytest.raises(RuntimeError, match="use it in a test that is not `async def`"):
        Inline(app).__enter__()


def test_an_async_test_that_got_it_from_a_fixture_is_told_so_too(app: encola.App) -> None:
    """It saw an error of asyncio, and a warning about a coroutine."""

    @app.task(queue="q")
    def work() -> None: ...

    with Inline(app) as run:

        async def test() -> None:
            for use in (work.send, run.until_idle, lambda: run.advance(hours=1), lambda: run.waiting("q")):
                with pytest.raises(RuntimeError, match="use it in a test that is not `async def`"):
                    use()

        asyncio.run(test())
        work.send()
        assert run.until_idle() == 1


def test_one_within_another_is_a_world_of_its_own_and_the_application_goes_back(app: encola.App) -> None:
    @app.task(queue="q")
    def work() -> None: ...

    bridge = app.bridge
    with Inline(app) as outer:
        work.send()
        with Inline(app) as inner:
            work.send()
            work.send()
            assert (inner.waiting("q"), inner.until_idle()) == (2, 2)
        assert (outer.waiting("q"), outer.until_idle()) == (1, 1)
    assert app.bridge is bridge


def test_after_an_error_in_its_block_the_application_goes_back(app: encola.App) -> None:
    @app.task(queue="q")
    def work() -> None: ...

    bridge = app.bridge
    with pytest.raises(encola.BadPayloadError), Inline(app):
        work.send("too many arguments")
    assert app.bridge is bridge
    assert app._connections == {}


def test_two_applications_have_two_worlds(app: encola.App) -> None:
    other = encola.App("others")

    @app.task(queue="q")
    def work() -> None: ...

    @other.task(queue="q", name="work")
    def other_work() -> None: ...

    with Inline(app) as run, Inline(other) as other_run:
        work.send()
        assert (run.waiting("q"), other_run.waiting("q")) == (1, 0)
        other_work.send()
        assert (run.until_idle(), other_run.until_idle()) == (1, 1)


def test_a_queue_that_no_task_has_is_an_error(app: encola.App) -> None:
    @app.task(queue="q")
    def work() -> None: ...

    with Inline(app) as run, pytest.raises(Exception, match="there is no queue other"):
        run.waiting("other")
