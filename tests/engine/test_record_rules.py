"""What each command makes of each record: told as one table for jobs, and as stories."""

from typing import Any

import msgspec
import pytest

from encola.engine.record_rules import WrongRecordError, decide
from encola.engine.records import (
    COUNT_MAX,
    ERRORS_MAX,
    HOLDERS_MAX,
    INTERVAL_US_MAX,
    MEMBERS_MAX,
    TEXT_LENGTH_MAX,
    Arrive,
    Arrived,
    Busy,
    Cancel,
    Cancelled,
    Claim,
    Command,
    Complete,
    Dead,
    Enter,
    Entered,
    Fail,
    Failure,
    Forget,
    Held,
    Job,
    Join,
    Leave,
    Lost,
    Mismatch,
    Pace,
    Record,
    Release,
    Renew,
    Replay,
    Reply,
    Reserve,
    Reserved,
    Run,
    Slots,
)

NOW = 1_000_000
LEASE = 60_000
WINDOW = 3_600_000
KEY = "report/2026-10"
DONE = msgspec.Raw(b'{"pages":3}')
FAILURE = Failure(1, NOW, "ValueError", "no such month")


def claim(owner: str = "me", **changed: Any) -> Claim:
    return msgspec.structs.replace(Claim(KEY, owner, "report", "reports", "hash", LEASE, WINDOW, NOW), **changed)


def complete(fence: int = 1, owner: str = "me", result: msgspec.Raw = DONE) -> Complete:
    return Complete(KEY, owner, fence, WINDOW, result)


def fail(fence: int = 1, owner: str = "me", *, final: bool = False) -> Fail:
    return Fail(KEY, owner, fence, WINDOW, FAILURE, final)


CANCEL = Cancel(KEY, "report", "reports", WINDOW)


class Kept:
    """A record, and the clock that the story turns."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self.now = NOW

    def __call__(self, *commands: Command) -> Reply:
        """Carries out commands; the last one's reply. No rule may change a record in its place."""
        for command in commands:
            before = None if self.record is None else msgspec.json.encode(self.record)
            changed, reply = decide(self.record, command, self.now)
            assert before is None or msgspec.json.encode(self.record) == before
            self.record = changed
        return reply

    @property
    def job(self) -> Job:
        assert isinstance(self.record, Job)
        return self.record


@pytest.fixture
def kept() -> Kept:
    return Kept()


# The table --------------------------------------------------------------------------------------------

HISTORIES: dict[str, tuple[Command | int, ...]] = {
    "none": (),
    "mine": (claim(),),
    "mine, lease over": (claim(), LEASE),
    "another's": (claim("other"),),
    "another's, lease over": (claim("other"), LEASE),
    "another's since": (claim(), LEASE, claim("other")),
    "mine, to be cancelled": (claim(), CANCEL),
    "to be cancelled, lease over": (claim("other"), CANCEL, LEASE),
    "released": (claim(), Release(KEY, "me", 1)),
    "failed": (claim(), fail()),
    "completed": (claim(), complete()),
    "dead": (claim(), fail(final=True)),
    "cancelled": (CANCEL,),
    "past its time": (claim(), complete(), WINDOW),
}
"""How a job came to be as it is: commands, and milliseconds that pass."""

