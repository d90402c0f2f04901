"""ListMetrics: what there is to ask for."""

from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.engine.queue import Address, Settings
from encola.metrics.definitions import QUEUE, SERVER
from encola.protocols.cloudwatch.listing import PAGE

from .conftest import ACCOUNT, Caller, metric

Found = set[tuple[str, str, str]]


async def listed(call: Caller, **given: Any) -> Found:
    """Namespace, name and queue of each metric, of all pages; none comes twice."""
    found: list[tuple[str, str, str]] = []
    token: dict[str, str] = {}
    while True:
        answer = await call("ListMetrics", **given, **token)
        assert len(answer["Metrics"]) <= PAGE
        for one in answer["Metrics"]:
            queue = next((dimension["Value"] for dimension in one.get("Dimensions", ())), "")
            found.append((one["Namespace"], one["MetricName"], queue))
        if "NextToken" not in answer:
            assert len(set(found)) == len(found)
            return set(found)
        token = {"NextToken": answer["NextToken"]}


async def test_all_metrics_of_the_callers_queues_are_listed_and_those_of_the_server(call: Caller) -> None:
    of_queues = {(one.namespace, one.name, queue) for one in QUEUE for queue in ("work", "other")}
    assert await listed(call) == of_queues | {(one.namespace, one.name, "") for one in SERVER}
    assert await listed(call, RecentlyActive="PT3H", IncludeLinkedAccounts=True) == await listed(call)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"MetricName": "ArrivalRate"},
         {("Encola/SQS", "ArrivalRate", "work"), ("Encola/SQS", "ArrivalRate", "other")}),
        (metric(), {("AWS/SQS", "NumberOfMessagesSent", "work")}),
        ({"Namespace": "AWS/SQS", "MetricName": "ArrivalRate"}, set()),
        ({"Namespace": "AWS/EC2"}, set()),
        ({"MetricName": "CommitSize"}, {("Encola/SQS", "CommitSize", "")}),
        ({"MetricName": "CommitSize", "Dimensions": [{"Name": "QueueName"}]}, set()),
        ({"MetricName": "ParkedPolls", "Dimensions": [{"Name": "QueueName"}]},
         {("Encola/SQS", "ParkedPolls", "work"), ("Encola/SQS", "ParkedPolls", "other")}),
        (metric(queue="nobody"), set()),
        ({**metric(), "Dimensions": [{"Name": "Region"}]}, set()),
        ({**metric(), "Dimensions": [{"Name": "QueueName", "Value": "work"}, {"Name": "QueueName", "Value": "other"}]},
         set()),
        ({"OwningAccount": "444455556666"}, set()),
        ({"OwningAccount": ACCOUNT, **metric()}, {("AWS/SQS", "NumberOfMessagesSent", "work")}),
    ],
)  # fmt: skip
async def test_filters_leave_what_they_name(call: Caller, given: dict[str, Any], expected: Found) -> None:
    assert await listed(call, **given) == expected


async def test_accounts_are_kept_apart(stranger: Caller) -> None:
    assert {queue for *_, queue in await listed(stranger)} == {"", "work"}


async def test_many_metrics_come_in_pages_though_queues_come_and_go_between(call: Caller, broker: Broker) -> None:
    for n in range(100):
        await broker.create(Address(ACCOUNT, f"q{n:03}"), ordered=False, settings=Settings(), tags={})
    assert len(await listed(call)) == 102 * len(QUEUE) + len(SERVER)
    first = await call("ListMetrics")
    last = first["Metrics"][-1]["Dimensions"][0]["Value"]
    queue = broker.find(Address(ACCOUNT, last))
    assert queue is not None
    await broker.drop(queue)
    await broker.create(Address(ACCOUNT, "a-first"), ordered=False, settings=Settings(), tags={})
    second = await call("ListMetrics", NextToken=first["NextToken"])
    assert second["Metrics"][0]["Dimensions"][0]["Value"] == f"q{int(last[1:]) + 1:03}"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"RecentlyActive": "PT1H"}, "InvalidParameterValueException"),
        ({"NextToken": "nonsense"}, "InvalidNextToken"),
        ({"NextToken": "é"}, "InvalidNextToken"),
        ({"Dimensions": [{"Name": "QueueName"}] * 11}, "InvalidParameterValueException"),
        ({"Dimensions": [{}]}, "ValidationException"),
    ],
)
async def test_what_cannot_be_is_refused(call: Caller, given: dict[str, Any], code: str) -> None:
    assert (await call.refusal("ListMetrics", **given))[0] == code
