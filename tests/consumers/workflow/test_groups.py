"""Groups: a join comes to an end whatever happens, and fires once."""

from typing import Any

import pytest

import encola
from encola.consumers import workflow
from encola.consumers.errors import ConfigurationError
from encola.engine import records
from encola.testing import Inline

from .shop import Shop, why


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
