"""Chains and groups: results go on, failures go on, a join comes to an end whatever happens, and fires once."""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import encola
from encola.consumers import follow, workflow
from encola.consumers.connection import Connection
from encola.consumers.errors import ConfigurationError
from encola.consumers.jobstore import JobStoreError
from encola.consumers.transport import Incoming, Outgoing, RefusedError, TransportError
from encola.engine import records
from encola.testing import Inline

LONG = "x" * 250_000
"""A result that is just kept; five of them are more than a message may have."""


class Shop:
    """An application with the tasks that the stories need; ``ran`` is what ran, in order."""

    def __init__(self, **options: Any) -> None:
        self.app = encola.App("shop", **options)
        self.ran: list[Any] = []
        app, ran = self.app, self.ran

        @app.task(queue="numbers", retries=1)
        def add(number: int, more: int = 1) -> int:
            ran.append(f"add {number}")
            if number < 0:
                raise ValueError("a negative number")
            return number + more

        @app.task(queue="totals", retries=1)
        def total(numbers: list[int | None]) -> int:
            ran.append(numbers)
            return sum(number or 0 for number in numbers)

        @app.task(queue="texts")
        def write(letters: int) -> str:
            return LONG[:letters]

        @app.task(queue="texts")
        def read(text: Any, other: str = "") -> int:
            ran.append("read")
            return len(text) + len(other)

        self.add, self.total, self.write, self.read = add, total, write, read


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def run(shop: Shop) -> Iterator[Inline]:
    with Inline(shop.app) as inline:
        yield inline


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what a dead worker had comes back within a minute."""
    monkeypatch.setattr("encola.testing.inline.LEASE", 60.0)


def why(job: encola.Job[Any]) -> str:
    """Why the job is dead; it never ran."""
    with pytest.raises(encola.JobDeadError) as dead:
        job.result()
    assert dead.value.type == "NotRun"
    return str(dead.value)


# Chains ----------------------------------------------------------------------------------------------


def test_each_step_gets_what_the_one_before_answered(shop: Shop, run: Inline) -> None:
    last = encola.chain(shop.add.s(1), shop.add.s(more=10), shop.add.s()).send()
    assert last.status() == "queued"
    run.until_idle()
    assert last.result() == 13
    assert shop.ran == ["add 1", "add 2", "add 12"]


def test_a_step_that_takes_nothing_from_before_runs_with_its_own_arguments(shop: Shop, run: Inline) -> None:
    last = encola.chain(shop.add.s(1), shop.add.si(100), shop.add.s()).send()
    run.until_idle()
    assert last.result() == 102


def test_a_chain_of_one_step_is_its_job(shop: Shop, run: Inline) -> None:
    last = encola.chain(shop.add.s(1)).send()
    run.until_idle()
    assert last.result() == 2


def test_a_step_that_fails_for_good_ends_the_chain_and_the_last_job_says_where(shop: Shop, run: Inline) -> None:
    last = encola.chain(shop.add.s(1, more=-9), shop.add.s(), shop.add.s(), shop.add.s()).send()
    run.advance(hours=1)
    assert shop.ran == ["add 1", "add -8", "add -8"]
    assert "ValueError: a negative number (in add/" in why(last)
    assert "earlier in the chain" in why(last)
    assert len(run.dead_letters("numbers")) == 1


def test_a_step_whose_arguments_do_not_fit_ends_the_chain_too(shop: Shop, run: Inline) -> None:
    """Its message went to the dead-letter queue, and who waited for the chain waited for ever."""
    last = encola.chain(shop.write.s(3), shop.add.s(), shop.add.s()).send()
    run.until_idle()
    assert "Expected `int`, got `str`" in why(last)
    assert run.dead_letters("numbers")[0].reason == "bad-payload"


def test_a_last_step_whose_arguments_do_not_fit_is_dead(shop: Shop, run: Inline) -> None:
    last = encola.chain(shop.write.s(3), shop.add.s()).send()
    run.until_idle()
    with pytest.raises(encola.JobDeadError, match="Expected `int`") as dead:
        last.result()
    assert dead.value.type == "bad-payload"


def test_a_step_that_no_worker_knows_ends_the_chain(shop: Shop) -> None:
    """A step of a newer version, which never comes to these workers."""
    newer, older = Shop(), Shop()

    @newer.app.task(queue="numbers")
    def square(number: int) -> int:
        return number * number

    last = encola.chain(newer.add.s(1), square.s(), newer.add.s())
    with Inline(older.app) as run:
        newer.app.bridge = older.app.bridge
        newer.app._connections = older.app._connections
        job = last.send()
        run.advance(days=1)
        assert "no task is called 'square'" in why(job)


def test_a_first_step_whose_key_stands_for_other_arguments_ends_the_chain(shop: Shop, run: Inline) -> None:
    @shop.app.task(queue="numbers", key="same")
    def keyed(number: int) -> int:
        return number

    keyed.send(1)
    last = encola.chain(keyed.s(2), shop.add.s()).send()
    run.until_idle()
    assert "Mismatch: another job has the same key and other arguments" in why(last)


def test_a_first_step_that_was_done_before_is_not_run_again_and_its_result_goes_on(shop: Shop, run: Inline) -> None:
    @shop.app.task(queue="numbers", key="{number}")
    def keyed(number: int) -> int:
        shop.ran.append("keyed")
        return number

    keyed.send(5)
    run.until_idle()
    last = encola.chain(keyed.s(5), shop.add.s()).send()
    run.until_idle()
    assert last.result() == 6
    assert shop.ran == ["keyed", "add 5"]


def test_a_cancelled_first_step_ends_the_chain(shop: Shop, run: Inline) -> None:
    @shop.app.task(queue="numbers", key="{number}")
    def keyed(number: int) -> int:
        return number

    last = encola.chain(keyed.s(5), shop.add.s()).send()
    assert shop.app.job("keyed/5").cancel() == "cancelled"
    run.until_idle()
    assert "Cancelled: it was cancelled" in why(last)


def test_a_later_step_that_is_cancelled_before_its_turn_does_not_run(shop: Shop, run: Inline) -> None:
    """The message of the step came later than the wish to cancel it, and so it ran all the same."""
    last = encola.chain(shop.add.s(1), shop.add.s(), shop.add.s()).send()
    assert last.cancel() == "cancelled"
    run.until_idle()
    with pytest.raises(encola.JobCancelledError):
        last.result()
    assert shop.ran == ["add 1", "add 2"]


def test_a_step_whose_message_would_be_too_large_is_dead_and_so_is_what_follows(shop: Shop, run: Inline) -> None:
    """It was tried again and again: the job before came back, was not run, and failed to send it."""
    step = shop.read.s(other="y" * 900_000)
    last = encola.chain(shop.write.s(250_000), step, shop.add.s()).send()
    run.until_idle()
    assert "what came before makes its message 1" in why(last)
    assert "bytes long, too large for a queue" in why(last)
    assert shop.ran == []
    assert run.waiting("texts") == 0


@pytest.mark.usefixtures("short_leases")
def test_a_step_whose_message_is_refused_is_dead_and_one_that_may_be_taken_later_waits(
    shop: Shop, run: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: Connection, queue: str, message: object) -> str:
        raise RefusedError(code, "no such attribute")

    code = "AccessDenied"
    first = encola.chain(shop.add.s(1), shop.add.s())
    job = first.send()
    send = Connection.send
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "send", refuse)
        run.until_idle()
        assert job.status() == "queued"
    assert Connection.send is send
    run.advance(minutes=1)  # its lease
    assert job.result() == 3
    code = "InvalidParameterValue"
    job = first.send()
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "send", refuse)
        run.until_idle()
    assert "its message was refused: no such attribute (InvalidParameterValue)" in why(job)
    assert run.waiting("numbers") == 0


def test_steps_go_to_the_lanes_of_their_tasks() -> None:
    app = encola.App("lanes")
    app.queue("q", priorities=True)
    ran: list[str] = []

    @app.task(queue="q", priority="low")
    def low() -> None:
        ran.append("low")

    @app.task(queue="q", priority="high")
    def high() -> None:
        ran.append("high")

    with Inline(app) as run:
        encola.chain(low.si(), high.si()).send()
        run._loop.run_until_complete(run._round())
        assert ran == ["low"]
        assert run.waiting("q-high") == 1


def test_steps_on_fifo_queues_go_on_whatever_is_in_their_keys() -> None:
    app = encola.App("ordered")

    @app.task(queue="q.fifo", key="Größe {size} ~ {size}")
    def measure(size: int) -> int:
        return size

    @app.task(queue="q.fifo")
    def double(size: int) -> int:
        return 2 * size

    with Inline(app) as run:
        job = encola.chain(double.s(2), measure.si(7), double.s()).send()
        run.until_idle()
        assert job.result() == 14


# Groups ----------------------------------------------------------------------------------------------


def test_what_follows_a_group_gets_all_results_in_their_order(shop: Shop, run: Inline) -> None:
    members = [shop.add.s(number) for number in (3, 1, 2)]
    jobs = encola.group(members).then(shop.total.s()).send()
    run.until_idle()
    assert jobs.result() == 4 + 2 + 3
    assert shop.ran[-1] == [4, 2, 3]
    assert [job.result() for job in jobs.jobs] == [4, 2, 3]


def test_a_group_that_nothing_follows_answers_all_results(shop: Shop, run: Inline) -> None:
    jobs = encola.group(shop.add.s(number) for number in range(3)).send()
    run.until_idle()
    assert jobs.last is None
    assert jobs.result() == [1, 2, 3]


def test_members_may_be_on_several_queues(shop: Shop, run: Inline) -> None:
    jobs = encola.group([shop.add.s(1), shop.write.s(2), shop.total.s([1, 2])]).then(shop.read.s()).send()
    run.until_idle()
    assert jobs.result() == 3


def test_if_a_member_fails_for_good_what_follows_fails_with_the_number(shop: Shop, run: Inline) -> None:
    jobs = encola.group(shop.add.s(number) for number in (1, -1, -2)).then(shop.total.s()).send()
    run.advance(hours=1)
    assert "2 of 3 members of the group failed" in why(jobs.last)
    assert jobs.jobs[0].result() == 2
    assert [job.status() for job in jobs.jobs] == ["completed", "dead", "dead"]


def test_with_run_anyway_what_follows_gets_none_for_who_failed(shop: Shop, run: Inline) -> None:
    jobs = encola.group((shop.add.s(n) for n in (1, -1, 2)), run_anyway=True).then(shop.total.s()).send()
    run.advance(hours=1)
    assert jobs.result() == 5
    assert shop.ran[-1] == [2, None, 3]


def test_a_cancelled_member_counts_as_failed_and_the_join_does_not_wait_for_it(shop: Shop, run: Inline) -> None:
    jobs = encola.group((shop.add.s(n) for n in (1, 2)), run_anyway=True).then(shop.total.s()).send()
    assert jobs.jobs[0].cancel() == "cancelled"
    run.until_idle()
    assert jobs.result() == 3
    assert shop.ran == ["add 2", [None, 3]]


def test_a_last_job_that_is_cancelled_while_members_run_does_not_run(shop: Shop, run: Inline) -> None:
    jobs = encola.group(shop.add.s(n) for n in (1, 2)).then(shop.total.s()).send()
    jobs.last.cancel()
    run.until_idle()
    with pytest.raises(encola.JobCancelledError):
        jobs.result()
    assert shop.ran == ["add 1", "add 2"]


def test_a_join_whose_members_are_missing_ends_when_its_time_is_over(shop: Shop, run: Inline) -> None:
    lost = _lose(run, encola.group((shop.add.s(n) for n in (1, 2, 3)), timeout=600).then(shop.total.s()))
    run.advance(seconds=599)
    assert lost.last.status() == "queued"
    run.advance(seconds=1)
    assert "only 2 of 3 members of the group had ended when its time was over" in why(lost.last)


def test_with_run_anyway_the_end_of_its_time_runs_what_follows_with_those_that_came(shop: Shop, run: Inline) -> None:
    members = (shop.add.s(n) for n in (1, 2, 3))
    lost = _lose(run, encola.group(members, timeout=600, run_anyway=True).then(shop.total.s()))
    run.advance(seconds=600)
    assert lost.result() == 3 + 4
    assert shop.ran[-1] == [None, 3, 4]


def _lose(run: Inline, group: workflow.Group) -> workflow.GroupJob:
    """Sends a group, and takes its first message away: nobody will ever run it."""

    async def take() -> None:
        (message,) = await run._transport.receive("numbers", 1, 0, 60)
        await run._transport.delete([message])

    jobs = group.send()
    run._loop.run_until_complete(take())
    return jobs


def test_a_member_that_comes_after_the_end_of_the_time_changes_nothing(shop: Shop, run: Inline) -> None:
    @shop.app.task(queue="numbers", retries=3)
    def late() -> int:
        raise encola.Retry(delay=900) if encola.current_job().attempt == 1 else ZeroDivisionError

    for anyway in (False, True):
        shop.ran.clear()
        members = [shop.add.s(1), late.s()]
        jobs = encola.group(members, timeout=60, run_anyway=anyway).then(shop.total.s()).send()
        run.advance(hours=2)
        assert shop.ran.count([2, None]) == anyway
        assert jobs.last.status() == ("completed" if anyway else "dead")


def test_a_join_has_the_results_of_members_that_ended_days_before_the_last(shop: Shop, run: Inline) -> None:
    """Their records were kept for a day, and they counted as failed."""

    @shop.app.task(queue="numbers", retries=7)
    def slow() -> int:
        if encola.current_job().attempt <= 6:
            raise encola.Retry(delay=43_200)
        return 10

    group = encola.group([shop.add.s(1), slow.s()], timeout=5 * 86_400).then(shop.total.s())
    jobs = group.send()
    run.advance(days=3)
    assert jobs.result() == 12


def test_a_group_whose_results_are_too_many_bytes_ends_with_a_dead_job(shop: Shop, run: Inline) -> None:
    """It came back and failed to be sent, again and again."""
    jobs = encola.group(shop.write.s(250_000) for _ in range(6)).then(shop.read.s()).send()
    run.until_idle()
    assert "the results of the group have more than 1048576 bytes" in why(jobs.last)
    jobs = encola.group(shop.write.s(n) for n in (*[250_000] * 4, 45_000)).then(shop.read.s()).send()
    run.until_idle()
    assert "too large for a queue" in why(jobs.last)
    assert shop.ran == []


def test_what_takes_nothing_from_its_group_may_follow_any_results(shop: Shop, run: Inline) -> None:
    jobs = encola.group(shop.write.s(250_000) for _ in range(6)).then(shop.add.si(1)).send()
    run.until_idle()
    assert jobs.result() == 2


def test_what_follows_a_group_may_have_a_key_and_a_new_group_tries_anew_what_was_dead(shop: Shop, run: Inline) -> None:
    """The record of the day before kept it from running."""
    fails = [True]

    @shop.app.task(queue="totals", key="close", retries=0)
    def close() -> str:
        shop.ran.append("close")
        if fails:
            raise encola.Permanent("the till is open")
        return "closed"

    group = encola.group([shop.add.s(1)]).then(close.si())
    with pytest.raises(encola.JobDeadError, match="the till is open"):
        _finish(group, run)
    fails.clear()
    run.advance(minutes=1)
    assert _finish(group, run) == "closed"
    assert _finish(group, run) == "closed"
    assert shop.ran.count("close") == 2


def _finish(group: workflow.Group, run: Inline) -> Any:
    jobs = group.send()
    run.until_idle()
    return jobs.result()


def test_a_group_may_have_its_tasks_on_fifo_queues_if_one_is_on_another() -> None:
    app = encola.App("ordered")

    @app.task(queue="q.fifo")
    def one() -> int:
        return 1

    @app.task(queue="q")
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @app.task(queue="last.fifo")
    def last(numbers: list[int]) -> int:
        return len(numbers)

    with Inline(app) as run:
        first = encola.group([one.s(), one.s()]).then(total.s()).send()
        second = encola.group([one.s(), total.s([1, 2])]).then(last.s()).send()
        run.until_idle()
        assert (first.result(), second.result()) == (2, 2)
        assert run.waiting("q") == 2  # the ends of their times
        with pytest.raises(ConfigurationError, match="a group needs a task on a queue that is not FIFO"):
            encola.group([one.s()]).then(last.s())


def test_what_the_end_of_a_groups_time_finds_done_stays_as_it_is(shop: Shop, run: Inline) -> None:
    jobs = encola.group([shop.add.s(1)], timeout=60).then(shop.total.s()).send()
    assert run.advance(seconds=59) == 2
    assert run.advance(seconds=1) == 1
    assert jobs.result() == 2
    assert shop.ran == ["add 1", [2]]


@pytest.mark.slow
def test_a_group_may_have_ten_thousand_members(shop: Shop, run: Inline) -> None:
    jobs = encola.group(shop.add.s(n) for n in range(records.MEMBERS_MAX)).then(shop.total.s()).send()
    run.until_idle()
    assert jobs.result() == sum(range(1, records.MEMBERS_MAX + 1))
    assert shop.ran.count(list(range(1, records.MEMBERS_MAX + 1))) == 1


# What is refused at once -----------------------------------------------------------------------------


def test_what_cannot_be_a_chain_or_a_group_is_refused_when_it_is_made(shop: Shop) -> None:
    @shop.app.task(queue="q", track=False)
    def plain(number: int) -> None: ...

    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: encola.chain(), "a chain has at least one step"),
        (lambda: encola.group([]), "a group has between 1 and 10000 members"),
        (lambda: encola.group([shop.add.s(1)] * 10_001), "a group has between 1 and 10000 members"),
        (lambda: encola.group([shop.add.s(1)], timeout=0), "the timeout of a group is at most 14 days"),
        (lambda: encola.group([shop.add.s(1)], timeout=14 * 86_400 + 1), "the timeout of a group is at most 14 days"),
        (lambda: encola.group([shop.add.s(1)], timeout=math.nan), "the timeout of a group is at most 14 days"),
        (lambda: encola.chain(plain.s(1)), "a chain needs records, but plain has track=False"),
        (lambda: encola.chain(shop.add.s(1), plain.s()), "a chain needs records, but plain has track=False"),
        (lambda: encola.group([plain.s(1)]), "a group needs records, but plain has track=False"),
        (lambda: encola.group([shop.add.s(1)]).then(plain.s()), "what follows a group needs records"),
    ]
    for make, text in cases:
        with pytest.raises(ConfigurationError, match=text):
            make()


def test_arguments_that_are_wrong_or_missing_are_refused_when_it_is_made(shop: Shop) -> None:
    for make in (
        lambda: encola.chain(shop.add.s()),
        lambda: encola.chain(shop.add.s("one")),
        lambda: encola.group([shop.add.s()]),
        lambda: encola.group([shop.add.s("one")]),
        lambda: shop.add.s(1, 2, 3),
        lambda: shop.add.si("one"),
        lambda: shop.add.s(of=1),
    ):
        with pytest.raises(encola.BadPayloadError):
            make()


@pytest.mark.parametrize("inner", ["chain", "group", "job", "task"])
def test_chains_and_groups_are_made_of_tasks_and_of_nothing_else(shop: Shop, inner: str) -> None:
    """What is no signature ended in an AttributeError that told nobody what to do."""
    wrong: Any = {
        "chain": encola.chain(shop.add.s(1)),
        "group": encola.group([shop.add.s(1)]),
        "job": encola.Job(shop.app, "add/1"),
        "task": shop.add,
    }[inner]
    for make in (
        lambda: encola.chain(wrong),
        lambda: encola.chain(shop.add.s(1), wrong),
        lambda: encola.group([wrong]),
        lambda: encola.group([shop.add.s(1)]).then(wrong),
    ):
        with pytest.raises(
            ConfigurationError, match=r"is made of tasks with their arguments \(task\.s\(\.\.\.\)\), not"
        ):
            make()


# Whoever dies in the middle --------------------------------------------------------------------------


class Deaths:
    """Stands in for a worker's death at the n-th thing that it asks of the service, ``before`` or after it was done."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, number: int, *, before: bool, until: Callable[[], bool]
    ) -> None:
        self._number, self._before, self._until = number, before, until
        self.reached = False
        for name in ("command", "send", "delete"):
            monkeypatch.setattr(Connection, name, self._dying(getattr(Connection, name), name == "command"))

    def _dying(self, do: Callable[..., Any], is_command: bool) -> Callable[..., Any]:
        async def step(connection: Connection, *arguments: Any) -> Any:
            self._number -= 1
            dies = self._number == 0 and not self._until()
            self.reached = self.reached or dies
            answer = None if dies and self._before else await do(connection, *arguments)
            if dies:
                raise JobStoreError("died") if is_command else TransportError("died")
            return answer

        return step


