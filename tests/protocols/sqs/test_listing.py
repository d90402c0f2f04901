"""Lists of queues and of dead-letter sources, page by page."""

import json
from typing import Any

import pytest

from .client import Client

NAMES = ["alpha", "beta-1", "beta-2", "beta-3", "gamma"]


async def names(sqs: Client, **given: Any) -> list[str]:
    return [url.rpartition("/")[2] for url in (await sqs("ListQueues", **given)).get("QueueUrls", [])]


@pytest.fixture
async def listed(either: Client) -> Client:
    for name in reversed(NAMES):
        await either.queue(name)
    return either


async def test_queues_come_in_the_order_of_their_names(listed: Client) -> None:
    assert await names(listed) == NAMES


@pytest.mark.parametrize(
    ("prefix", "found"),
    [("beta", NAMES[1:4]), ("beta-2", ["beta-2"]), ("", NAMES), ("BETA", []), ("eta", []), ("*", []), ("x" * 100, [])],
)
async def test_a_prefix(listed: Client, prefix: str, found: list[str]) -> None:
    assert await names(listed, QueueNamePrefix=prefix) == found


async def test_no_queue_at_all(sqs: Client) -> None:
    assert (await sqs.response("ListQueues")).body == b"{}"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
async def test_pages(listed: Client, size: int) -> None:
    pages: list[list[str]] = []
    more: dict[str, Any] = {"MaxResults": size}
    while True:
        answer = await listed("ListQueues", **more)
        pages.append([url.rpartition("/")[2] for url in answer["QueueUrls"]])
        if "NextToken" not in answer:
            break
        more["NextToken"] = answer["NextToken"]
    assert [name for page in pages for name in page] == NAMES
    assert all(len(page) == size for page in pages[:-1])


async def test_pages_of_a_prefix_and_queues_that_come_and_go(listed: Client) -> None:
    first = await listed("ListQueues", MaxResults=2, QueueNamePrefix="beta")
    await listed("DeleteQueue", QueueUrl="beta-2")
    await listed.queue("beta-0")
    await listed.queue("beta-4")
    rest = await names(listed, MaxResults=2, QueueNamePrefix="beta", NextToken=first["NextToken"])
    assert rest == ["beta-3", "beta-4"]


async def test_without_a_size_there_is_no_token(sqs: Client) -> None:
    """A client that asks for no pages gets the first thousand, and nothing that says that there are more."""
    for number in range(1001):
        await sqs.queue(f"q{number:04}")
    answer = await sqs("ListQueues")
    assert len(answer["QueueUrls"]) == 1000
    assert "NextToken" not in answer
    assert len((await sqs("ListQueues", MaxResults=1000))["NextToken"]) > 0


@pytest.mark.parametrize("wrong", [0, -1, 1001])
@pytest.mark.parametrize("operation", ["ListQueues", "ListDeadLetterSourceQueues"])
async def test_a_wrong_size(listed: Client, operation: str, wrong: int) -> None:
    more = {"QueueUrl": "alpha"} if operation != "ListQueues" else {}
    error = await listed.refusal(operation, MaxResults=wrong, **more)
    assert error.told == (
        "InvalidParameterValue",
        f"Value {wrong} for parameter MaxResults is invalid. Reason: Must be between 1 and 1000, if provided.",
    )


@pytest.mark.parametrize("token", ["x", "é", "////", "_w==", "=" * 200, "A" * 10_001])
@pytest.mark.parametrize("operation", ["ListQueues", "ListDeadLetterSourceQueues"])
async def test_a_false_token(listed: Client, operation: str, token: str) -> None:
    more = {"QueueUrl": "alpha"} if operation != "ListQueues" else {}
    error = await listed.refusal(operation, MaxResults=1, NextToken=token, **more)
    assert error.told == (
        "InvalidParameterValue",
        f"Value {token[:100]} for parameter NextToken is invalid. Reason: Invalid or expired next token.",
    )


async def test_dead_letter_sources(listed: Client) -> None:
    policy = json.dumps({"deadLetterTargetArn": listed.arn("alpha"), "maxReceiveCount": 1})
    for name in ("gamma", "beta-1", "beta-3"):
        await listed.set(name, RedrivePolicy=policy)
    found = await listed("ListDeadLetterSourceQueues", QueueUrl="alpha")
    assert [url.rpartition("/")[2] for url in found["queueUrls"]] == ["beta-1", "beta-3", "gamma"]
    page = await listed("ListDeadLetterSourceQueues", QueueUrl="alpha", MaxResults=2)
    rest = await listed("ListDeadLetterSourceQueues", QueueUrl="alpha", MaxResults=2, NextToken=page["NextToken"])
    assert page["queueUrls"] + rest["queueUrls"] == found["queueUrls"]
    assert "NextToken" not in rest
    await listed("DeleteQueue", QueueUrl="gamma")
    assert len((await listed("ListDeadLetterSourceQueues", QueueUrl="alpha"))["queueUrls"]) == 2
