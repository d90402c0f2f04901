"""The definitions of metrics: their statistics from points, and what they are called."""

import pytest
from botocore.session import Session

from encola.engine.metrics import Gauge, Point, ServerPoint
from encola.metrics.definitions import AWS, OURS, QUEUE, QUEUE_BY_NAME, SERVER, Definition, Kind, Statistics, combine

POINT = Point(
    0, 60, sent=120, sent_bytes=6000, size_min=10, size_max=90, received=100, deleted=180, empty_receives=7,
    dead_lettered=3, visible=Gauge(600, 5, 15), age=Gauge(120, 1, 3), busy=Gauge(60, 1, 1),
)  # fmt: skip


def of(name: str, namespace: str = AWS) -> Definition:
    return QUEUE_BY_NAME[namespace, name]


@pytest.mark.parametrize(
    ("name", "namespace", "expected"),
    [
        ("ApproximateNumberOfMessagesVisible", AWS, Statistics(1, 10, 5, 15)),
        ("ApproximateAgeOfOldestMessage", AWS, Statistics(1, 2, 1, 3)),
        ("NumberOfMessagesSent", AWS, Statistics(1, 120, 120, 120)),
        ("NumberOfEmptyReceives", AWS, Statistics(1, 7, 7, 7)),
        ("SentMessageSize", AWS, Statistics(120, 6000, 10, 90)),
        ("NumberOfMessagesDeadLettered", OURS, Statistics(1, 3, 3, 3)),
        ("ArrivalRate", OURS, Statistics(1, 2, 2, 2)),
        ("ServiceRate", OURS, Statistics(1, 3, 3, 3)),
        ("TimeToDrain", OURS, Statistics(1, 10, 10, 10)),  # ten wait, and each second there is one less
        ("ConsumersBusy", OURS, Statistics(1, 1, 1, 1)),
    ],
)
def test_a_minute_is_one_sample_whose_values_are_those_of_the_point(
    name: str, namespace: str, expected: Statistics
) -> None:
    assert of(name, namespace).measure(POINT, 60) == expected


def test_five_minutes_are_five_samples_however_they_come_together() -> None:
    """As in CloudWatch: the sum of a level over five minutes is five times its average."""
    for name in ("ApproximateNumberOfMessagesVisible", "NumberOfMessagesSent"):
        minute = of(name).measure(POINT, 60)
        assert minute is not None
        together = combine([minute] * 5)
        assert (together.count, together.total, together.average) == (5, 5 * minute.total, minute.total)
    hour = of("ApproximateNumberOfMessagesVisible").measure(POINT, 3600)
    assert hour is not None
    assert (hour.count, hour.total, hour.average) == (60, 600, 10)


def test_less_than_a_minute_is_one_sample() -> None:
    counted = of("NumberOfMessagesSent").measure(Point(0, 1, sent=4), 1)
    assert counted == Statistics(1, 4, 4, 4)


@pytest.mark.parametrize("definition", QUEUE, ids=lambda one: one.name)
def test_nothing_is_made_of_nothing(definition: Definition) -> None:
    """An interval in which nobody looked has no levels and no sizes; a quiet one has zeros, and no sizes."""
    unseen, quiet = definition.measure(Point(0), 60), definition.measure(Point(0, 60), 60)
    if definition.kind in (Kind.LEVEL, Kind.SIZE, Kind.DRAIN):
        assert unseen is None
    if definition.kind is Kind.SIZE:
        assert quiet is None
    else:
        assert quiet == Statistics(1, 0, 0, 0)


def test_a_queue_that_does_not_shrink_has_no_time_to_drain() -> None:
    growing = Point(0, 60, sent=10, deleted=10, visible=Gauge(60, 1, 1))
    assert of("TimeToDrain", OURS).measure(growing, 60) is None


def test_commits_have_an_average_and_the_extremes_that_were_measured() -> None:
    point = ServerPoint(0, 60, commits=4, calls=20, commit_seconds=0.2, commit_seconds_max=0.1)
    found = {one.name: one.measure(point, 60) for one in SERVER}
    assert found["Commits"] == Statistics(1, 4, 4, 4)
    assert found["CommitSize"] == Statistics(4, 20, None, None)
    assert found["CommitSeconds"] == Statistics(4, 0.2, None, 0.1)
    none = ServerPoint(0, 60)
    assert [one.measure(none, 60) for one in SERVER if one.name in ("CommitSize", "CommitSeconds")] == [None, None]
    both = combine([Statistics(1, 2, None, 2), Statistics(1, 3, 3, 3)])
    assert (both.low, both.high) == (None, 3)


def test_names_are_told_apart_and_units_are_words_of_cloudwatch() -> None:
    units = Session().get_service_model("cloudwatch").shape_for("StandardUnit").enum
    for table, kind in ((QUEUE, Point), (SERVER, ServerPoint)):
        assert len({(one.namespace, one.name) for one in table}) == len(table)
        for one in table:
            assert one.unit in units
            assert one.field in kind.__struct_fields__
            assert one.namespace in (AWS, OURS)
            assert one.description.endswith(".")
