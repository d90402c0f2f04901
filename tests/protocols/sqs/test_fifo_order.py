"""FIFO queues: order within a group, and what locks and unlocks one."""

from typing import Any

import pytest

from ...broker.conftest import TestClock
from .client import Client, bodies

STORES = ("memory", "sqlite")


@pytest.fixture
async def url(sqs: Client) -> str:
    return await sqs.queue("line.fifo", ContentBasedDeduplication="true")


async def send(sqs: Client, url: str, *names: str) -> None:
    """Each name is a group's letter and a number: ``a1``, ``b1``."""
    for name in names:
        await sqs.send(url, name, MessageGroupId=name[0])


async def settle(sqs: Client, url: str, message: dict[str, Any], seconds: int | None = None) -> None:
    """Deletes a message, or changes its visibility."""
    given = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    if seconds is None:
        await sqs("DeleteMessage", **given)
    else:
        await sqs("ChangeMessageVisibility", VisibilityTimeout=seconds, **given)


async def test_a_receive_takes_from_one_group_first_and_then_from_others(sqs: Client, url: str) -> None:
    await send(sqs, url, "a1", "b1", "a2", "b2", "a3", "c1")
    assert bodies(await sqs.receive(url, 5)) == ["a1", "a2", "a3", "b1", "b2"]
    assert bodies(await sqs.receive(url, 5)) == ["c1"]


async def test_a_group_is_locked_while_one_of_its_messages_is_in_flight(sqs: Client, url: str) -> None:
    await send(sqs, url, "a1", "a2", "b1")
    (first,) = await sqs.receive(url, 1)
    assert first["Body"] == "a1"
    assert bodies(await sqs.receive(url)) == ["b1"]
    await send(sqs, url, "a3")  # a new message unlocks nothing
    assert await sqs.receive(url) == []
    await settle(sqs, url, first)
    assert bodies(await sqs.receive(url)) == ["a2", "a3"]


async def test_a_group_stays_locked_until_all_that_were_received_are_settled(sqs: Client, url: str) -> None:
    await send(sqs, url, "a1", "a2", "a3")
    one, two = await sqs.receive(url, 2)
    await settle(sqs, url, one)
    assert await sqs.receive(url) == []
    await settle(sqs, url, two)
    assert bodies(await sqs.receive(url)) == ["a3"]


async def test_deleting_out_of_order_keeps_the_lock_and_the_order(sqs: Client, url: str) -> None:
    await send(sqs, url, "a1", "a2", "a3")
    one, two = await sqs.receive(url, 2)
    await settle(sqs, url, two)
    assert await sqs.receive(url) == []
    await settle(sqs, url, one, 0)
    assert bodies(await sqs.receive(url)) == ["a1", "a3"]


async def test_an_extended_head_holds_back_later_ones_whose_timeout_is_over(
    sqs: Client, url: str, clock: TestClock
) -> None:
    await send(sqs, url, "a1", "a2")
    one, _ = await sqs.receive(url)
    await settle(sqs, url, one, 100)
    clock.turn(30_000)
    assert await sqs.receive(url) == []
    clock.turn(70_000)
    assert bodies(await sqs.receive(url)) == ["a1", "a2"]


async def test_a_message_given_back_comes_again_before_its_followers(sqs: Client, url: str) -> None:
    await send(sqs, url, "a1", "a2")
    (one,) = await sqs.receive(url, 1)
    await settle(sqs, url, one, 0)
    assert bodies(await sqs.receive(url, 1)) == ["a1"]


async def test_after_a_timeout_the_order_is_the_same(sqs: Client, url: str, clock: TestClock) -> None:
    await send(sqs, url, "a1", "a2", "a3")
    assert bodies(await sqs.receive(url, 2)) == ["a1", "a2"]
    clock.turn(30_000)
    assert bodies(await sqs.receive(url, 10)) == ["a1", "a2", "a3"]


async def test_a_delayed_message_does_not_lock_those_before_it(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue("slow.fifo", ContentBasedDeduplication="true", DelaySeconds=10)
    await send(sqs, url, "a1")
    clock.turn(5_000)
    await send(sqs, url, "a2")
    clock.turn(5_000)
    (one,) = await sqs.receive(url)
    assert one["Body"] == "a1"
    await settle(sqs, url, one)
    assert await sqs.receive(url) == []
    clock.turn(5_000)
    assert bodies(await sqs.receive(url)) == ["a2"]


async def test_ten_groups_in_turn_without_loss_or_disorder(sqs: Client, url: str) -> None:
    groups = "abcdefghij"
    for number in range(5):
        await send(sqs, url, *(f"{group}{number}" for group in groups))
    got: list[str] = []
    while messages := await sqs.receive(url, 3):
        got += bodies(messages)
        for message in messages:
            await settle(sqs, url, message)
    for group in groups:
        assert [body for body in got if body[0] == group] == [f"{group}{number}" for number in range(5)]


async def test_sequence_numbers_have_twenty_digits_and_only_grow(sqs: Client, url: str) -> None:
    other = await sqs.queue("other.fifo", ContentBasedDeduplication="true")
    numbers = []
    for count in range(6):
        target = url if count % 2 else other
        numbers.append((await sqs.send(target, str(count), MessageGroupId=str(count % 3)))["SequenceNumber"])
    assert numbers == sorted(set(numbers))
    assert all(len(number) == 20 and number.isdigit() for number in numbers)
    received = await sqs.receive(url, MessageSystemAttributeNames=["SequenceNumber"])
    assert sorted(m["Attributes"]["SequenceNumber"] for m in received) == numbers[1::2]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"MessageDeduplicationId": "d"},
         ("MissingParameter", "The request must contain the parameter MessageGroupId.")),
        ({"MessageGroupId": "", "MessageDeduplicationId": "d"},
         ("MissingParameter", "The request must contain the parameter MessageGroupId.")),
        ({"MessageGroupId": "g"},
         ("InvalidParameterValue", "The queue should either have ContentBasedDeduplication enabled or "
          "MessageDeduplicationId provided explicitly")),
        ({"MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 2},
         ("InvalidParameterValue", "Value 2 for parameter DelaySeconds is invalid. Reason: The request include "
          "parameter that is not valid for this queue type.")),
        ({"MessageGroupId": "g", "MessageDeduplicationId": ""},
         ("InvalidParameterValue", "Value  for parameter MessageDeduplicationId is invalid. Reason: "
          "MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length.")),
    ],
)  # fmt: skip
async def test_what_a_fifo_queue_asks_of_a_message(
    either: Client, given: dict[str, Any], told: tuple[str, str]
) -> None:
    url = await either.queue("strict.fifo")
    error = await either.refusal("SendMessage", QueueUrl=url, MessageBody="x", **given)
    assert error.told == told


async def test_a_delay_of_zero_is_no_delay(sqs: Client, url: str) -> None:
    await sqs.send(url, "x", MessageGroupId="g", DelaySeconds=0)
    assert bodies(await sqs.receive(url)) == ["x"]
