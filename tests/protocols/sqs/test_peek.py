"""PeekMessages, an operation of encola's own: all messages of a queue are seen, and none is touched."""

import json
from typing import Any

import pytest

from encola.protocols.http.message import Request
from encola.protocols.sqs.endpoint import SqsEndpoint

from ...broker.conftest import TestClock
from .client import ACCOUNT, OTHER_ACCOUNT, Client

STORES = ("memory", "sqlite")


async def peek(endpoint: SqsEndpoint, account: str = ACCOUNT, **given: Any) -> tuple[int, dict[str, Any]]:
    scope = f"{account}/20260101/us-east-1/sqs/aws4_request"
    headers = {
        "host": "queue.test:9324",
        "x-amz-target": "Encola.PeekMessages",
        "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    }
    response = await endpoint.handle(Request("POST", "/", headers, json.dumps(given).encode()))
    return response.status, json.loads(response.body)


async def test_messages_in_all_states_are_seen_and_stay_as_they_are(
    sqs: Client, endpoint: SqsEndpoint, clock: TestClock
) -> None:
    url = await sqs.queue()
    attributes = {"raw": {"DataType": "Binary", "BinaryValue": b"\x00"}}
    sent = [await sqs.send(url, "held", MessageAttributes=attributes), await sqs.send(url, "ready", MessageGroupId="g")]
    sent.append(await sqs.send(url, "later", DelaySeconds=60))
    await sqs.receive(url, 1)
    for _ in range(2):
        status, answer = await peek(endpoint, QueueUrl="work")
        assert status == 200
        assert "NextToken" not in answer
        held, ready, later = answer["Messages"]
        assert [one["MessageId"] for one in (held, ready, later)] == [one["MessageId"] for one in sent]
        assert [one["State"] for one in (held, ready, later)] == ["leased", "ready", "delayed"]
        assert [one["ApproximateReceiveCount"] for one in (held, ready, later)] == [1, 0, 0]
        assert held["MessageAttributes"] == {"raw": {"DataType": "Binary", "BinaryValue": "AA=="}}
        assert (ready["Body"], ready["MessageGroupId"]) == ("ready", "g")
        assert later["ReadyTimestamp"] == later["SentTimestamp"] + 60_000
    assert await sqs.counts(url) == (1, 1, 1)


async def test_pages(sqs: Client, endpoint: SqsEndpoint) -> None:
    url = await sqs.queue()
    for number in range(12):
        await sqs.send(url, str(number))
    _, first = await peek(endpoint, QueueUrl=url)
    assert [one["Body"] for one in first["Messages"]] == [str(number) for number in range(10)]
    _, rest = await peek(endpoint, QueueUrl=url, NextToken=first["NextToken"], MaxResults=100)
    assert [one["Body"] for one in rest["Messages"]] == ["10", "11"]


async def test_a_dead_letter_says_where_it_came_from(sqs: Client, endpoint: SqsEndpoint, clock: TestClock) -> None:
    await sqs.queue("dead")
    rule = json.dumps({"deadLetterTargetArn": sqs.arn("dead"), "maxReceiveCount": 1})
    url = await sqs.queue(RedrivePolicy=rule)
    await sqs.send(url)
    await sqs.receive(url)
    clock.turn(30_000)
    await sqs.receive(url)
    _, answer = await peek(endpoint, QueueUrl="dead")
    assert answer["Messages"][0]["DeadLetterQueueSourceArn"] == sqs.arn("work")


@pytest.mark.parametrize(
    ("given", "status", "shape"),
    [
        ({}, 400, "MissingRequiredParameterException"),
        ({"QueueUrl": "missing"}, 400, "QueueDoesNotExist"),
        ({"QueueUrl": "work", "MaxResults": 0}, 400, "InvalidParameterValueException"),
        ({"QueueUrl": "work", "MaxResults": 101}, 400, "InvalidParameterValueException"),
        ({"QueueUrl": "work", "NextToken": "x"}, 400, "InvalidParameterValueException"),
        ({"QueueUrl": "work", "NextToken": "9" * 19}, 400, "InvalidParameterValueException"),
        ({"QueueUrl": "work", "SentSince": -1}, 400, "InvalidParameterValueException"),
        ({"QueueUrl": "work", "SentSince": 2**60}, 400, "InvalidParameterValueException"),
    ],
)
async def test_wrong_peeks(sqs: Client, endpoint: SqsEndpoint, given: dict[str, Any], status: int, shape: str) -> None:
    await sqs.queue()
    found, answer = await peek(endpoint, **given)
    assert (found, answer["__type"]) == (status, f"com.amazonaws.sqs#{shape}")


async def test_another_account_sees_nothing(sqs: Client, endpoint: SqsEndpoint) -> None:
    url = await sqs.queue()
    status, answer = await peek(endpoint, OTHER_ACCOUNT, QueueUrl=url)
    assert (status, answer["__type"]) == (403, "com.amazonaws.sqs#AccessDeniedException")


async def test_pages_of_the_newest_first(sqs: Client, endpoint: SqsEndpoint) -> None:
    url = await sqs.queue()
    for number in range(5):
        await sqs.send(url, str(number))
    _, first = await peek(endpoint, QueueUrl=url, MaxResults=3, NewestFirst=True)
    assert [one["Body"] for one in first["Messages"]] == ["4", "3", "2"]
    _, rest = await peek(endpoint, QueueUrl=url, MaxResults=3, NewestFirst=True, NextToken=first["NextToken"])
    assert [one["Body"] for one in rest["Messages"]] == ["1", "0"]
    assert "NextToken" not in rest


@pytest.mark.parametrize("newest_first", [False, True])
async def test_pages_of_what_was_sent_since_a_time(
    sqs: Client, endpoint: SqsEndpoint, clock: TestClock, newest_first: bool
) -> None:
    url = await sqs.queue()
    for number in range(7):
        if number == 3:
            since = clock.now()
        await sqs.send(url, str(number))
        clock.turn(1000)
    seen: list[str] = []
    token: dict[str, str] = {}
    for _ in range(3):
        how = {"NewestFirst": newest_first, "SentSince": since, **token}
        _, answer = await peek(endpoint, QueueUrl=url, MaxResults=2, **how)
        seen += [one["Body"] for one in answer["Messages"]]
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert seen == sorted(["3", "4", "5", "6"], reverse=newest_first)
    _, later = await peek(endpoint, QueueUrl=url, SentSince=clock.now() + 1000, NewestFirst=newest_first)
    assert later["Messages"] == []
