"""When a schedule fires: over changes of the clock, after a time in which nobody was there, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import encola
from encola.consumers.clockwork import WINDOW_MS
from encola.consumers.cron import CATCH_UP_SECONDS_MAX, Schedule, tick
from encola.consumers.errors import ConfigurationError

BERLIN = "Europe/Berlin"
SPRING = datetime(2026, 3, 29, tzinfo=ZoneInfo(BERLIN))  # 02:00 is 03:00
AUTUMN = datetime(2026, 10, 25, tzinfo=ZoneInfo(BERLIN))  # 03:00 is 02:00


def schedule(expression: str, timezone: str = "UTC", catch_up: float = 60.0) -> Schedule:
    app = encola.App("clock")

    @app.task(queue="q")
    def ring() -> None: ...

    return Schedule(ring, expression, timezone, catch_up)


def hours(expression: str, day: datetime) -> list[str]:
    """When it fires on a day in Berlin, in UTC."""
    rings = schedule(expression, BERLIN)
    end = (day + timedelta(days=1)).astimezone(UTC)
    found, time = [], rings.next_after(day - timedelta(seconds=1))
    while time.astimezone(UTC) < end:
        found.append(f"{time.astimezone(UTC):%H:%M}")
        time = rings.next_after(time)
    return found


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("30 2 * * *", ["01:00"]),  # there is no 02:30: as soon as it is over
        ("30 1 * * *", ["00:30"]),
        ("30 3 * * *", ["01:30"]),
        ("0 6 * * *", ["04:00"]),
    ],
)
def test_on_the_day_that_lacks_an_hour_a_daily_schedule_fires_once(expression: str, times: list[str]) -> None:
    assert hours(expression, SPRING) == times


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("30 2 * * *", ["00:30"]),  # 02:30 is there twice: the first counts
        ("30 1 * * *", []),  # 23:30 of the day before, in UTC
        ("30 3 * * *", ["02:30"]),
        ("0 6 * * *", ["05:00"]),
    ],
)
def test_on_the_day_that_has_an_hour_twice_a_daily_schedule_fires_once(expression: str, times: list[str]) -> None:
    assert [time for time in hours(expression, AUTUMN) if time < "22"] == times


def test_an_hourly_schedule_fires_in_each_hour_that_there_is() -> None:
    assert len(hours("15 * * * *", SPRING)) == 23
    assert len(hours("15 * * * *", AUTUMN)) == 25
    assert len(hours("*/30 * * * *", AUTUMN)) == 50


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),
    st.sampled_from(["0 6 * * 1-5", "*/7 * * * *", "5 4 L * *"]),
)
def test_the_next_time_is_later_and_has_none_before_it(moment: datetime, expression: str) -> None:
    rings = schedule(expression, BERLIN)
    now = moment.replace(tzinfo=UTC)
    time = rings.next_after(now)
    assert time.astimezone(UTC) > now
    assert rings.next_after(time - timedelta(seconds=1)) == time
    assert (time.second, time.microsecond) == (0, 0)


@pytest.mark.parametrize(
    ("catch_up", "now", "missed"),
    [
        (60, "06:00:00", "06:00"),
        (60, "06:00:59", "06:00"),
        (60, "06:01:00", None),
        (60, "05:59:59", None),
        (0, "06:00:00", None),
        (7200, "07:59:59", "07:00"),  # the last of those that were missed, once
        (86_400, "03:00:00", "07:00"),
    ],
)
def test_a_time_that_was_missed_is_made_up_for_within_its_limit(catch_up: float, now: str, missed: str | None) -> None:
    moment = datetime.fromisoformat(f"2026-10-02T{now}+00:00")
    found = schedule("0 6,7 * * *", catch_up=catch_up).missed(moment)
    assert (f"{found:%H:%M}" if found else None) == missed


def test_a_time_in_the_hour_that_is_there_twice_is_missed_in_its_own_hour_only() -> None:
    rings = schedule("30 2 * * *", BERLIN, catch_up=600)
    assert rings.missed(datetime(2026, 10, 25, 0, 35, tzinfo=UTC)) is not None
    assert rings.missed(datetime(2026, 10, 25, 1, 35, tzinfo=UTC)) is None


@pytest.mark.parametrize("minute", range(0, 60, 10))
def test_in_the_hour_that_is_there_twice_the_next_time_of_a_daily_schedule_is_tomorrow(minute: int) -> None:
    """It was one of the first: a worker that began in the second sent it at once, and asked again without a pause."""
    moment = datetime(2026, 10, 25, 1, minute, tzinfo=UTC)
    assert schedule("30 2 * * *", BERLIN).next_after(moment) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    assert schedule("*/20 * * * *", BERLIN).next_after(moment).astimezone(UTC) - moment <= timedelta(minutes=20)


def test_a_time_is_named_in_utc_so_that_the_doubled_hour_has_two_names() -> None:
    first = AUTUMN.replace(hour=2, minute=30)
    assert tick(first) == "20261025T0030Z"
    assert tick(first.replace(fold=1)) == "20261025T0130Z"


@pytest.mark.parametrize(
    ("expression", "timezone", "text"),
    [
        ("0 6 * *", "UTC", "'0 6 . .' is no cron expression that ever fires: it has 4 fields, not 5"),
        ("", "UTC", "is no cron expression that ever fires: it has 0 fields, not 5"),
        ("@daily", "UTC", "is no cron expression that ever fires"),
        ("61 * * * *", "UTC", "is no cron expression that ever fires: Bad minute"),
        ("0 0 30 2 *", "UTC", "is no cron expression that ever fires: Bad day-of-month"),
        (5, "UTC", "5 is no cron expression that ever fires: it has 1 fields, not 5"),
        ("* * * * * *", "UTC", "is no cron expression that ever fires: it has 6 fields, not 5"),
        ("0 6 * * *", "Europe/Nowhere", "no time zone is called 'Europe/Nowhere'"),
        ("0 6 * * *", "", "no time zone is called ''"),
        ("0 6 * * *", 1, "no time zone is called 1"),
        ("0 6 * * *", "../etc/passwd", "no time zone is called"),
    ],
)
def test_what_is_no_schedule_is_refused(expression: Any, timezone: Any, text: str) -> None:
    """Six fields were taken: seconds, of which all in a minute had one name, and so all but one were lost."""
    with pytest.raises(ConfigurationError, match=text) as refused:
        schedule(expression, timezone)
    assert str(refused.value).startswith("cron of ring: ")


@pytest.mark.parametrize("catch_up", [-1, 86_401, float("nan"), "60", None, True])
def test_a_time_is_made_up_for_within_a_day_or_not_at_all(catch_up: Any) -> None:
    """With less than nothing times were skipped; after more than the claim's two days a time was sent once more."""
    with pytest.raises(ConfigurationError, match=r"cron of ring: catch_up is between 0 and 86400 seconds"):
        schedule("0 6 * * *", catch_up=catch_up)
    assert CATCH_UP_SECONDS_MAX * 1000 < WINDOW_MS
    assert schedule("0 6 * * *", catch_up=CATCH_UP_SECONDS_MAX).catch_up == CATCH_UP_SECONDS_MAX


def test_what_needs_arguments_or_leaves_no_record_cannot_be_scheduled() -> None:
    app = encola.App("clock")

    @app.task(queue="q")
    def write(text: str) -> None: ...

    @app.task(queue="q", track=False)
    def plain() -> None: ...

    with pytest.raises(encola.BadPayloadError, match="missing a required argument: 'text'"):
        app.cron("0 6 * * *")(write)
    with pytest.raises(ConfigurationError, match="cron of plain: it needs records, but the task has track=False"):
        app.cron("0 6 * * *")(plain)
    assert app.schedules == []


def test_a_plain_function_becomes_a_task_by_its_schedule() -> None:
    app = encola.App("clock")

    @app.cron("0 6 * * 1-5", timezone=BERLIN)
    @app.cron("0 9 * * 6", queue="weekend")
    def ring(times: int = 1) -> None: ...

    @app.cron("0 6 * * *")
    def other() -> None: ...

    assert (ring.name, ring.queue, other.queue) == ("ring", "weekend", "clock")
    assert [one.task.name for one in app.schedules] == ["ring", "ring", "other"]
