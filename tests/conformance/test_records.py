"""Records of jobs: kept atomically and durably, each account by itself, found by what is known of them."""

from collections.abc import Sequence

import msgspec
import pytest

from encola.engine.changes import Amend, Refused
from encola.engine.records import (
    RESULT_BYTES_MAX,
    Arrive,
    Arrived,
    Busy,
    Cancel,
    Claim,
    Complete,
    Enter,
    Entered,
    Fail,
    Failure,
    Forget,
    Held,
    Job,
    JobState,
    Lost,
    Renew,
    Replay,
    Reserve,
    Reserved,
    Run,
)

from .desk import ACCOUNT, SECOND, Desk

DAY = 86_400 * SECOND
OTHER_ACCOUNT = "444455556666"
RESULT = msgspec.Raw(b'{"pages":[1,2,3],"name":"\xc3\xa9"}')


def claim(key: str = "k", owner: str = "me", task: str = "report", queue: str = "reports") -> Claim:
    return Claim(key, owner, task, queue, "hash", 60 * SECOND, DAY)


def complete(key: str = "k", owner: str = "me", fence: int = 1, result: msgspec.Raw = RESULT) -> Complete:
    return Complete(key, owner, fence, DAY, result)


def fail(key: str, *, final: bool = False) -> Fail:
    return Fail(key, "me", 1, DAY, Failure(1, 1, "ValueError", "no such month", "Traceback"), final)


async def test_a_job_is_kept_from_its_claim_to_its_result(desk: Desk) -> None:
    assert await desk.job("k") is None
    assert await desk.do(claim()) == Run(1, 1)
    assert await desk.do(claim(owner="another")) == Busy(desk.now + 60 * SECOND)
    desk.turn(1)
    assert await desk.do(Renew("k", "me", 1, 60 * SECOND, 0.5, "halfway")) == Held()
    running = await desk.job("k")
    assert running is not None
    assert (running.state, running.progress, running.note, running.updated_at) == ("running", 0.5, "halfway", desk.now)
    assert await desk.do(complete()) == Held()
    done = await desk.job("k")
    assert done is not None
    assert (done.state, done.result, done.progress) == ("completed", RESULT, 1.0)
    assert await desk.do(claim(owner="another")) == Replay(RESULT)


async def test_commands_of_one_call_see_each_other_and_are_answered_in_order(desk: Desk) -> None:
    replies = await desk.store.apply(
        [Amend(ACCOUNT, command, desk.now) for command in (claim(), complete(), claim("l"), claim(), Forget("k"))]
    )
    assert list(replies) == [Run(1, 1), Held(), Run(1, 1), Replay(RESULT), Held()]
    assert await desk.job("k") is None
    assert await desk.job("l") is not None


async def test_a_command_that_no_rule_allows_changes_nothing_and_undoes_nothing(desk: Desk) -> None:
    await desk.do(claim())
    before = await desk.job("k")
    replies = await desk.store.apply(
        [Amend(ACCOUNT, command, desk.now) for command in (claim("l"), Enter("k", "me", 1, SECOND), claim("m"))]
    )
    assert list(replies) == [Run(1, 1), Refused("k holds no slots"), Run(1, 1)]
    assert await desk.job("k") == before
    assert None not in await desk.store.jobs(ACCOUNT, ["l", "m"], desk.now)


async def test_slots_rates_and_groups_are_kept_and_are_no_jobs(desk: Desk) -> None:
    until, us = desk.now + SECOND, desk.now * 1000
    for _ in range(2):
        assert await desk.do(Enter("slots", "a", 1, SECOND)) == Entered(True, until)
        assert await desk.do(Enter("slots", "b", 1, SECOND)) == Entered(False, until)
        await desk.reopen()
    assert await desk.do(Reserve("rate", 1, 1000)) == Reserved(True, us, us)
    assert await desk.do(Reserve("rate", 1, 1000)) == Reserved(True, us + 1000, us)
    assert await desk.do(Arrive("group", "a", 2, DAY)) == Arrived(1, 2)
    assert await desk.do(Arrive("group", "b", 2, DAY)) == Arrived(2, 2, ("a", "b"))
    assert await desk.store.jobs(ACCOUNT, ["slots", "rate", "group"], desk.now) == [None, None, None]
    assert (await desk.find()).jobs == []