HELD, LOST = Held(), Lost()
REPLIES: dict[str, dict[str, Reply]] = {
    "none": {
        "claim": Run(1, 1), "claim again": Run(1, 1), "other payload": Run(1, 1), "renew": LOST, "complete": LOST,
        "fail": LOST, "fail for good": LOST, "release": LOST, "cancel": Cancelled("cancelled"), "forget": HELD,
    },
    "mine": {
        "claim": Run(1, 1), "claim again": Run(1, 1), "other payload": Mismatch(), "renew": HELD, "complete": HELD,
        "fail": HELD, "fail for good": HELD, "release": HELD, "cancel": Cancelled("running"), "forget": LOST,
    },
    "mine, lease over": {
        "claim": Run(2, 2), "claim again": Run(2, 2), "other payload": Mismatch(), "renew": HELD, "complete": HELD,
        "fail": HELD, "fail for good": HELD, "release": HELD, "cancel": Cancelled("cancelled"), "forget": HELD,
    },
    "another's": {
        "claim": Busy(NOW + LEASE), "claim again": Busy(NOW + LEASE), "other payload": Mismatch(), "renew": LOST,
        "complete": LOST, "fail": LOST, "fail for good": LOST, "release": LOST, "cancel": Cancelled("running"),
        "forget": LOST,
    },
    "another's, lease over": {
        "claim": Run(2, 2), "claim again": Run(2, 2), "other payload": Mismatch(), "renew": LOST, "complete": LOST,
        "fail": LOST, "fail for good": LOST, "release": LOST, "cancel": Cancelled("cancelled"), "forget": HELD,
    },
    "another's since": {
        "claim": Busy(NOW + 2 * LEASE), "claim again": Busy(NOW + 2 * LEASE), "other payload": Mismatch(),
        "renew": LOST, "complete": LOST, "fail": LOST, "fail for good": LOST, "release": LOST,
        "cancel": Cancelled("running"), "forget": LOST,
    },
    "mine, to be cancelled": {
        "claim": Run(1, 1), "claim again": Run(1, 1), "other payload": Mismatch(), "renew": Held(cancelled=True),
        "complete": HELD, "fail": HELD, "fail for good": HELD, "release": Held(cancelled=True),
        "cancel": Cancelled("running"), "forget": LOST,
    },
    "to be cancelled, lease over": {
        "claim": Dead(), "claim again": Dead(), "other payload": Mismatch(), "renew": LOST, "complete": LOST,
        "fail": LOST, "fail for good": LOST, "release": LOST, "cancel": Cancelled("cancelled"), "forget": HELD,
    },
    "released": {
        "claim": Run(2, 1), "claim again": Run(2, 1), "other payload": Mismatch(), "renew": LOST, "complete": LOST,
        "fail": LOST, "fail for good": LOST, "release": LOST, "cancel": Cancelled("cancelled"), "forget": HELD,
    },
    "failed": {
        "claim": Run(2, 2), "claim again": Run(2, 2), "other payload": Mismatch(), "renew": LOST, "complete": LOST,
        "fail": HELD, "fail for good": LOST, "release": LOST, "cancel": Cancelled("cancelled"), "forget": HELD,
    },
    "completed": {
        "claim": Replay(DONE), "claim again": Replay(DONE), "other payload": Mismatch(), "renew": LOST,
        "complete": HELD, "fail": LOST, "fail for good": LOST, "release": LOST, "cancel": Cancelled("completed"),
        "forget": HELD,
    },
    "dead": {
        "claim": Dead(FAILURE), "claim again": Run(2, 1), "other payload": Mismatch(), "renew": LOST,
        "complete": LOST, "fail": LOST, "fail for good": HELD, "release": LOST, "cancel": Cancelled("dead"),
        "forget": HELD,
    },
    "cancelled": {
        "claim": Dead(), "claim again": Run(1, 1), "other payload": Dead(), "renew": LOST, "complete": LOST,
        "fail": LOST, "fail for good": LOST, "release": LOST, "cancel": Cancelled("cancelled"), "forget": HELD,
    },
    "past its time": {
        "claim": Run(1, 1), "claim again": Run(1, 1), "other payload": Run(1, 1), "renew": LOST, "complete": LOST,
        "fail": LOST, "fail for good": LOST, "release": LOST, "cancel": Cancelled("cancelled"), "forget": HELD,
    },
}  # fmt: skip

COMMANDS: dict[str, Command] = {
    "claim": claim(),
    "claim again": claim(sent_at=NOW + 1),  # a newer wish, or a redrive
    "other payload": claim(payload_hash="another"),
    "renew": Renew(KEY, "me", 1, LEASE),
    "complete": complete(),
    "fail": fail(),
    "fail for good": fail(final=True),
    "release": Release(KEY, "me", 1),
    "cancel": CANCEL,
    "forget": Forget(KEY),
}


def after(history: str) -> Kept:
    kept = Kept()
    for step in HISTORIES[history]:
        if isinstance(step, int):
            kept.now += step
        else:
            kept(step)
    return kept


CASES = [(history, command) for history in HISTORIES for command in COMMANDS]


@pytest.mark.parametrize(("history", "command"), CASES)
def test_each_command_is_answered_by_the_state_of_the_job(history: str, command: str) -> None:
    assert after(history)(COMMANDS[command]) == REPLIES[history][command]


