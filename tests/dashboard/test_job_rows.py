"""The attempts of a job as its page tells them, and places in lists."""

import msgspec

from encola.dashboard.job_rows import attempts_of, row_of
from encola.dashboard.job_search import place_of, text_of
from encola.dashboard.links import Links
from encola.engine.records import ERRORS_MAX, Failure, Job, JobState

NOW = 1_000_000


def job(state: JobState, attempts: int, *numbers: int, **more: object) -> Job:
    """One whose attempts with these numbers failed."""
    errors = tuple(
        Failure(number, NOW - 1000 + place, "ValueError", "no", "", "w1") for place, number in enumerate(numbers)
    )
    made = Job("office/report/1", "report", "reports", state, "me", 1, NOW + 100, NOW + 9999, "", NOW - 5000, NOW - 10)
    return msgspec.structs.replace(
        made, attempts=attempts, started_at=NOW - 3000, worker="w2", errors=errors, **more
    )  # fmt: skip


def told(one: Job) -> list[tuple[int, int, str]]:
    return [(attempt.number, attempt.until, attempt.outcome) for attempt in attempts_of(one)]


def test_failures_come_first_and_then_how_it_stands() -> None:
    assert told(job("running", 3, 1, 2)) == [(1, 1, "failed"), (2, 2, "failed"), (3, 3, "running")]
    assert told(job("failed", 2, 1, 2)) == [(1, 1, "failed"), (2, 2, "failed")]
    assert told(job("dead", 2, 1, 2)) == [(1, 1, "failed"), (2, 2, "dead")]
    assert told(job("completed", 2, 1, finished_at=NOW)) == [(1, 1, "failed"), (2, 2, "completed")]


def test_attempts_of_workers_that_died_are_told_as_lost() -> None:
    assert told(job("running", 4)) == [(1, 3, "lost"), (4, 4, "running")]
    assert told(job("completed", 4, 2, finished_at=NOW)) == [
        (1, 1, "lost"), (2, 2, "failed"), (3, 3, "lost"), (4, 4, "completed"),
    ]  # fmt: skip


def test_after_a_retry_of_a_dead_job_numbers_begin_anew_and_nothing_is_lost() -> None:
    one = job("completed", 1, 1, 2, 3, finished_at=NOW)
    assert told(one) == [(1, 1, "failed"), (2, 2, "failed"), (3, 3, "failed"), (1, 1, "completed")]


def test_errors_that_were_not_kept_are_not_lost_attempts() -> None:
    numbers = range(11, 11 + ERRORS_MAX)
    assert told(job("failed", numbers[-1], *numbers))[0] == (11, 11, "failed")


def test_a_cancelled_job_tells_its_last_attempt_once() -> None:
    assert told(job("cancelled", 1, 1, finished_at=NOW)) == [(1, 1, "cancelled")]
    assert told(job("cancelled", 0, finished_at=NOW)) == [(0, 0, "cancelled")]


def test_a_row_tells_how_long_it_ran_and_that_its_lease_is_over() -> None:
    row = row_of(job("running", 1, cancelled=True), NOW)
    assert (row.seconds, row.lease_over, row.cancelling) == (3.0, False, True)
    assert row_of(job("running", 1), NOW + 200).lease_over
    ended = row_of(job("dead", 1, 1, finished_at=NOW - 1000), NOW)
    assert (ended.seconds, ended.error, ended.cancelling) == (2.0, "ValueError: no", False)


def test_a_place_in_a_list_comes_back_from_the_address() -> None:
    for place in ((17, "office/report/a~b"), (0, "x")):
        assert place_of(text_of(place)) == place
    assert [place_of(text) for text in ("", "x", "-1~k", "1", "1" * 20 + "~k")] == [None] * 5


def test_a_key_that_no_path_can_hold_goes_into_the_query() -> None:
    links = Links("", "1", "1")
    assert links.job("a/b?c#d") == "/ui/jobs/a%2Fb%3Fc%23d"
    assert links.job("a/b\nc") == "/ui/job?key=a%2Fb%0Ac"
    assert links.job("é" * 1000).startswith("/ui/job?key=")