async def test_a_key_belongs_to_its_account(desk: Desk) -> None:
    await desk.do(claim())
    assert await desk.job("k", OTHER_ACCOUNT) is None
    assert (await desk.find(account=OTHER_ACCOUNT)).jobs == []
    assert await desk.do(complete(), account=OTHER_ACCOUNT) == Lost()
    assert await desk.do(claim(owner="another"), account=OTHER_ACCOUNT) == Run(1, 1)
    assert await desk.do(Forget("k"), account=OTHER_ACCOUNT) == Lost()
    mine, others = await desk.job("k"), await desk.job("k", OTHER_ACCOUNT)
    assert (mine and mine.owner, others and others.owner) == ("me", "another")


@pytest.mark.parametrize("key", ["a b", "é", "\U0010ffff", "a\0b", "'", "%", "x" * 1024])
async def test_any_key_will_do(desk: Desk, key: str) -> None:
    await desk.do(claim(key), claim("a"))
    job = await desk.job(key)
    assert job is not None
    assert job.key == key
    assert [found.key for found in (await desk.find(prefix=key)).jobs] == [key]


async def test_a_large_result_and_many_errors_are_kept(desk: Desk) -> None:
    result = msgspec.Raw(b'"' + b"r" * (RESULT_BYTES_MAX - 2) + b'"')
    for fence in range(1, 21):
        await desk.do(claim(), Fail("k", "me", fence, DAY, Failure(fence, 1, "E", "m" * 4096, "t" * 4096)))
    await desk.do(claim(), complete(fence=21, result=result))
    await desk.reopen()
    job = await desk.job("k")
    assert job is not None
    assert (job.result, len(job.errors)) == (result, 20)


async def test_a_restart_changes_nothing(desk: Desk) -> None:
    await desk.do(claim("a"), claim("b"), complete("b"), claim("c"), fail("c"), Cancel("d", "report", "reports", DAY))
    before = await desk.store.jobs(ACCOUNT, list("abcd"), desk.now)
    await desk.reopen()
    assert await desk.store.jobs(ACCOUNT, list("abcd"), desk.now) == before
    assert await desk.do(complete("a")) == Held()
    assert await desk.do(claim("b", "another")) == Replay(RESULT)


async def test_the_clock_never_runs_behind_a_record(desk: Desk) -> None:
    desk.turn(DAY)
    await desk.do(claim())
    seen = desk.now
    desk.turn(DAY)
    await desk.do(Renew("k", "another", 1, SECOND))  # changes nothing
    await desk.reopen()
    assert (await desk.store.catalog()).last_instant == seen


# What is past its time --------------------------------------------------------------------------------


async def test_a_record_is_gone_with_its_time_swept_or_not(desk: Desk) -> None:
    await desk.do(claim(), complete())
    desk.turn(DAY - 1)
    assert await desk.job("k") is not None
    desk.turn(1)
    assert await desk.job("k") is None
    assert (await desk.find()).jobs == []
    assert (await desk.find(prefix="k")).jobs == []
    assert await desk.do(claim(owner="another")) == Run(1, 1)


async def test_the_sweeper_takes_what_is_past_its_time_and_nothing_else(desk: Desk) -> None:
    await desk.do(claim("over"), complete("over"), Enter("slots", "a", 1, SECOND), Arrive("group", "a", 2, SECOND))
    desk.turn(DAY - 60 * SECOND)
    await desk.do(claim("running"), claim("done"), complete("done"))
    desk.turn(60 * SECOND)
    swept = await desk.sweep()
    assert (swept.messages, swept.more) == (0, False)
    desk.now -= 60 * SECOND  # what is there, whatever its time
    assert await desk.job("over") is None
    assert None not in await desk.store.jobs(ACCOUNT, ["running", "done"], desk.now)