@pytest.mark.parametrize(("history", "command"), CASES)
def test_a_command_whose_answer_got_lost_may_be_repeated(history: str, command: str) -> None:
    """The second one changes nothing that matters: no attempt more, no other fence, state or result."""
    kept = after(history)
    kept(COMMANDS[command])
    first = kept.record
    kept(COMMANDS[command])
    assert kept.record == first


@pytest.mark.parametrize(("history", "command"), CASES)
def test_who_is_told_that_he_lost_it_has_changed_nothing(history: str, command: str) -> None:
    kept = after(history)
    before = kept.record
    if isinstance(kept(COMMANDS[command]), Lost | Busy | Mismatch | Replay):
        assert kept.record is before


OTHERS: dict[str, Record] = {
    "job": Job(KEY, "report", "reports", "failed", "me", 1, 0, NOW + WINDOW, "hash", NOW, NOW),
    "slots": Slots(KEY, {"me": NOW + LEASE}, NOW + LEASE),
    "pace": Pace(KEY, NOW * 1000, NOW + LEASE),
    "join": Join(KEY, ["a"], 2, NOW + LEASE),
}
OF: dict[str, tuple[Command, ...]] = {
    "job": (claim(), Renew(KEY, "me", 1, LEASE), complete(), fail(), Release(KEY, "me", 1), CANCEL),
    "slots": (Enter(KEY, "me", 1, LEASE),),
    "pace": (Reserve(KEY, 1, 1000),),
    "join": (Arrive(KEY, "a", 2, WINDOW),),
}


@pytest.mark.parametrize("kind", OF)
@pytest.mark.parametrize("other", OTHERS)
def test_a_key_is_for_one_kind_of_record(kind: str, other: str) -> None:
    for command in OF[kind]:
        if kind == other:
            decide(OTHERS[other], command, NOW)
        else:
            with pytest.raises(WrongRecordError, match=KEY):
                decide(OTHERS[other], command, NOW)


@pytest.mark.parametrize("other", OTHERS)
def test_whatever_it_is_it_can_be_forgotten_and_goes_with_its_time(other: str) -> None:
    record = OTHERS[other]
    assert decide(record, Forget(KEY), NOW) == (None, Held())
    assert decide(record, claim(), record.expires_at)[1] == Run(1, 1)


# Jobs -------------------------------------------------------------------------------------------------


def test_a_late_owner_changes_nothing(kept: Kept) -> None:
    """He was away for longer than his lease; somebody else has the job now, or has done it."""
    kept(claim())
    kept.now += LEASE
    assert kept(claim("other")) == Run(2, 2)
    assert kept(complete(result=msgspec.Raw(b'"late"')), fail(), Renew(KEY, "me", 1, LEASE)) == Lost()
    assert kept(complete(2, "other")) == Held()
    assert kept(complete(result=msgspec.Raw(b'"later"'))) == Lost()
    assert kept(claim("third")) == Replay(DONE)


def test_a_lease_that_ran_out_is_still_his_while_nobody_else_came(kept: Kept) -> None:
    kept(claim())
    kept.now += 2 * LEASE
    assert kept(complete()) == Held()


def test_a_fence_of_before_is_void_also_for_the_same_owner(kept: Kept) -> None:
    kept(claim())
    kept.now += LEASE
    kept(claim())
    assert kept(complete(1)) == Lost()
    assert kept(complete(2)) == Held()


def test_a_lost_answer_to_a_claim_costs_no_attempt_and_forgets_no_cancellation(kept: Kept) -> None:
    assert kept(claim(), claim()) == Run(1, 1)
    assert kept(CANCEL, claim()) == Run(1, 1)
    assert kept(Renew(KEY, "me", 1, LEASE)) == Held(cancelled=True)


def test_a_job_that_is_to_be_cancelled_ends_so_however_its_worker_ends(kept: Kept) -> None:
    kept(claim(), CANCEL, fail())
    assert (kept.job.state, kept.job.errors) == ("cancelled", (FAILURE,))
    for ending in (Release(KEY, "me", 1), None):
        other = Kept()
        other(claim(), CANCEL)
        if ending is None:
            other.now += LEASE  # he died
        else:
            other(ending)
        assert other(claim("next")) == Dead()
        assert other.job.state == "cancelled"


def test_a_job_that_was_done_before_its_cancellation_stays_done(kept: Kept) -> None:
    kept(claim(), CANCEL)
    assert kept(complete()) == Held()
    assert kept(claim("next")) == Replay(DONE)