@pytest.mark.usefixtures("short_leases")
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_wherever_a_worker_of_a_group_dies_the_join_fires_once(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 100):
        shop = Shop()
        with Inline(shop.app) as run, monkeypatch.context() as patch:
            jobs = encola.group(shop.add.s(n) for n in (1, 2)).then(shop.total.s()).send()
            deaths = Deaths(patch, number, before=before, until=lambda ran=shop.ran: [2, 3] in ran)  # type: ignore[misc]
            run.advance(hours=2)
            assert jobs.result() == 5, number
            assert shop.ran.count([2, 3]) == 1, number
            assert (run.waiting("numbers"), run.waiting("totals")) == (0, 1), number  # the end of its time
        if not deaths.reached:
            break
    assert number > 8


@pytest.mark.usefixtures("short_leases")
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_wherever_a_worker_of_a_chain_dies_the_last_step_runs_once(
    before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 100):
        shop = Shop()
        with Inline(shop.app) as run, monkeypatch.context() as patch:
            last = encola.chain(shop.add.s(1), shop.add.s(), shop.add.s(more=10)).send()
            deaths = Deaths(patch, number, before=before, until=lambda ran=shop.ran: "add 3" in ran)  # type: ignore[misc]
            run.advance(hours=2)
            assert last.result() == 13, number
            assert shop.ran.count("add 3") == 1, number
            assert run.waiting("numbers") == 0, number
        if not deaths.reached:
            break
    assert number > 6