async def test_many_records_are_swept_step_by_step(desk: Desk) -> None:
    await desk.do(*(claim(str(number)) for number in range(25)))
    desk.turn(DAY)
    steps = 1
    while (await desk.sweep(limit=10)).more:
        steps += 1
    assert steps <= 3
    desk.now -= DAY
    assert await desk.all_found() == []


# Finding ----------------------------------------------------------------------------------------------


@pytest.fixture
async def jobs(desk: Desk) -> Desk:
    """Six jobs, each a millisecond after the other, but for the last two."""
    for key, task, queue, state in (
        ("report/1", "report", "reports", "running"),
        ("report/2", "report", "reports", "completed"),
        ("report/3", "report", "urgent", "failed"),
        ("mail/1", "mail", "mails", "dead"),
        ("mail/2", "mail", "mails", "cancelled"),
        ("mail/3", "mail", "urgent", "completed"),
    ):
        if state == "cancelled":
            await desk.do(Cancel(key, task, queue, DAY))
            continue
        await desk.do(claim(key, "me", task, queue))
        if state == "completed":
            await desk.do(complete(key))
        elif state != "running":
            await desk.do(fail(key, final=state == "dead"))
        desk.turn(1)
    return desk


NEWEST_FIRST = ["mail/3", "mail/2", "mail/1", "report/3", "report/2", "report/1"]


def keys(jobs: Sequence[Job]) -> list[str]:
    return [job.key for job in jobs]


async def test_jobs_come_newest_change_first_and_whole(jobs: Desk) -> None:
    found = await jobs.find()
    assert keys(found.jobs) == NEWEST_FIRST
    assert found.next is None
    assert found.jobs == list(await jobs.store.jobs(ACCOUNT, NEWEST_FIRST, jobs.now))
    await jobs.do(Renew("report/1", "me", 1, SECOND))
    assert keys((await jobs.find(limit=1)).jobs) == ["report/1"]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({"prefix": "report/"}, ["report/3", "report/2", "report/1"]),
        ({"prefix": "report/2"}, ["report/2"]),
        ({"prefix": "nothing"}, []),
        ({"task": "mail"}, ["mail/3", "mail/2", "mail/1"]),
        ({"queue": "urgent"}, ["mail/3", "report/3"]),
        ({"states": ("completed",)}, ["mail/3", "report/2"]),
        ({"states": ("failed", "dead", "failed")}, ["mail/1", "report/3"]),
        ({"states": ("running", "completed", "failed", "dead", "cancelled")}, NEWEST_FIRST),
        ({"task": "mail", "states": ("completed", "running")}, ["mail/3"]),
        ({"prefix": "mail", "queue": "mails", "states": ("dead",)}, ["mail/1"]),
        ({"task": "report", "queue": "mails"}, []),
    ],
)
async def test_jobs_are_found_by_all_that_is_given(jobs: Desk, search: dict[str, object], expected: list[str]) -> None:
    assert await jobs.all_found(**search) == expected
    for limit in (1, 2):
        assert await jobs.all_found(**search, limit=limit) == expected


async def test_a_page_goes_on_behind_the_one_before_whatever_happens_meanwhile(jobs: Desk) -> None:
    first = await jobs.find(limit=2)
    assert keys(first.jobs) == NEWEST_FIRST[:2]
    jobs.turn(1)
    await jobs.do(claim("new"), Renew("report/2", "me", 1, SECOND))
    second = await jobs.find(limit=2, before=first.next)
    assert keys(second.jobs) == NEWEST_FIRST[2:4]


@pytest.mark.parametrize("state", ["running", "completed", "failed", "dead", "cancelled"])
async def test_a_job_that_changes_is_found_by_its_new_state_only(jobs: Desk, state: JobState) -> None:
    await jobs.do(Cancel("report/3", "report", "urgent", DAY))
    assert ("report/3" in await jobs.all_found(states=(state,))) is (state == "cancelled")
