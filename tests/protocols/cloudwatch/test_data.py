"""GetMetricData: values of many metrics, in pages, and expressions over them."""

from typing import Any

import pytest

from encola.engine.metrics import Gauge, Point
from encola.engine.queue import DAY, HOUR, MINUTE, SECOND, Queue
from encola.protocols.cloudwatch import data
from encola.protocols.cloudwatch.queries import DATAPOINTS_MAX, QUERIES_MAX

from .conftest import ACCOUNT, LAST_MINUTE, NOW, NOW_SECONDS, Caller, metric, stat
from .source import MadeUp, level

VISIBLE = "ApproximateNumberOfMessagesVisible"


@pytest.fixture(autouse=True)
def points(source: MadeUp, work: Queue) -> None:
    """Ten minutes of a queue: in the n-th of them n messages were sent, and n * 10 waited."""
    for n in range(1, 11):
        at = LAST_MINUTE - (10 - n) * MINUTE
        source.add(
            work.id, Point(at, 60, sent=n, sent_bytes=n * 100, size_min=90, size_max=110, visible=level(n * 10, 60))
        )


async def test_each_statistic_of_a_level(call: Caller) -> None:
    names = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
    queries = [stat(name.lower(), VISIBLE, name, 300) for name in names]
    assert await call.values(*queries, StartTime=LAST_MINUTE / 1000 - 240, EndTime=LAST_MINUTE / 1000 + 60) == {
        "samplecount": [5], "average": [80], "sum": [400], "minimum": [60], "maximum": [100],
    }  # fmt: skip


async def test_each_statistic_of_a_count(call: Caller) -> None:
    names = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
    queries = [stat(name.lower(), statistic=name, period=300) for name in names]
    assert await call.values(*queries, StartTime=LAST_MINUTE / 1000 - 240, EndTime=LAST_MINUTE / 1000 + 60) == {
        "samplecount": [5], "average": [8], "sum": [40], "minimum": [6], "maximum": [10],
    }  # fmt: skip


async def test_timestamps_are_those_of_the_intervals_newest_first_unless_told_otherwise(call: Caller) -> None:
    queries = [stat("m1")]
    (result,) = (await call.data(*queries, minutes=2))["m1"]
    minute = LAST_MINUTE // 1000
    assert (result["Timestamps"], result["Values"]) == ([minute - 60, minute], [9, 10])
    assert (result["StatusCode"], result["Label"]) == ("Complete", "NumberOfMessagesSent")
    (result,) = (await call.data(*queries, minutes=2, ScanBy="TimestampDescending"))["m1"]
    assert (result["Timestamps"], result["Values"]) == ([minute, minute - 60], [10, 9])


async def test_the_minute_that_is_not_over_is_told_as_far_as_it_has_come(
    call: Caller, source: MadeUp, work: Queue
) -> None:
    source.add(work.id, Point(LAST_MINUTE + MINUTE, 5, sent=10, deleted=5, visible=level(7, 5)))
    found = await call.values(
        stat("sent"), stat("rate", "ArrivalRate", "Average", namespace="Encola/SQS"), stat("level", VISIBLE, "Sum"),
        minutes=0.05,
    )  # fmt: skip
    assert found == {"sent": [10], "rate": [2], "level": [7]}  # five seconds


async def test_percentiles_of_a_level_are_those_of_its_seconds(call: Caller, source: MadeUp, work: Queue) -> None:
    source.points[work.id] = [
        Point(LAST_MINUTE + n * SECOND, 1, visible=level(n), sent=1, sent_bytes=9, size_min=9, size_max=9)
        for n in range(60)
    ]
    queries = [stat(f"p{n}", VISIBLE, f"p{text}") for n, text in enumerate(("0", "50", "100", "99.9"))]
    found = await call.values(*queries, StartTime=LAST_MINUTE / 1000, EndTime=LAST_MINUTE / 1000 + 60)
    assert found == {"p0": [0], "p1": [29.5], "p2": [59], "p3": [pytest.approx(58.941)]}
    sizes = (await call.data(stat("m1", "SentMessageSize", "p50")))["m1"][0]
    assert (sizes["Values"], sizes["Messages"][0]["Code"]) == ([], "StatisticNotAvailable")


@pytest.mark.parametrize(
    "query",
    [
        stat("m1", queue="nobody"),
        stat("m1", "NumberOfMessagesLost"),
        stat("m1", namespace="AWS/EC2"),
        stat("m1", namespace="Encola/SQS"),
        stat("m1", "ArrivalRate"),
        stat("m1", queue=None),
        stat("m1", unit="Bytes"),
    ],
)
async def test_what_does_not_exist_has_no_values(call: Caller, query: dict[str, Any]) -> None:
    (result,) = (await call.data(query))["m1"]
    assert (result["Values"], result["Timestamps"], result["StatusCode"]) == ([], [], "Complete")