@pytest.mark.usefixtures("short_leases")
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_wherever_a_worker_of_a_group_that_fails_dies_the_last_job_is_told(
    before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 100):
        shop = Shop()
        with Inline(shop.app) as run, monkeypatch.context() as patch:
            jobs = encola.group([shop.add.s(1), shop.add.s(-1)]).then(shop.total.s()).send()
            deaths = Deaths(patch, number, before=before, until=lambda: False)
            run.advance(hours=2)
            assert "1 of 2 members of the group failed" in why(jobs.last), number
            assert (run.waiting("numbers"), run.waiting("totals")) == (0, 1), number  # the end of its time
        if not deaths.reached:
            break
    assert number > 8


@pytest.mark.usefixtures("short_leases")
def test_a_step_that_failed_for_good_does_not_run_again_when_the_one_before_comes_back(
    shop: Shop, run: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was sent anew, and a dead job runs again for a newer message."""

    async def die(connection: Connection, message: Incoming) -> None:
        raise TransportError("died before the message was deleted")

    last = encola.chain(shop.add.s(1, more=-9), shop.add.s()).send()
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "delete", die)
        run.advance(minutes=3)
    run.advance(hours=2)
    assert shop.ran == ["add 1", "add -8", "add -8"]
    assert last.status() == "dead"
    assert run.waiting("numbers") == 0


def test_a_member_that_arrives_twice_makes_no_second_last_job(
    shop: Shop, run: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers have the last member at the same time: one lost its lease, and does not know it yet."""
    arrive = follow.Follow._arrive

    async def twice(self: follow.Follow, *arguments: Any) -> None:
        await arrive(self, *arguments)
        await arrive(self, *arguments)

    monkeypatch.setattr(follow.Follow, "_arrive", twice)
    jobs = encola.group(shop.add.s(n) for n in (1, 2)).then(shop.total.s()).send()
    run.until_idle()
    assert jobs.result() == 5
    assert shop.ran.count([2, 3]) == 1
    assert run.waiting("totals") == 1  # the end of its time


# Messages that others made ---------------------------------------------------------------------------


def _membership(**changes: Any) -> dict[str, Any]:
    then = {"task": "total", "queue": "totals", "job": "total/x", "args": {}, "into": "numbers"}
    return {"group": "g", "total": 2, "index": 0, "then": then, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"total": 0}, {"total": 10_001}, {"index": -1}, {"index": 2}, {"index": 10_000}, {"group": ""},
        {"group": "g" * 101}, {"then": {"task": "total", "queue": "totals", "job": "", "args": {}}},
        {"then": {"task": "total", "queue": "totals", "job": "total/" + "x" * 1020, "args": {}}},
    ],
)  # fmt: skip
def test_a_membership_that_no_record_can_hold_is_a_bad_message(
    shop: Shop, run: Inline, changes: dict[str, Any]
) -> None:
    """It came back for ever, and with it the commands of other jobs failed that were sent together with it."""
    _send(run, "numbers", {"task": "add", "args": {"number": 1}, "job": "add/1", "join": _membership(**changes)})
    run.until_idle()
    assert [letter.reason for letter in run.dead_letters("numbers")] == ["bad-message"]
    assert shop.ran == []