def test_a_dead_job_runs_again_for_a_newer_wish_and_counts_anew(kept: Kept) -> None:
    kept(claim(), fail(), claim(), fail(2, final=True))
    assert kept.job.attempts == 2
    assert kept(claim("next", sent_at=NOW)) == Dead(FAILURE)
    assert kept(claim("next", sent_at=NOW + 1)) == Run(3, 1)
    assert len(kept.job.errors) == 2


def test_the_newest_errors_are_kept(kept: Kept) -> None:
    for number in range(1, ERRORS_MAX + 3):
        kept(claim())
        error = Failure(number, NOW, "E", "m")
        kept(Fail(KEY, "me", number, WINDOW, error))
    assert [error.attempt for error in kept.job.errors] == list(range(3, ERRORS_MAX + 3))


def test_progress_is_kept_within_its_bounds_and_begins_anew_with_each_attempt(kept: Kept) -> None:
    kept(claim(), Renew(KEY, "me", 1, LEASE, 7.0, "x" * (TEXT_LENGTH_MAX + 1)))
    assert (kept.job.progress, len(kept.job.note)) == (1.0, TEXT_LENGTH_MAX)
    kept(Renew(KEY, "me", 1, LEASE, -7.0))
    assert (kept.job.progress, len(kept.job.note)) == (0.0, TEXT_LENGTH_MAX)
    kept(fail(), claim())
    assert (kept.job.progress, kept.job.note) == (0.0, "")


def test_a_record_is_kept_for_its_window_and_never_less_than_its_lease(kept: Kept) -> None:
    kept(claim(window=1))
    assert kept.job.expires_at == NOW + LEASE
    kept(Renew(KEY, "me", 1, 2 * LEASE))
    assert kept.job.expires_at == NOW + 2 * LEASE
    kept(complete())
    assert kept.job.expires_at == NOW + WINDOW
    kept.now += WINDOW - 1
    assert kept(claim("next")) == Replay(DONE)
    kept.now += 1
    assert kept(claim("next")) == Run(1, 1)


def test_what_is_past_its_time_is_left_to_the_sweeper(kept: Kept) -> None:
    kept(claim(), complete())
    kept.now += WINDOW
    over = kept.record
    assert kept(Renew(KEY, "me", 1, LEASE), Forget(KEY)) == Held()
    assert kept.record is over


# Slots ------------------------------------------------------------------------------------------------


def test_there_are_so_many_slots_and_no_more(kept: Kept) -> None:
    assert kept(Enter(KEY, "a", 2, LEASE)) == Entered(True, NOW + LEASE)
    kept.now += 1
    assert kept(Enter(KEY, "b", 2, LEASE)) == Entered(True, NOW + 1 + LEASE)
    assert kept(Enter(KEY, "c", 2, LEASE)) == Entered(False, NOW + LEASE)
    assert kept(Enter(KEY, "a", 2, LEASE)) == Entered(True, NOW + 1 + LEASE)  # holds on
    assert kept(Leave(KEY, "b"), Enter(KEY, "c", 2, LEASE)) == Entered(True, NOW + 1 + LEASE)


def test_a_slot_is_free_when_its_lease_is_over(kept: Kept) -> None:
    kept(Enter(KEY, "a", 2, LEASE), Enter(KEY, "b", 2, 2 * LEASE))
    kept.now += LEASE - 1
    assert kept(Enter(KEY, "c", 2, LEASE)) == Entered(False, NOW + LEASE)
    kept.now += 1
    assert kept(Enter(KEY, "c", 2, LEASE)) == Entered(True, kept.now + LEASE)
    assert kept(Enter(KEY, "d", 2, LEASE)) == Entered(False, NOW + 2 * LEASE)


def test_who_leaves_twice_takes_nobody_elses_slot_and_the_last_takes_the_record(kept: Kept) -> None:
    kept(Enter(KEY, "a", 2, LEASE), Enter(KEY, "b", 2, LEASE))
    assert kept(Leave(KEY, "a"), Leave(KEY, "a")) == Held()
    assert isinstance(kept.record, Slots)
    assert list(kept.record.holders) == ["b"]
    assert kept(Leave(KEY, "b")) == Held()
    assert kept.record is None


