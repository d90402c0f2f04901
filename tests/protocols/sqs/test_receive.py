"""Receiving: how many, which system attributes under which of the two names, waiting, visibility of the received."""

import asyncio
from typing import Any

import pytest

from encola.broker.broker import Broker

from ...broker.conftest import TestClock
from .client import Client, bodies

STORES = ("memory", "sqlite")

SYSTEM = {"SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"}


@pytest.fixture
async def url(sqs: Client) -> str:
    return await sqs.queue()


# How many -------------------------------------------------------------------------------------------


async def test_one_message_is_the_default_and_ten_the_most(sqs: Client, url: str) -> None:
    for number in range(12):
        await sqs.send(url, str(number))
    one = await sqs("ReceiveMessage", QueueUrl=url)
    assert bodies(one["Messages"]) == ["0"]
    assert bodies(await sqs.receive(url, 10)) == [str(number) for number in range(1, 11)]
    assert bodies(await sqs.receive(url, 10)) == ["11"]


@pytest.mark.parametrize("wrong", [-1, 0, 11, 10**20])
async def test_a_wrong_number_of_messages(either: Client, wrong: int) -> None:
    url = await either.queue()
    error = await either.refusal("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=wrong)
    assert error.told == (
        "InvalidParameterValue",
        f"Value {wrong} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
    )


@pytest.mark.parametrize(
    ("name", "wrong", "most"),
    [
        ("WaitTimeSeconds", -1, 20),
        ("WaitTimeSeconds", 21, 20),
        ("VisibilityTimeout", -1, 43_200),
        ("VisibilityTimeout", 43_201, 43_200),
    ],
)
async def test_a_wrong_time(either: Client, name: str, wrong: int, most: int) -> None:
    url = await either.queue()
    error = await either.refusal("ReceiveMessage", QueueUrl=url, **{name: wrong})
    assert error.told == (
        "InvalidParameterValue",
        f"Value {wrong} for parameter {name} is invalid. Reason: Must be >= 0 and <= {most}, if provided.",
    )


@pytest.mark.parametrize("seconds", [0, 43_200])
async def test_the_shortest_and_the_longest_visibility_timeout(sqs: Client, url: str, seconds: int) -> None:
    await sqs.send(url)
    assert len(await sqs.receive(url, VisibilityTimeout=seconds)) == 1
    assert len(await sqs.receive(url)) == (0 if seconds else 1)


async def test_an_empty_receive_says_nothing_at_all(sqs: Client, url: str) -> None:
    response = await sqs.response("ReceiveMessage", QueueUrl=url)
    assert response.body == b"{}"


# System attributes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("parameter", ["MessageSystemAttributeNames", "AttributeNames"])
@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["All"], SYSTEM),
        (["SenderId"], {"SenderId"}),
        (["SentTimestamp", "ApproximateReceiveCount"], {"SentTimestamp", "ApproximateReceiveCount"}),
        (["SequenceNumber", "MessageGroupId", "DeadLetterQueueSourceArn", "AWSTraceHeader"], set()),
        (["All", "SenderId"], SYSTEM),
        ([], set()),
    ],
)
async def test_system_attributes_by_the_new_name_and_the_old(
    either: Client, parameter: str, names: list[str], found: set[str]
) -> None:
    url = await either.queue()
    await either.send(url)
    (message,) = await either.receive(url, **{parameter: names})
    assert set(message.get("Attributes", {})) == found


async def test_both_names_together(sqs: Client, url: str) -> None:
    await sqs.send(url)
    (message,) = await sqs.receive(url, AttributeNames=["SenderId"], MessageSystemAttributeNames=["SentTimestamp"])
    assert set(message["Attributes"]) == {"SenderId", "SentTimestamp"}


async def test_an_unknown_system_attribute(either: Client) -> None:
    url = await either.queue()
    error = await either.refusal("ReceiveMessage", QueueUrl=url, MessageSystemAttributeNames=["Color"])
    assert error.told == ("InvalidAttributeName", "Unknown Attribute Color.")


async def test_the_old_parameter_may_name_attributes_of_queues(sqs: Client, url: str) -> None:
    """Its type in the API is that of a queue's attributes; clients that send such a name must not break."""
    await sqs.send(url)
    (message,) = await sqs.receive(url, AttributeNames=["Policy", "SenderId"])
    assert set(message["Attributes"]) == {"SenderId"}


