"""ReceiveRequestAttemptId: a receive on a FIFO queue whose answer got lost may be repeated."""

from typing import Any

import pytest

from ...broker.conftest import TestClock
from .client import Client, bodies

STORES = ("memory", "sqlite")


@pytest.fixture
async def url(sqs: Client) -> str:
    url = await sqs.queue("line.fifo", ContentBasedDeduplication="true")
    for number in range(3):
        await sqs.send(url, f"a{number}", MessageGroupId="a")
    return url


async def attempt(sqs: Client, url: str, name: str = "try", **more: Any) -> list[dict[str, Any]]:
    return await sqs.receive(url, 2, ReceiveRequestAttemptId=name, **more)


def handles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["ReceiptHandle"] for message in messages]


async def test_the_same_attempt_gets_the_same_messages_and_handles(sqs: Client, url: str) -> None:
    first = await attempt(sqs, url)
    assert bodies(first) == ["a0", "a1"]
    assert await attempt(sqs, url) == first
    assert await attempt(sqs, url, "another") == []
    assert await sqs.receive(url) == []


async def test_a_repeated_attempt_begins_the_visibility_timeout_anew(sqs: Client, url: str, clock: TestClock) -> None:
    first = await attempt(sqs, url)
    clock.turn(20_000)
    await attempt(sqs, url)
    clock.turn(20_000)
    assert await sqs.receive(url) == []
    await sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])


@pytest.mark.parametrize("change", ["delete", "visibility", "timeout"])
async def test_an_attempt_is_void_once_a_message_was_settled_or_timed_out(
    sqs: Client, url: str, clock: TestClock, change: str
) -> None:
    first, _ = await attempt(sqs, url)
    given = {"QueueUrl": url, "ReceiptHandle": first["ReceiptHandle"]}
    if change == "delete":
        await sqs("DeleteMessage", **given)
    elif change == "visibility":
        await sqs("ChangeMessageVisibility", VisibilityTimeout=60, **given)
    else:
        clock.turn(30_000)
    again = await attempt(sqs, url)
    assert first["ReceiptHandle"] not in handles(again)
    assert bodies(again) == (["a0", "a1"] if change == "timeout" else [])


async def test_an_attempt_lives_for_five_minutes(sqs: Client, url: str, clock: TestClock) -> None:
    first = await attempt(sqs, url, VisibilityTimeout=1000)
    clock.turn(299_000)
    assert await attempt(sqs, url, VisibilityTimeout=1000) == first
    clock.turn(1_000)
    assert await attempt(sqs, url) == []


async def test_a_standard_queue_takes_no_notice_of_attempts(sqs: Client) -> None:
    url = await sqs.queue()
    await sqs.send(url)
    assert len(await attempt(sqs, url)) == 1
    assert await attempt(sqs, url) == []


@pytest.mark.parametrize("wrong", ["", "a b", "x" * 129])
async def test_the_characters_of_an_attempts_id(either: Client, wrong: str) -> None:
    url = await either.queue("other.fifo")
    error = await either.refusal("ReceiveMessage", QueueUrl=url, ReceiveRequestAttemptId=wrong)
    assert error.told == (
        "InvalidParameterValue",
        f"Value {wrong[:128]} for parameter ReceiveRequestAttemptId is invalid. Reason: ReceiveRequestAttemptId can "
        "only include alphanumeric and punctuation characters. 1 to 128 in length.",
    )
