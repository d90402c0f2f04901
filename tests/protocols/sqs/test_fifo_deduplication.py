"""FIFO queues: a message that was accepted is not accepted again for five minutes."""

import hashlib

import pytest

from ...broker.conftest import TestClock
from .client import Client, bodies

STORES = ("memory", "sqlite")

WINDOW = 5 * 60_000


async def send(sqs: Client, url: str, body: str, group: str = "g", key: str | None = None) -> tuple[str, str]:
    more = {} if key is None else {"MessageDeduplicationId": key}
    sent = await sqs.send(url, body, MessageGroupId=group, **more)
    return sent["MessageId"], sent["SequenceNumber"]


async def drain(sqs: Client, url: str) -> list[str]:
    messages = await sqs.receive(url)
    for message in messages:
        await sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies(messages)


async def test_a_duplicate_is_answered_like_the_first_and_not_stored(sqs: Client) -> None:
    url = await sqs.queue("line.fifo")
    first = await send(sqs, url, "first", key="d")
    assert await send(sqs, url, "second", key="d") == first
    assert await drain(sqs, url) == ["first"]


async def test_the_memory_outlives_the_message_and_ends_after_five_minutes(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue("line.fifo")
    first = await send(sqs, url, "x", key="d")
    assert await drain(sqs, url) == ["x"]
    clock.turn(WINDOW - 1000)
    assert await send(sqs, url, "x", key="d") == first
    assert await drain(sqs, url) == []
    clock.turn(1000)  # a duplicate does not begin the five minutes anew
    again = await send(sqs, url, "x", key="d")
    assert again[1] > first[1]
    assert await drain(sqs, url) == ["x"]


async def test_by_content_the_body_alone_counts(sqs: Client) -> None:
    url = await sqs.queue("line.fifo", ContentBasedDeduplication="true")
    attributes = {"n": {"DataType": "String", "StringValue": "v"}}
    first = await sqs.send(url, "same", MessageGroupId="g")
    second = await sqs.send(url, "same", MessageGroupId="g", MessageAttributes=attributes)
    third = await sqs.send(url, "other", MessageGroupId="g")
    assert first["MessageId"] == second["MessageId"] != third["MessageId"]
    messages = await sqs.receive(url, MessageSystemAttributeNames=["MessageDeduplicationId"])
    assert [m["Attributes"]["MessageDeduplicationId"] for m in messages] == [
        hashlib.sha256(body).hexdigest() for body in (b"same", b"other")
    ]


async def test_an_id_of_its_own_comes_before_the_content(sqs: Client) -> None:
    url = await sqs.queue("line.fifo", ContentBasedDeduplication="true")
    ids = [await send(sqs, url, "same"), await send(sqs, url, "same", key="1"), await send(sqs, url, "same", key="2")]
    assert len(set(ids)) == 3
    digest = hashlib.sha256(b"same").hexdigest()
    assert await send(sqs, url, "different", key=digest) == ids[0]


async def test_content_deduplication_can_be_switched_on_later(sqs: Client) -> None:
    url = await sqs.queue("line.fifo")
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="x", MessageGroupId="g")
    assert error.code == "InvalidParameterValue"
    await sqs.set(url, ContentBasedDeduplication="true")
    assert await send(sqs, url, "x") == await send(sqs, url, "x")


async def test_queues_do_not_share_their_memory(sqs: Client) -> None:
    urls = [await sqs.queue(name) for name in ("one.fifo", "two.fifo")]
    first, second = [await send(sqs, url, "x", key="d") for url in urls]
    assert first != second


SCOPES = [("queue", "messageGroup"), ("messageGroup", "queue")]


@pytest.mark.parametrize(("scope", "other"), SCOPES)
async def test_the_scope_is_the_queue_or_the_group_and_stays_what_it_was(
    sqs: Client, clock: TestClock, scope: str, other: str
) -> None:
    """Changing the scope of an existing queue is answered with success, and changes nothing."""
    url = await sqs.queue("line.fifo", DeduplicationScope=scope)
    for _ in range(2):
        one, two, three = [await send(sqs, url, f"{group}{n}", group, "d") for group, n in ("a1", "b1", "a2")]
        assert three == one
        assert (two == one) is (scope == "queue")
        messages = await sqs.receive(url, MessageSystemAttributeNames=["MessageDeduplicationId"])
        assert bodies(messages) == (["a1"] if scope == "queue" else ["a1", "b1"])
        assert {m["Attributes"]["MessageDeduplicationId"] for m in messages} == {"d"}
        for message in messages:
            await sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        clock.turn(WINDOW)
        await sqs.set(url, DeduplicationScope=other)
        assert (await sqs.attributes(url, "DeduplicationScope")) == {"DeduplicationScope": other}


async def test_high_throughput_mode(sqs: Client) -> None:
    url = await sqs.queue("line.fifo", DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    found = await sqs.attributes(url, "DeduplicationScope", "FifoThroughputLimit")
    assert found == {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    error = await sqs.refusal("SetQueueAttributes", QueueUrl=url, Attributes={"DeduplicationScope": "queue"})
    assert error.code == "InvalidAttributeValue"


async def test_a_group_and_an_id_cannot_be_confused_with_others(sqs: Client) -> None:
    """Group ``a`` with id ``b.c`` is not group ``a.b`` with id ``c``."""
    url = await sqs.queue("line.fifo", DeduplicationScope="messageGroup")
    sent = {
        await send(sqs, url, "x", group, key) for group, key in (("a", "b.c"), ("a.b", "c"), ("a", "bc"), ("ab", "c"))
    }
    assert len(sent) == 4


async def test_a_purge_forgets_what_was_accepted(sqs: Client) -> None:
    url = await sqs.queue("line.fifo")
    first = await send(sqs, url, "x", key="d")
    await sqs("PurgeQueue", QueueUrl=url)
    assert await send(sqs, url, "x", key="d") != first
    assert await drain(sqs, url) == ["x"]