async def test_counts_and_times_in_system_attributes(sqs: Client, url: str, clock: TestClock) -> None:
    before = clock.now()
    await sqs.send(url)
    sent_before = clock.now()
    clock.turn(5000)
    (first,) = await sqs.receive(url, MessageSystemAttributeNames=["All"], VisibilityTimeout=10)
    clock.turn(10_000)
    (second,) = await sqs.receive(url, MessageSystemAttributeNames=["All"])
    assert before <= int(first["Attributes"]["SentTimestamp"]) <= sent_before
    assert int(first["Attributes"]["ApproximateFirstReceiveTimestamp"]) >= sent_before + 5000
    assert first["Attributes"]["ApproximateReceiveCount"] == "1"
    assert second["Attributes"] == {**first["Attributes"], "ApproximateReceiveCount": "2"}
    assert first["Attributes"]["SenderId"] == sqs.account
    assert first["ReceiptHandle"] != second["ReceiptHandle"]


async def test_the_group_and_the_trace_header_of_a_standard_message(sqs: Client, url: str) -> None:
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    await sqs.send(url, MessageGroupId="tenant", MessageSystemAttributes=trace)
    (message,) = await sqs.receive(url, MessageSystemAttributeNames=["All"])
    assert set(message["Attributes"]) == SYSTEM | {"MessageGroupId", "AWSTraceHeader"}
    assert message["Attributes"]["MessageGroupId"] == "tenant"
    assert message["Attributes"]["AWSTraceHeader"] == trace["AWSTraceHeader"]["StringValue"]


# Waiting --------------------------------------------------------------------------------------------


async def waiting(broker: Broker) -> None:
    while not broker.waiting:
        await asyncio.sleep(0)


async def test_a_long_poll_ends_with_the_first_message(sqs: Client, url: str, broker: Broker) -> None:
    poll = asyncio.create_task(sqs.receive(url, WaitTimeSeconds=20))
    await waiting(broker)
    await sqs.send(url, "at last")
    assert bodies(await asyncio.wait_for(poll, 5)) == ["at last"]


async def test_the_queue_says_how_long_to_wait_and_the_call_can_say_otherwise(
    sqs: Client, url: str, broker: Broker
) -> None:
    await sqs.set(url, ReceiveMessageWaitTimeSeconds=20)
    assert await asyncio.wait_for(sqs.receive(url, WaitTimeSeconds=0), 5) == []
    poll = asyncio.create_task(sqs.receive(url))
    await waiting(broker)
    await sqs.send(url, "at last")
    assert bodies(await asyncio.wait_for(poll, 5)) == ["at last"]


async def test_a_long_poll_on_a_queue_with_messages_does_not_wait(sqs: Client, url: str) -> None:
    await sqs.send(url)
    assert len(await asyncio.wait_for(sqs.receive(url, WaitTimeSeconds=20), 5)) == 1


async def test_a_long_poll_whose_queue_is_deleted_hears_of_it(either: Client, broker: Broker) -> None:
    url = await either.queue()
    poll = asyncio.create_task(either.refusal("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20))
    await waiting(broker)
    await either("DeleteQueue", QueueUrl=url)
    assert (await asyncio.wait_for(poll, 5)).code == "AWS.SimpleQueueService.NonExistentQueue"


# Fairness -------------------------------------------------------------------------------------------


async def test_a_noisy_tenant_does_not_keep_the_others_waiting(sqs: Client, url: str, clock: TestClock) -> None:
    """Given a tenant with 60 messages in flight and more waiting, then a late message of another goes first."""
    for number in range(100):
        await sqs.send(url, f"noisy {number}", MessageGroupId="noisy")
    for _ in range(6):
        await sqs.receive(url)
    clock.turn(300)  # who is noisy is found out a few times a second
    await sqs.send(url, "quiet", MessageGroupId="quiet")
    assert bodies(await sqs.receive(url, 1)) == ["quiet"]
    assert (await sqs.receive(url, 1))[0]["Body"].startswith("noisy")


# In flight ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["work", "line.fifo"])
async def test_the_cap_on_messages_in_flight(
    sqs: Client, broker: Broker, clock: TestClock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A short poll of a standard queue is told; a long poll and a FIFO queue just get nothing."""
    from encola.broker.lease_cap import LeaseCap

    receiving = broker._receiving
    monkeypatch.setattr(receiving, "_cap", LeaseCap(receiving._count_leased, leased_max=3))
    url = await sqs.queue(name)
    for number in range(5):
        more: dict[str, Any] = {"MessageGroupId": str(number), "MessageDeduplicationId": str(number)}
        await sqs.send(url, str(number), **(more if "." in name else {}))
    assert len(await sqs.receive(url, 10)) == 3
    if name == "work":
        error = await sqs.refusal("ReceiveMessage", QueueUrl=url)
        assert (error.code, error.status) == ("OverLimit", 403)
        assert error.message == "Too many messages in flight: the maximum for a queue is 120000."
    else:
        assert await sqs.receive(url) == []
    poll = asyncio.create_task(sqs.receive(url, WaitTimeSeconds=20))
    await waiting(broker)
    assert not poll.done()
    poll.cancel()
    clock.turn(30_000)
    assert len(await sqs.receive(url, 10)) == 3
