"""The list of workers: who has reported, for how long that counts, and the wish that one stops."""

from typing import Any

import pytest

from encola.broker.workers import TooManyWorkersError, Workers
from encola.engine.workers import (
    ALL_WORKERS_MAX,
    SILENCE_MAX,
    SKEW_MIN,
    WORKERS_MAX,
    Orders,
    Report,
    RunningJob,
    Served,
)

from .conftest import ACCOUNT, TestClock

OTHER = "444455556666"


class StillClock(TestClock):
    """Stands until the test turns it."""

    def now(self) -> int:
        return 1_700_000_000_000 + self.added


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def workers(clock: StillClock) -> Workers:
    return Workers(clock)


def told(clock: StillClock, name: str = "w", **changed: Any) -> Report:
    made = {"id": name, "at": clock.now(), "started_at": clock.now() - 60_000, "state": "running", **changed}
    return Report(**made)


def ids(workers: Workers, account: str = ACCOUNT) -> list[str]:
    return [one.id for one in workers.all(account)]


def test_who_reports_is_listed_by_id_for_his_account(workers: Workers, clock: StillClock) -> None:
    for name in ("host/2", "host/1"):
        assert workers.report(ACCOUNT, told(clock, name)) == Orders(stop=False)
    workers.report(OTHER, told(clock, "host/3"))
    assert ids(workers) == ["host/1", "host/2"]
    assert ids(workers, OTHER) == ["host/3"]
    assert ids(workers, "777788889999") == []


def test_the_last_report_counts(workers: Workers, clock: StillClock) -> None:
    workers.report(ACCOUNT, told(clock, done=1))
    clock.turn(5_000)
    workers.report(ACCOUNT, told(clock, done=7))
    (found,) = workers.all(ACCOUNT)
    assert (found.done, found.reported_at) == (7, clock.now())


def test_who_is_silent_for_too_long_is_gone_and_comes_back_with_his_next_report(
    workers: Workers, clock: StillClock
) -> None:
    workers.report(ACCOUNT, told(clock, "silent"))
    clock.turn(SILENCE_MAX - 1)
    workers.report(ACCOUNT, told(clock, "alive"))
    assert ids(workers) == ["alive", "silent"]
    clock.turn(1)
    assert ids(workers) == ["alive"]
    assert not workers.stop(ACCOUNT, "silent")
    workers.report(ACCOUNT, told(clock, "silent"))
    assert ids(workers) == ["alive", "silent"]


