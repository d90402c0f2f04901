"""Visibility: how long a received message stays hidden, and how that is changed."""

import pytest

from ...broker.conftest import TestClock
from .client import Client, bodies

STORES = ("memory", "sqlite")

HOUR = 3_600_000
NOT_THERE = "Message does not exist or is not available for visibility timeout change."


@pytest.fixture
async def url(sqs: Client) -> str:
    return await sqs.queue()


async def change(sqs: Client, url: str, handle: str, seconds: int) -> None:
    await sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)


async def test_a_message_comes_back_when_its_timeout_is_over(sqs: Client, url: str, clock: TestClock) -> None:
    await sqs.send(url)
    assert len(await sqs.receive(url)) == 1
    clock.turn(29_000)
    assert await sqs.receive(url) == []
    clock.turn(1_000)
    assert len(await sqs.receive(url)) == 1


@pytest.mark.parametrize("given_by", ["queue", "call"])
async def test_the_timeout_of_the_queue_or_of_the_call(sqs: Client, clock: TestClock, given_by: str) -> None:
    url = await sqs.queue(VisibilityTimeout=5 if given_by == "queue" else 50)
    await sqs.send(url)
    assert len(await sqs.receive(url, **({"VisibilityTimeout": 5} if given_by == "call" else {}))) == 1
    clock.turn(4_000)
    assert await sqs.receive(url) == []
    clock.turn(1_000)
    assert len(await sqs.receive(url)) == 1


async def test_a_timeout_of_zero_hides_nothing(sqs: Client, url: str) -> None:
    await sqs.send(url)
    for count in ("1", "2", "3"):
        (message,) = await sqs.receive(url, VisibilityTimeout=0, MessageSystemAttributeNames=["All"])
        assert message["Attributes"]["ApproximateReceiveCount"] == count


async def test_a_change_counts_from_the_call_and_only_this_once(sqs: Client, url: str, clock: TestClock) -> None:
    await sqs.send(url)
    (message,) = await sqs.receive(url)
    clock.turn(20_000)
    await change(sqs, url, message["ReceiptHandle"], 60)
    clock.turn(59_000)
    assert await sqs.receive(url) == []
    clock.turn(1_000)
    assert len(await sqs.receive(url)) == 1
    clock.turn(30_000)  # the queue's own timeout again
    assert len(await sqs.receive(url)) == 1


async def test_a_change_can_shorten(sqs: Client, url: str, clock: TestClock) -> None:
    await sqs.send(url)
    (message,) = await sqs.receive(url, VisibilityTimeout=600)
    await change(sqs, url, message["ReceiptHandle"], 5)
    clock.turn(5_000)
    assert len(await sqs.receive(url)) == 1


async def test_zero_gives_the_message_back_at_once(sqs: Client, url: str) -> None:
    await sqs.send(url)
    (message,) = await sqs.receive(url)
    await change(sqs, url, message["ReceiptHandle"], 0)
    (again,) = await sqs.receive(url)
    assert again["MessageId"] == message["MessageId"]


@pytest.mark.parametrize("seconds", [-1, 43_201, 10**30])
async def test_a_timeout_outside_of_twelve_hours(either: Client, seconds: int) -> None:
    url = await either.queue()
    await either.send(url)
    (message,) = await either.receive(url)
    handle = message["ReceiptHandle"]
    error = await either.refusal(
        "ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds
    )
    assert error.told == (
        "InvalidParameterValue",
        f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200.",
    )


async def test_twelve_hours_in_all_since_the_receive(sqs: Client, url: str, clock: TestClock) -> None:
    await sqs.send(url)
    (message,) = await sqs.receive(url)
    for _ in range(5):
        await change(sqs, url, message["ReceiptHandle"], 2 * 3600 + 60)
        clock.turn(2 * HOUR)
    error = await sqs.refusal(
        "ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=2 * 3600 + 1
    )
    assert error.told == (
        "InvalidParameterValue",
        "Value 7201 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is "
        "beyond the limit [43200 seconds]",
    )
    await change(sqs, url, message["ReceiptHandle"], 2 * 3600 - 1)
    clock.turn(2 * HOUR)
    (again,) = await sqs.receive(url)  # a new receive has twelve hours of its own
    await change(sqs, url, again["ReceiptHandle"], 43_199)


async def test_what_cannot_be_changed_any_more(sqs: Client, url: str, clock: TestClock) -> None:
    """A deleted message, one that somebody else has received since, and one whose timeout is over."""
    await sqs.send(url)
    (first,) = await sqs.receive(url)
    clock.turn(30_000)
    late = await sqs.refusal(
        "ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=5
    )
    assert late.code == "AWS.SimpleQueueService.MessageNotInflight"
    (second,) = await sqs.receive(url)
    await sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])
    for message in (first, second):
        handle = message["ReceiptHandle"]
        error = await sqs.refusal("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=5)
        assert error.told == (
            "InvalidParameterValue",
            f"Value {handle} for parameter ReceiptHandle is invalid. Reason: {NOT_THERE}",
        )


async def test_in_flight_and_ready_are_counted(sqs: Client, url: str, clock: TestClock) -> None:
    for body in "abc":
        await sqs.send(url, body)
    await sqs.send(url, "later", DelaySeconds=40)
    assert bodies(await sqs.receive(url, 2)) == ["a", "b"]
    assert await sqs.counts(url) == (1, 2, 1)
    clock.turn(30_000)
    assert await sqs.counts(url) == (3, 0, 1)
    clock.turn(10_000)
    assert await sqs.counts(url) == (4, 0, 0)