@pytest.mark.parametrize("limit", [0, HOLDERS_MAX + 1])
def test_a_limit_has_bounds(kept: Kept, limit: int) -> None:
    with pytest.raises(WrongRecordError, match="limit"):
        kept(Enter(KEY, "a", limit, LEASE))


# Pace -------------------------------------------------------------------------------------------------


def test_starts_are_so_far_apart(kept: Kept) -> None:
    us = NOW * 1000
    for number in range(3):
        assert kept(Reserve(KEY, 1, 250_000)) == Reserved(True, us + number * 250_000, us)


def test_after_a_pause_some_may_start_at_once(kept: Kept) -> None:
    starts = [kept(Reserve(KEY, 1, 250_000, burst=3)) for _ in range(5)]
    us = NOW * 1000
    assert [one.start_at_us - us for one in starts if isinstance(one, Reserved)] == [0, 0, 0, 250_000, 500_000]


def test_what_was_not_used_cannot_be_used_later(kept: Kept) -> None:
    kept(Reserve(KEY, 1, 250_000))
    kept.now += 400
    us = kept.now * 1000
    assert kept(Reserve(KEY, 1, 250_000)) == Reserved(True, us, us)
    assert kept(Reserve(KEY, 1, 250_000)) == Reserved(True, us + 250_000, us)


def test_nobody_waits_longer_than_his_patience(kept: Kept) -> None:
    us = NOW * 1000
    kept(Reserve(KEY, 10, 250_000))
    before = kept.record
    refused = kept(Reserve(KEY, 1, 250_000, patience=2_000))
    assert refused == Reserved(False, us + 500_000, us)
    assert kept.record is before
    kept.now += 500
    assert kept(Reserve(KEY, 1, 250_000, patience=2_000)) == Reserved(True, us + 2_500_000, us + 500_000)


def test_a_rate_that_nobody_used_is_forgotten_when_it_makes_no_difference(kept: Kept) -> None:
    kept(Reserve(KEY, 2, 250_000, burst=2))
    assert kept.record is not None
    kept.now = kept.record.expires_at
    assert kept(Reserve(KEY, 1, 250_000, burst=2)) == Reserved(True, kept.now * 1000, kept.now * 1000)


@pytest.mark.parametrize(
    "reserve",
    [
        Reserve(KEY, 0, 1),
        Reserve(KEY, COUNT_MAX + 1, 1),
        Reserve(KEY, 1, 0),
        Reserve(KEY, 1, INTERVAL_US_MAX + 1),
        Reserve(KEY, 1, 1, burst=0),
        Reserve(KEY, 1, 1, burst=COUNT_MAX + 1),
    ],
)
def test_a_rate_has_bounds(kept: Kept, reserve: Reserve) -> None:
    with pytest.raises(WrongRecordError, match="must be between"):
        kept(reserve)


# Joins ------------------------------------------------------------------------------------------------


def test_a_group_is_complete_when_all_have_arrived_each_once(kept: Kept) -> None:
    assert kept(Arrive(KEY, "a", 2, WINDOW)) == Arrived(1, 2)
    assert kept(Arrive(KEY, "a", 2, WINDOW)) == Arrived(1, 2)
    assert kept(Arrive(KEY, "b", 2, WINDOW)) == Arrived(2, 2, ("a", "b"))
    assert kept(Arrive(KEY, "b", 2, WINDOW)) == Arrived(2, 2, ("a", "b"))


def test_who_only_looks_makes_no_record(kept: Kept) -> None:
    assert kept(Arrive(KEY, "", 2, WINDOW)) == Arrived(0, 2)
    assert kept.record is None
    kept(Arrive(KEY, "a", 2, WINDOW))
    assert kept(Arrive(KEY, "", 2, WINDOW)) == Arrived(1, 2, ("a",))


def test_a_group_does_not_grow_without_end(kept: Kept) -> None:
    for total in (0, MEMBERS_MAX + 1):
        with pytest.raises(WrongRecordError, match="between 1 and"):
            kept(Arrive(KEY, "a", total, WINDOW))
    kept.record = Join(KEY, [str(number) for number in range(MEMBERS_MAX)], 1, NOW + WINDOW)
    assert isinstance(kept(Arrive(KEY, "0", 1, WINDOW)), Arrived)
    with pytest.raises(WrongRecordError, match="at most"):
        kept(Arrive(KEY, "one more", 1, WINDOW))