def test_a_report_keeps_a_worker_however_long_others_have_been_silent(workers: Workers, clock: StillClock) -> None:
    """The order of the list is that of the last reports, not of the first."""
    workers.report(ACCOUNT, told(clock, "first"))
    workers.report(ACCOUNT, told(clock, "second"))
    for _ in range(3):
        clock.turn(SILENCE_MAX // 2)
        workers.report(ACCOUNT, told(clock, "first"))
    assert ids(workers) == ["first"]


def test_who_says_that_he_has_left_is_gone_at_once(workers: Workers, clock: StillClock) -> None:
    workers.report(ACCOUNT, told(clock))
    workers.report(ACCOUNT, told(clock, state="stopped"))
    assert ids(workers) == []
    workers.report(ACCOUNT, told(clock, "never seen", state="stopped"))
    assert ids(workers) == []


def test_a_wish_to_stop_is_heard_at_each_report_until_the_worker_has_left(workers: Workers, clock: StillClock) -> None:
    workers.report(ACCOUNT, told(clock))
    assert workers.stop(ACCOUNT, "w")
    assert workers.all(ACCOUNT)[0].stop_asked
    assert workers.report(ACCOUNT, told(clock)) == Orders(stop=True)
    assert workers.report(ACCOUNT, told(clock, state="stopping")) == Orders(stop=True)
    assert workers.all(ACCOUNT)[0].state == "stopping"
    assert workers.report(ACCOUNT, told(clock, state="stopped")) == Orders(stop=True)  # it may have ended by itself
    assert workers.report(ACCOUNT, told(clock)) == Orders(stop=False)


def test_only_a_worker_of_ones_own_account_can_be_stopped(workers: Workers, clock: StillClock) -> None:
    workers.report(OTHER, told(clock))
    assert not workers.stop(ACCOUNT, "w")
    assert workers.report(OTHER, told(clock)) == Orders(stop=False)


def test_a_wish_to_stop_does_not_make_the_silent_live_longer(workers: Workers, clock: StillClock) -> None:
    workers.report(ACCOUNT, told(clock))
    clock.turn(SILENCE_MAX - 1)
    assert workers.stop(ACCOUNT, "w")
    clock.turn(1)
    assert ids(workers) == []


# Clocks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-3_600_000, -SKEW_MIN, SKEW_MIN, 86_400_000])
def test_times_of_a_worker_whose_clock_is_wrong_are_those_of_ours(
    workers: Workers, clock: StillClock, ahead: int
) -> None:
    theirs = clock.now() + ahead
    job = RunningJob(task="t", queue="q", message="m", since=theirs - 10_000)
    report = told(clock, at=theirs, started_at=theirs - 60_000, last_poll_at=theirs - 500, running=[job])
    workers.report(ACCOUNT, report)
    (found,) = workers.all(ACCOUNT)
    now = clock.now()
    assert (found.at, found.started_at, found.last_poll_at) == (now, now - 60_000, now - 500)
    assert found.running[0].since == now - 10_000


def test_the_way_of_a_report_is_no_wrong_clock(workers: Workers, clock: StillClock) -> None:
    started = clock.now() - 60_000
    workers.report(ACCOUNT, told(clock, at=clock.now() - SKEW_MIN + 1, started_at=started))
    assert workers.all(ACCOUNT)[0].started_at == started


def test_no_time_becomes_negative(workers: Workers, clock: StillClock) -> None:
    workers.report(ACCOUNT, told(clock, at=clock.now() + 86_400_000, started_at=5, last_poll_at=0))
    (found,) = workers.all(ACCOUNT)
    assert (found.started_at, found.last_poll_at) == (0, 0)


# Slots --------------------------------------------------------------------------------------------------


def test_slots_of_a_queue_are_those_of_all_its_workers(workers: Workers, clock: StillClock) -> None:
    reports, mail = Served(queue="reports", slots=8, busy=3), Served(queue="mail", slots=5)
    workers.report(ACCOUNT, told(clock, "a", queues=[reports, mail]))
    workers.report(ACCOUNT, told(clock, "b", queues=[Served(queue="reports", slots=4, busy=4)]))
    workers.report(OTHER, told(clock, "c", queues=[Served(queue="reports", slots=1)]))
    assert workers.consumers(ACCOUNT, "reports") == (7, 5)
    assert workers.consumers(ACCOUNT, "mail") == (0, 5)
    assert workers.consumers(ACCOUNT, "nothing") == (0, 0)
    assert workers.by_queue() == {
        (ACCOUNT, "reports"): (7, 5),
        (ACCOUNT, "mail"): (0, 5),
        (OTHER, "reports"): (0, 1),
    }


def test_who_stops_has_no_idle_slots(workers: Workers, clock: StillClock) -> None:
    workers.report(ACCOUNT, told(clock, state="stopping", queues=[Served(queue="reports", slots=8, busy=3)]))
    assert workers.consumers(ACCOUNT, "reports") == (3, 0)


def test_more_busy_than_slots_is_no_debt(workers: Workers, clock: StillClock) -> None:
    workers.report(ACCOUNT, told(clock, queues=[Served(queue="reports", slots=1, busy=3)]))
    assert workers.consumers(ACCOUNT, "reports") == (3, 0)


def test_slots_of_the_silent_do_not_count(workers: Workers, clock: StillClock) -> None:
    workers.report(ACCOUNT, told(clock, queues=[Served(queue="reports", slots=8)]))
    clock.turn(SILENCE_MAX)
    assert workers.by_queue() == {}


# Limits -------------------------------------------------------------------------------------------------


def test_an_account_has_so_many_workers_and_whoever_leaves_makes_room(workers: Workers, clock: StillClock) -> None:
    for number in range(WORKERS_MAX):
        workers.report(ACCOUNT, told(clock, f"w{number}"))
    with pytest.raises(TooManyWorkersError):
        workers.report(ACCOUNT, told(clock, "late"))
    workers.report(ACCOUNT, told(clock, "w7"))  # who is known stays
    workers.report(OTHER, told(clock, "elsewhere"))
    workers.report(ACCOUNT, told(clock, "w8", state="stopped"))
    workers.report(ACCOUNT, told(clock, "late"))
    assert len(ids(workers)) == WORKERS_MAX
    clock.turn(SILENCE_MAX)
    workers.report(ACCOUNT, told(clock, "later"))
    assert ids(workers) == ["later"]


def test_all_accounts_together_have_so_many(workers: Workers, clock: StillClock) -> None:
    for number in range(ALL_WORKERS_MAX):
        workers.report(f"{number // WORKERS_MAX:012}", told(clock, f"w{number}"))
    with pytest.raises(TooManyWorkersError):
        workers.report(ACCOUNT, told(clock))
    clock.turn(SILENCE_MAX)
    workers.report(ACCOUNT, told(clock))
    assert ids(workers) == ["w"]