async def test_more_dimensions_than_a_queue_has_are_another_metric(call: Caller) -> None:
    query = stat("m1")
    query["MetricStat"]["Metric"]["Dimensions"].append({"Name": "Region", "Value": "x"})
    assert await call.values(query) == {"m1": []}
    query["MetricStat"]["Metric"]["Dimensions"] = [{"Name": "Queue", "Value": "work"}]
    assert await call.values(query) == {"m1": []}


async def test_the_right_unit_changes_nothing(call: Caller) -> None:
    assert await call.values(stat("m1", unit="Count"), minutes=1) == {"m1": [10]}


async def test_accounts_are_kept_apart(call: Caller, stranger: Caller) -> None:
    """Both have a queue of this name."""
    assert (await call.values(stat("m1")))["m1"] != []
    assert await stranger.values(stat("m1")) == {"m1": []}
    told = await call.refusal(
        "GetMetricData", MetricDataQueries=[stat("m1", AccountId="444455556666")], StartTime=0, EndTime=NOW_SECONDS
    )
    assert told[0] == "AccessDeniedException"
    assert (await call.values(stat("m1", AccountId=ACCOUNT)))["m1"] != []


async def test_there_is_nothing_from_before_the_queue_was(call: Caller, source: MadeUp, work: Queue) -> None:
    for n in range(-3, 3):
        source.add(work.id, Point(work.created_at // HOUR * HOUR + n * HOUR, 3600, sent=1))
    start = (NOW - 31 * DAY) / 1000
    found = (await call.data(stat("m1", period=3600), StartTime=start, EndTime=start + 2 * 86400))["m1"][0]
    assert found["Timestamps"] == [work.created_at // HOUR * 3600 + n * 3600 for n in range(3)]


async def test_queries_of_one_queue_are_answered_by_one_reading(call: Caller, source: MadeUp) -> None:
    await call.values(stat("a"), stat("b", VISIBLE), stat("c", statistic="Maximum"), stat("d", period=300))
    assert len(source.asked) == 2  # two windows


async def test_labels_tell_results_apart(call: Caller) -> None:
    async def labels(*queries: dict[str, Any]) -> list[str]:
        return [one["Label"] for results in (await call.data(*queries)).values() for one in results]

    assert await labels(stat("a"), stat("b", Label="mine")) == ["NumberOfMessagesSent", "mine"]
    assert await labels(stat("a"), stat("b", VISIBLE)) == ["NumberOfMessagesSent", VISIBLE]
    assert await labels(stat("a"), stat("b", queue="other")) == ["work", "other"]
    assert await labels(stat("a"), stat("b", VISIBLE, queue="other")) == [
        "work NumberOfMessagesSent",
        f"other {VISIBLE}",
    ]
    assert await labels(stat("a"), {"Id": "e1", "Expression": "a*2"}) == ["NumberOfMessagesSent", "e1"]


# Expressions ----------------------------------------------------------------------------------------


def math(query_id: str, expression: str, **more: Any) -> dict[str, Any]:
    return {"Id": query_id, "Expression": expression, **more}


async def test_the_backlog_per_instance_of_a_scaling_rule(call: Caller) -> None:
    """m1 is hidden; what is answered is what the rule compares with its target."""
    hidden = stat("m1", VISIBLE, "Sum", ReturnData=False)
    assert await call.values(hidden, math("e1", "m1 / FILL(m2, 4)"), stat("m2", queue="other", ReturnData=False)) == {
        "e1": [15, 17.5, 20, 22.5, 25, 0]  # nothing is known of the present minute yet: FILL fills it, too
    }


async def test_expressions_use_expressions_in_whatever_order(call: Caller) -> None:
    found = await call.values(math("e3", "e2+e1"), math("e2", "e1*10"), math("e1", "m1+1"), stat("m1"), minutes=1)
    assert found == {"e3": [121], "e2": [110], "e1": [11], "m1": [10]}


async def test_metrics_are_those_of_the_request_without_its_expressions(call: Caller) -> None:
    queries = [
        stat("sent1"),
        math("e1", "SUM(METRICS())"),
        stat("size1", "SentMessageSize"),
        math("e2", "m*1"),
        stat("m"),
    ]
    found = await call.values(*queries, math("e3", "SUM(METRICS('1'))"), minutes=1)
    assert (found["e1"], found["e3"]) == ([1020], [1010])


async def test_an_array_has_one_result_a_series(call: Caller) -> None:
    found = await call.data(stat("m1"), stat("m2", VISIBLE), math("e1", "METRICS()/10", Label="tenth"), minutes=1)
    assert [(one["Label"], one["Values"]) for one in found["e1"]] == [
        ("tenth NumberOfMessagesSent", [1]),
        (f"tenth {VISIBLE}", [10]),
    ]


async def test_a_constant_line_has_the_times_of_its_period(call: Caller) -> None:
    found = await call.values(
        math("e1", "TIME_SERIES(3)", Period=60), math("e2", "TIME_SERIES(3)", Period=300), stat("m1")
    )
    assert (len(found["e1"]), len(found["e2"])) == (6, 2)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("m1 +", "Unexpected end"),
        ("e1", "depends on itself"),
        ("e2+1", "depends on itself"),
        ("m9", "no query with the Id m9"),
        ("AVG(m1)", "must be a time series"),
        ('SELECT AVG(CPUUtilization) FROM SCHEMA("AWS/EC2")', "Metrics Insights"),
        ("SEARCH('{AWS/SQS,QueueName} NumberOfMessagesSent', 'Sum', 300)", "SEARCH is not supported"),
    ],
)
async def test_what_is_wrong_with_an_expression_is_said_with_its_id(call: Caller, expression: str, told: str) -> None:
    code, message = await call.refusal(
        "GetMetricData",
        MetricDataQueries=[stat("m1"), math("e1", expression), math("e2", "e1")],
        StartTime=NOW_SECONDS - 300,
        EndTime=NOW_SECONDS,
    )
    assert code == "ValidationException"
    assert told in message
    assert "'e1'" in message or "'e2'" in message


async def test_long_chains_of_expressions_are_no_danger(call: Caller) -> None:
    chain = [math(f"e{n}", f"e{n + 1}+1") for n in range(QUERIES_MAX - 2)]
    found = await call.values(*chain, math(f"e{QUERIES_MAX - 2}", "m1"), stat("m1"), minutes=1)
    assert found["e0"] == [10 + QUERIES_MAX - 2]


async def test_expressions_that_are_too_much_work_are_refused(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "WORK_MAX", 100)
    given = {"StartTime": NOW_SECONDS - 300, "EndTime": NOW_SECONDS}
    code, message = await call.refusal(
        "GetMetricData", MetricDataQueries=[stat("m1"), math("e1", "+".join(["m1"] * 99))], **given
    )
    assert (code, "too many data points" in message) == ("ValidationException", True)
    monkeypatch.setattr(data, "POINTS_READ_MAX", 3)
    queries = [stat("m1", ReturnData=False), math("e1", "m1")]
    code, message = await call.refusal("GetMetricData", MetricDataQueries=queries, **given)
    assert (code, "more than 3 data points" in message) == ("ValidationException", True)


# Pages ----------------------------------------------------------------------------------------------


async def pages(call: Caller, *queries: dict[str, Any], most: int, **more: Any) -> list[list[dict[str, Any]]]:
    """The results of all pages."""
    given = {"StartTime": NOW_SECONDS - 600, "EndTime": NOW_SECONDS, "MaxDatapoints": most, **more}
    found, token = [], {}
    while True:
        answer = await call("GetMetricData", MetricDataQueries=list(queries), **given, **token)
        found.append(answer["MetricDataResults"])
        if "NextToken" not in answer:
            return found
        token = {"NextToken": answer["NextToken"]}
        assert len(found) < 1000


@pytest.mark.parametrize("most", [1, 3, 7, 10, 11, 100])
@pytest.mark.parametrize("scan", ["TimestampAscending", "TimestampDescending"])
async def test_pages_together_are_the_whole(call: Caller, most: int, scan: str) -> None:
    queries = [stat("m1"), math("e1", "METRICS()*2"), stat("nothing", queue="other"), stat("m2", VISIBLE, "Average")]
    (whole,) = await pages(call, *queries, most=1000, ScanBy=scan)
    found = await pages(call, *queries, most=most, ScanBy=scan)
    assert max(sum(len(one["Values"]) for one in page) for page in found) <= most

    def merged(results: list[dict[str, Any]]) -> dict[tuple[str, str], list[tuple[int, float]]]:
        by_name: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for one in results:
            values = zip(one["Timestamps"], one["Values"], strict=True)
            by_name.setdefault((one["Id"], one["Label"]), []).extend(values)
        return by_name

    assert merged([one for page in found for one in page]) == merged(whole)
    assert all(one["StatusCode"] == "Complete" for page in found for one in page[:-1])
    assert [page[-1]["StatusCode"] for page in found][-1] == "Complete"


async def test_a_page_ends_when_much_was_read(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "POINTS_READ_PER_PAGE", 5)
    found = await pages(call, stat("m1"), stat("m2", period=300), stat("m3", period=120), most=1000)
    assert [[one["Id"] for one in page] for page in found] == [["m1"], ["m2"], ["m3"]]


async def test_a_token_is_good_for_its_own_request_only(call: Caller) -> None:
    given = {"StartTime": NOW_SECONDS - 600, "EndTime": NOW_SECONDS, "MaxDatapoints": 1}
    token = (await call("GetMetricData", MetricDataQueries=[stat("m1")], **given))["NextToken"]
    for queries, more in (
        ([stat("m2")], {}),
        ([stat("m1")], {"EndTime": NOW_SECONDS - 1}),
        ([stat("m1")], {"NextToken": "x"}),
    ):
        code, _ = await call.refusal(
            "GetMetricData", MetricDataQueries=queries, **{**given, "NextToken": token, **more}
        )
        assert code == "InvalidNextToken"


# What is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"MetricDataQueries": None}, "ValidationException", "MetricDataQueries"),
        ({"MetricDataQueries": []}, "ValidationException", "MetricDataQueries"),
        ({"MetricDataQueries": [stat(f"m{n}") for n in range(QUERIES_MAX + 1)]}, "ValidationException", "500"),
        ({"StartTime": None}, "MissingRequiredParameterException", "StartTime"),
        ({"EndTime": None}, "MissingRequiredParameterException", "EndTime"),
        ({"EndTime": NOW_SECONDS - 600}, "ValidationException", "must be less than"),
        ({"StartTime": -1}, "ValidationException", "1970"),
        ({"EndTime": 1e15}, "ValidationException", "9999"),
        ({"ScanBy": "Random"}, "ValidationException", "ScanBy"),
        ({"MaxDatapoints": 0}, "ValidationException", "MaxDatapoints"),
        ({"MaxDatapoints": DATAPOINTS_MAX + 1}, "ValidationException", "MaxDatapoints"),
        ({"MetricDataQueries": [stat("m1", ReturnData=False)]}, "ValidationException", "ReturnData"),
        ({"MetricDataQueries": [stat("M1")]}, "ValidationException", "small letter"),
        ({"MetricDataQueries": [stat("m-1")]}, "ValidationException", "letters"),
        ({"MetricDataQueries": [stat("m" * 256)]}, "ValidationException", "255"),
        ({"MetricDataQueries": [stat("m1"), stat("m1")]}, "ValidationException", "not unique"),
        ({"MetricDataQueries": [{"Id": "m1"}]}, "ValidationException", "either MetricStat or Expression"),
        ({"MetricDataQueries": [stat("m1", Expression="m1")]}, "ValidationException", "not both"),
        ({"MetricDataQueries": [stat("m1", period=45)]}, "ValidationException", "Period"),
        ({"MetricDataQueries": [math("e1", "TIME_SERIES(1)", Period=45)]}, "ValidationException", "Period"),
        ({"MetricDataQueries": [stat("m1", statistic="Median")]}, "ValidationException", "Stat must be"),
        ({"MetricDataQueries": [stat("m1", statistic="tm90")]}, "ValidationException", "not supported"),
        ({"MetricDataQueries": [stat("m1", statistic="p101")]}, "ValidationException", "Stat must be"),
        ({"MetricDataQueries": [stat("m1", unit="Parsecs")]}, "ValidationException", "Unit"),
        ({"MetricDataQueries": [stat("m1", Label="x" * 1025)]}, "ValidationException", "Label"),
        (
            {"MetricDataQueries": [{"Id": "m1", "MetricStat": {"Metric": metric(), "Stat": "Sum"}}]},
            "ValidationException",
            "Period",
        ),
        ({"MetricDataQueries": "m1"}, "ValidationException", "MetricDataQueries"),
    ],
)
async def test_what_cannot_be_is_refused(call: Caller, change: dict[str, Any], code: str, told: str) -> None:
    given = {"MetricDataQueries": [stat("m1")], "StartTime": NOW_SECONDS - 300, "EndTime": NOW_SECONDS, **change}
    found = await call.refusal("GetMetricData", **given)
    assert found[0] == code
    assert told in found[1]


async def test_a_gauge_that_varied_has_its_extremes(call: Caller, source: MadeUp, work: Queue) -> None:
    source.points[work.id] = [Point(LAST_MINUTE, 60, visible=Gauge(120, 0, 50))]
    queries = [stat(name.lower(), VISIBLE, name) for name in ("Minimum", "Average", "Maximum")]
    assert await call.values(*queries, minutes=1) == {"minimum": [0], "average": [2], "maximum": [50]}
