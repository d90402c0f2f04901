"""GetMetricStatistics: several statistics of one metric."""

from typing import Any

import pytest

from encola.engine.metrics import Gauge, Point, ServerPoint
from encola.engine.queue import MINUTE, SECOND, Queue
from encola.protocols.cloudwatch.statistics import DATAPOINTS_MAX

from .conftest import LAST_MINUTE, NOW_SECONDS, Caller, metric
from .source import MadeUp, level

ALL = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"]
VISIBLE = metric("ApproximateNumberOfMessagesVisible")


async def test_points_have_the_statistics_that_were_asked_for_in_the_order_of_time(
    call: Caller, source: MadeUp, work: Queue
) -> None:
    for n in range(4):
        source.add(work.id, Point(LAST_MINUTE - n * MINUTE, 60, visible=Gauge(60 * n, n - 1, n + 1)))
    begin = LAST_MINUTE // 1000 - 180
    span = {"StartTime": begin, "EndTime": begin + 240}
    answer = await call("GetMetricStatistics", **VISIBLE, **span, Period=120, Statistics=ALL)
    assert answer == {
        "Label": VISIBLE["MetricName"],
        "Datapoints": [
            {
                "Timestamp": begin,
                "SampleCount": 2,
                "Average": 2.5,
                "Sum": 5,
                "Minimum": 1,
                "Maximum": 4,
                "Unit": "Count",
            },
            {
                "Timestamp": begin + 120,
                "SampleCount": 2,
                "Average": 0.5,
                "Sum": 1,
                "Minimum": -1,
                "Maximum": 2,
                "Unit": "Count",
            },
        ],
    }
    answer = await call("GetMetricStatistics", **VISIBLE, **span, Period=240, Statistics=["Sum"], Unit="Count")
    assert answer["Datapoints"] == [{"Timestamp": begin, "Sum": 6, "Unit": "Count"}]


async def test_percentiles_stand_beside_the_others(call: Caller, source: MadeUp, work: Queue) -> None:
    for n in range(60):
        source.add(work.id, Point(LAST_MINUTE + n * SECOND, 1, visible=level(n)))
    span = {"StartTime": LAST_MINUTE // 1000, "EndTime": LAST_MINUTE // 1000 + 60}
    answer = await call(
        "GetMetricStatistics", **VISIBLE, **span, Period=60, Statistics=["Average"], ExtendedStatistics=["p0", "p100"]
    )
    assert answer["Datapoints"] == [
        {
            "Timestamp": LAST_MINUTE // 1000,
            "Average": 29.5,
            "Unit": "Count",
            "ExtendedStatistics": {"p0": 0, "p100": 59},
        }
    ]


async def test_the_server_has_metrics_without_a_dimension(call: Caller, source: MadeUp) -> None:
    point = ServerPoint(LAST_MINUTE, 60, commits=4, calls=20, commit_seconds=0.2, commit_seconds_max=0.1)
    source.server.append(point)

    async def of(name: str) -> dict[str, Any]:
        given = {**metric(name, None, "Encola/SQS"), "StartTime": NOW_SECONDS - 300, "EndTime": NOW_SECONDS}
        (found,) = (await call("GetMetricStatistics", **given, Period=60, Statistics=ALL))["Datapoints"]
        return dict(found)

    found = await of("CommitSize")
    assert (found["Average"], "Minimum" in found, "Maximum" in found) == (5, False, False)
    found = await of("CommitSeconds")
    assert (found["Average"], found["Maximum"], found["Unit"]) == (pytest.approx(0.05), 0.1, "Seconds")


@pytest.mark.parametrize("change", [{"Unit": "Bytes"}, metric(queue="nobody"), metric("Nothing"), metric(queue=None)])
async def test_what_does_not_exist_has_no_points(call: Caller, change: dict[str, Any]) -> None:
    span = {"StartTime": NOW_SECONDS - 300, "EndTime": NOW_SECONDS, "Period": 60, "Statistics": ["Sum"]}
    assert (await call("GetMetricStatistics", **{**metric(), **span, **change}))["Datapoints"] == []


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        *(({name: None}, "MissingRequiredParameterException", name) for name in ("Namespace", "MetricName", "StartTime",
                                                                               "EndTime", "Period")),
        ({"Statistics": None}, "InvalidParameterCombinationException", "ExtendedStatistics"),
        ({"Statistics": []}, "InvalidParameterCombinationException", "ExtendedStatistics"),
        ({"Statistics": ["Median"]}, "InvalidParameterValueException", "SampleCount"),
        ({"ExtendedStatistics": ["p101"]}, "InvalidParameterValueException", "p0 to p100"),
        ({"ExtendedStatistics": ["tm90"]}, "InvalidParameterValueException", "p0 to p100"),
        ({"ExtendedStatistics": [f"p{n}" for n in range(11)]}, "InvalidParameterValueException", "at most 10"),
        ({"Period": 59}, "InvalidParameterValueException", "Period"),
        ({"Unit": "Parsecs"}, "InvalidParameterValueException", "Unit"),
        ({"EndTime": NOW_SECONDS - 300}, "ValidationException", "must be less than"),
        ({"StartTime": NOW_SECONDS - DATAPOINTS_MAX * 60 - 1}, "InvalidParameterCombinationException", "1,441"),
        ({"Dimensions": [{"Name": "a", "Value": "b"}] * 31}, "InvalidParameterValueException", "Dimensions"),
        ({"Dimensions": [{"Value": "b"}]}, "ValidationException", "Name"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused(call: Caller, change: dict[str, Any], code: str, told: str) -> None:
    given = {"StartTime": NOW_SECONDS - 300, "EndTime": NOW_SECONDS, "Period": 60, "Statistics": ["Sum"], **metric()}
    found = await call.refusal("GetMetricStatistics", **{**given, **change})
    assert found[0] == code
    assert told in found[1]


async def test_as_many_points_as_there_may_be_are_answered(call: Caller) -> None:
    span = {"StartTime": NOW_SECONDS - DATAPOINTS_MAX * 60, "EndTime": NOW_SECONDS, "Period": 60, "Statistics": ["Sum"]}
    assert (await call("GetMetricStatistics", **metric(), **span))["Datapoints"] == []
