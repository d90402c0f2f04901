"""Deleting messages: by fresh, repeated, stale, foreign and false receipt handles."""

import base64

import pytest

from ...broker.conftest import TestClock
from .client import Client

STORES = ("memory", "sqlite")


async def delete(sqs: Client, url: str, handle: str) -> None:
    await sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)


async def first(sqs: Client, url: str) -> str:
    (message,) = await sqs.receive(url)
    return str(message["ReceiptHandle"])


async def fifo(sqs: Client) -> str:
    url = await sqs.queue("line.fifo")
    await sqs.send(url, MessageGroupId="g", MessageDeduplicationId="d")
    return url


@pytest.fixture
async def url(sqs: Client) -> str:
    url = await sqs.queue()
    await sqs.send(url)
    return url


async def test_a_deleted_message_is_gone_and_may_be_deleted_again(sqs: Client, url: str, clock: TestClock) -> None:
    handle = await first(sqs, url)
    for _ in range(2):
        await delete(sqs, url, handle)
    clock.turn(60_000)
    assert await sqs.receive(url) == []


async def test_a_late_delete_works_while_nobody_has_received_the_message_since(
    sqs: Client, url: str, clock: TestClock
) -> None:
    handle = await first(sqs, url)
    clock.turn(30_000)
    await delete(sqs, url, handle)
    assert await sqs.receive(url) == []


async def test_an_old_handle_deletes_nothing_and_is_told_so_by_nobody(sqs: Client, url: str, clock: TestClock) -> None:
    old = await first(sqs, url)
    clock.turn(30_000)
    await first(sqs, url)
    await delete(sqs, url, old)
    clock.turn(30_000)
    assert len(await sqs.receive(url)) == 1


async def test_a_fifo_queue_refuses_a_late_delete(either: Client, clock: TestClock) -> None:
    url = await fifo(either)
    handle = await first(either, url)
    clock.turn(30_000)
    for _ in range(2):  # before and after the next receive
        error = await either.refusal("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
        assert error.told == (
            "InvalidParameterValue",
            f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
        )
        await either.receive(url)


async def test_a_fifo_queue_takes_a_second_delete(sqs: Client) -> None:
    url = await fifo(sqs)
    handle = await first(sqs, url)
    for _ in range(2):
        await delete(sqs, url, handle)


@pytest.mark.parametrize("operation", ["DeleteMessage", "ChangeMessageVisibility"])
@pytest.mark.parametrize("handle", ["x", "é", "A" * 36, "a" * 10_000, "AQ==" * 9, "\x00" * 36, "<&>\"'"])
async def test_what_is_no_handle(either: Client, operation: str, handle: str) -> None:
    url = await either.queue()
    more = {"VisibilityTimeout": 1} if operation == "ChangeMessageVisibility" else {}
    error = await either.refusal(operation, QueueUrl=url, ReceiptHandle=handle, **more)
    shown = handle[:1024] if either.protocol == "json" else handle[:1024].replace("\x00", "?")
    assert error.told == (
        "ReceiptHandleIsInvalid",
        f'The input receipt handle "{shown}" is not a valid receipt handle.',
    )
    assert error.status == 404


async def test_a_handle_with_one_bit_changed_is_not_valid(sqs: Client, url: str) -> None:
    data = base64.urlsafe_b64decode(await first(sqs, url))
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        handle = base64.urlsafe_b64encode(changed).decode()
        error = await sqs.refusal("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
        assert error.code == "ReceiptHandleIsInvalid"


async def test_a_handle_of_another_queue_is_not_valid(sqs: Client, url: str) -> None:
    other = await sqs.queue("other")
    handle = await first(sqs, url)
    error = await sqs.refusal("DeleteMessage", QueueUrl=other, ReceiptHandle=handle)
    assert error.code == "ReceiptHandleIsInvalid"


async def test_a_handle_of_the_queues_namesake_is_not_valid(sqs: Client, url: str, clock: TestClock) -> None:
    """A queue that was deleted and created again is another one."""
    handle = await first(sqs, url)
    await sqs("DeleteQueue", QueueUrl=url)
    clock.turn(60_000)
    await sqs.queue()
    error = await sqs.refusal("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    assert error.code == "ReceiptHandleIsInvalid"