@pytest.mark.parametrize("args", ['{"group": "", "total": 1}', '{"group": "g", "total": 0}', "[]", "7"])
def test_an_end_of_time_that_tells_nothing_is_a_bad_message(shop: Shop, run: Inline, args: str) -> None:
    _send(run, "numbers", {"task": workflow.TIMEOUT_TASK, "args": json.loads(args)})
    run.until_idle()
    assert [letter.reason for letter in run.dead_letters("numbers")] == ["bad-message"]


def test_members_that_disagree_on_their_number_end_with_a_dead_job(shop: Shop, run: Inline) -> None:
    for index, total in ((5, 6), (0, 2)):
        join = _membership(total=total, index=index)
        wish = {"task": "add", "args": {"number": 1}, "job": f"add/{index}", "join": join}
        _send(run, "numbers", wish)
    run.until_idle()
    assert "1 of 2 members of the group failed" in why(shop.app.job("total/x"))


def test_a_next_step_whose_arguments_are_no_object_is_dead(shop: Shop, run: Inline) -> None:
    step = {"task": "add", "queue": "numbers", "job": "add/2", "args": [1], "into": "number"}
    _send(run, "numbers", {"task": "add", "args": {"number": 1}, "job": "add/1", "then": [step]})
    run.until_idle()
    assert "its arguments are none" in why(shop.app.job("add/2"))
    assert run.waiting("numbers") == 0


def test_a_bad_message_does_not_end_the_job_of_another_task_or_one_that_was_done(shop: Shop, run: Inline) -> None:
    @shop.app.task(queue="numbers", key="{number}")
    def keyed(number: int) -> int:
        return number

    done = keyed.send(5)
    run.until_idle()
    for wish in (
        {"task": "add", "args": {"number": "bad"}, "job": "keyed/5"},
        {"task": "keyed", "args": {"number": "bad"}, "job": "keyed/5", "keyed": True},
        {"task": "add", "args": {"number": "bad"}, "job": "keyed/6"},
    ):
        _send(run, "numbers", wish)
    run.until_idle()
    assert done.result() == 5
    assert shop.app.job("keyed/6").status() == "queued"
    assert len(run.dead_letters("numbers")) == 3


def _send(run: Inline, queue: str, wish: dict[str, Any]) -> None:
    run._loop.run_until_complete(run._transport.send(queue, [Outgoing(body=json.dumps(wish))]))
