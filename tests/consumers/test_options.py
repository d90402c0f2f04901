"""What can be said of a task and of a wish, and how each thing that cannot be is refused."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.consumers.errors import ConfigurationError
from encola.consumers.options import Priority, Rate, SendOptions, TaskOptions, check_template, lane_of, template

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


# Rates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [
        ("100/s", 100, 1),
        ("30/m", 30, 60),
        ("5/10s", 5, 10),
        ("1/h", 1, 3600),
        ("2/d", 2, 86_400),
        (" 7 / 2 m ", 7, 120),
    ],
)
def test_a_rate_is_read_as_it_is_written(text: str, count: int, seconds: float) -> None:
    assert Rate.parse(text) == Rate(count, seconds)


@pytest.mark.parametrize(
    "text", ["", "/", "5", "5/", "/s", "0/s", "-1/s", "1.5/s", "5/0s", "5/x", "5/s/m", "²/s", "5/²s", "٣/s", "1e3/s",
             "9999999999/s"]
)  # fmt: skip
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match="a rate is written as 100/s, 30/m or 5/10s, not "):
        Rate.parse(text)


@pytest.mark.parametrize("text", ["1/2d", "1/25h", "3/4d"])
def test_a_rate_that_no_store_can_keep_is_refused(text: str) -> None:
    """Its jobs came back for ever: the store refused to book a start."""
    with pytest.raises(ConfigurationError, match="a rate is at least one a day"):
        Rate.parse(text)
    assert Rate.parse("1/d").interval_us == 86_400_000_000


@given(st.integers(1, 999_999), st.sampled_from("smhd"))
def test_the_interval_of_a_rate_is_its_time_over_its_count(count: int, unit: str) -> None:
    rate = Rate.parse(f"{count}/{unit}")
    assert rate.interval_us == max(1, round(rate.seconds * 1_000_000 / count))


# Tasks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": ""}, "a name has up to 100 letters, digits, dots, - and _"),
        ({"name": "a/b"}, "a name has up to 100 letters"),
        ({"name": "x" * 101}, "a name has up to 100 letters"),
        ({"queue": ""}, "task report: which queue?"),
        ({"timeout": 0}, "a timeout is a number of seconds above 0"),
        ({"timeout": -1}, "a timeout is a number of seconds above 0"),
        ({"timeout": math.inf}, "a timeout is a number of seconds above 0"),
        ({"timeout": math.nan}, "a timeout is a number of seconds above 0"),
        ({"retries": -1}, "between 0 and 1000 retries"),
        ({"retries": 1001}, "between 0 and 1000 retries"),
        ({"limit_per_key": 0, "key": "k"}, "limit_per_key is between 1 and 1000"),
        ({"limit_per_key": 1001, "key": "k"}, "limit_per_key is between 1 and 1000"),
        ({"limit_per_key": 1}, r"limit_per_key needs limit_key \(or key\)"),
        ({"priority": "urgent"}, "the priority is one of high, normal, low"),
        ({"run": "fork"}, "run is thread or process"),
        ({"window": 0}, "the window is between 0 and 365 days"),
        ({"window": 366 * 86_400}, "the window is between 0 and 365 days"),
        ({"window": math.nan}, "the window is between 0 and 365 days"),
        ({"key": "k", "track": False}, "a key needs a record, but the task has track=False"),
    ],
)
def test_what_a_task_cannot_have_is_refused_with_its_name(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as refused:
        TaskOptions(**{"queue": "q", "name": "report", **options})
    assert str(refused.value).startswith("task ")


def test_the_ends_of_each_range_may_be_had() -> None:
    TaskOptions(
        queue="q", name="x" * 100, timeout=1e-9, retries=1000, limit_per_key=1000, limit_key="k", window=365 * 86_400.0
    )
    TaskOptions(queue="q", name="a.b-c_d9", retries=0, limit_per_key=1, key="k", window=1e-9)


# Wishes ----------------------------------------------------------------------------------------------


def test_a_delay_is_in_seconds_and_a_time_is_a_delay_from_now() -> None:
    assert SendOptions(delay=90).seconds() == 90
    assert SendOptions(at=NOON + timedelta(minutes=2)).seconds(now=lambda: NOON) == 120
    elsewhere = (NOON + timedelta(minutes=2)).astimezone(timezone(timedelta(hours=9)))
    assert SendOptions(at=elsewhere).seconds(now=lambda: NOON) == 120


def test_a_time_that_is_over_means_now() -> None:
    assert SendOptions(at=NOON - timedelta(days=400)).seconds(now=lambda: NOON) == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"at": datetime(2026, 10, 1)}, "`at` needs a time zone"),
        ({"delay": 14 * 86_400 + 0.001}, "a delay is at most 14 days"),
        ({"delay": math.nan}, "a delay is a number of seconds, not nan"),
        ({"at": NOON + timedelta(days=14, seconds=1)}, "a delay is at most 14 days"),
        ({"delay": -0.1}, "a delay is not negative"),
    ],
)
def test_a_delay_that_cannot_be_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        SendOptions(**options).seconds(now=lambda: NOON)


def test_a_priority_that_is_none_is_refused() -> None:
    """It was sent to a queue that did not exist."""
    with pytest.raises(ConfigurationError, match="the priority is one of high, normal, low"):
        SendOptions(priority="urgent")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("queue", "priority", "lane"),
    [
        ("reports", "normal", "reports"),
        ("reports", "high", "reports-high"),
        ("reports", "low", "reports-low"),
        ("reports.fifo", "normal", "reports.fifo"),
        ("reports.fifo", "low", "reports-low.fifo"),
    ],
)
def test_each_priority_has_its_lane(queue: str, priority: Priority, lane: str) -> None:
    assert lane_of(queue, priority) == lane


# Patterns --------------------------------------------------------------------------------------------


def test_a_pattern_is_filled_in_with_arguments_and_a_function_is_called_with_them() -> None:
    arguments = {"month": "2026-10", "of": {"id": 7}, "at": NOON}
    assert template("report/{month}", arguments, "the key") == "report/2026-10"
    assert template("{of[id]}/{at:%Y}/{{}}", arguments, "the key") == "7/2026/{}"
    assert template(lambda month, **more: month[:4], arguments, "the key") == "2026"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("{year}", "KeyError: 'year'"),
        ("{}", "IndexError"),
        ("{month.year}", "AttributeError"),
        ("{month:d}", "ValueError"),
        ("{month", "ValueError"),
        (lambda: "k", "TypeError"),
        (lambda month: 5, "a int is no text"),
    ],
)
def test_a_pattern_that_cannot_be_filled_in_is_an_error_that_says_which_and_why(
    pattern: str | Callable[..., str], text: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"task report: the key .* cannot be filled in: ") as refused:
        template(pattern, {"month": "2026-10"}, "task report: the key")
    assert text in str(refused.value)


@pytest.mark.parametrize("pattern", ["{year}", "{}", "{0}", "{month", "{month}}", "{year.month}", "{year[0]}"])
def test_a_pattern_that_names_no_parameter_is_refused_at_the_declaration(pattern: str) -> None:
    """That of ``limit_key`` was looked at by the consumer only, and the message came back for ever."""
    with pytest.raises(ConfigurationError, match=r"task report: the limit_key .* cannot be filled in: "):
        check_template(pattern, ("month",), "task report: the limit_key")


@pytest.mark.parametrize("pattern", [None, "", "all", "{month}", "{month.year}", "{month[0]}", "{{}}", "{month!r:>10}"])
def test_other_patterns_pass(pattern: str | None) -> None:
    check_template(pattern, ("month",), "task report: the key")
    check_template(lambda whatever: "", (), "a function may take what it likes")
