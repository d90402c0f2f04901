"""What a foreign service cannot do, done by copies: long delays, deliveries taken back, rejections."""

from collections.abc import Callable

import pytest

from encola.consumers.sqs.transport import NO_DEAD_LETTERS, SqsTransport
from encola.consumers.transport import Incoming, Outgoing, QueueWish, RefusedError

from ...process import client

NewName = Callable[..., str]


@pytest.fixture
async def queue(foreign: SqsTransport, new_name: NewName) -> str:
    name = new_name()
    await foreign.create(QueueWish(name=name, dead_letters=f"{name}-dead"))
    return name


async def arrived(transport: SqsTransport, queue: str) -> Incoming:
    (message,) = await transport.receive(queue, 10, 3.0, 30.0)
    return message


def delayed(url: str, queue: str) -> int:
    """How many messages wait there for their time."""
    sqs = client(url)
    asked = sqs.get_queue_attributes(
        QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"],
        AttributeNames=["ApproximateNumberOfMessagesDelayed"],
    )
    return int(asked["Attributes"]["ApproximateNumberOfMessagesDelayed"])


async def test_a_foreign_service_is_none_of_ours(foreign: SqsTransport) -> None:
    assert not foreign.is_encola


async def test_a_long_delay_is_sent_as_the_longest_there_is(foreign: SqsTransport, moto_url: str, queue: str) -> None:
    (answer,) = await foreign.send(queue, [Outgoing(body="x", delay=86_400.0)])
    assert isinstance(answer, str)
    assert delayed(moto_url, queue) == 1


async def test_a_delivery_that_is_taken_back_does_not_count(foreign: SqsTransport, queue: str) -> None:
    await foreign.send(queue, [Outgoing(body="x", attributes={"encola.task": "report"})])
    first = await arrived(foreign, queue)
    await foreign.retry([(first, 0.0)])
    second = await arrived(foreign, queue)
    assert second.receives == 2

    for _ in range(2):
        assert await foreign.release([(second, 0.0)]) == [None]
        again = await arrived(foreign, queue)
        assert (again.receives, again.sent_at, again.body) == (2, first.sent_at, "x")
        assert again.attributes["encola.task"] == "report"
        assert again.message_id != second.message_id
        second = again
    await foreign.delete([second])
    assert await foreign.receive(queue, 10, 0, 30) == []


async def test_a_delivery_may_be_taken_back_for_longer_than_the_service_delays(
    foreign: SqsTransport, moto_url: str, queue: str
) -> None:
    await foreign.send(queue, [Outgoing(body="x")])
    assert await foreign.release([(await arrived(foreign, queue), 5000.0)]) == [None]
    assert delayed(moto_url, queue) == 1


async def test_on_a_fifo_queue_the_delivery_counts_and_order_is_kept(foreign: SqsTransport, new_name: NewName) -> None:
    name = new_name(".fifo")
    await foreign.create(QueueWish(name=name))
    await foreign.send(name, [Outgoing(body=one, group="g", deduplication_id=one) for one in "ab"])
    first, *_ = await foreign.receive(name, 1, 3.0, 30.0)
    assert await foreign.release([(first, 0.0)]) == [None]
    again, *_ = await foreign.receive(name, 1, 3.0, 30.0)
    assert (again.body, again.message_id, again.receives) == ("a", first.message_id, 2)


async def test_a_rejected_message_is_among_the_dead_letters_with_the_reason(foreign: SqsTransport, queue: str) -> None:
    await foreign.send(queue, [Outgoing(body="x", attributes={"encola.task": "report"})])
    message = await arrived(foreign, queue)
    assert await foreign.reject([(message, "bad-payload", "month:\x00 missing")]) == [None]
    dead = await arrived(foreign, f"{queue}-dead")
    assert dead.body == "x"
    assert dead.attributes == {
        "encola.task": "report",
        "encola.reason": "bad-payload",
        "encola.error": "month:\ufffd missing",
    }
    assert await foreign.receive(queue, 10, 0, 30) == []


async def test_binary_attributes_reach_the_dead_letters(foreign: SqsTransport, moto_url: str, queue: str) -> None:
    sqs = client(moto_url)
    attributes = {
        "picture": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "count": {"DataType": "Number", "StringValue": "5"},
    }
    urls = [sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in (queue, f"{queue}-dead")]
    sqs.send_message(QueueUrl=urls[0], MessageBody="x", MessageAttributes=attributes)
    message = await arrived(foreign, queue)
    assert message.attributes == {"count": "5"}
    await foreign.reject([(message, "unknown-task", "")])
    (dead,) = sqs.receive_message(QueueUrl=urls[1], MessageAttributeNames=["All"])["Messages"]
    reason = {"encola.reason": {"DataType": "String", "StringValue": "unknown-task"}}
    assert dead["MessageAttributes"] == {**attributes, **reason}


async def test_dead_letters_of_a_fifo_queue_keep_their_group(foreign: SqsTransport, new_name: NewName) -> None:
    name, dead = new_name(".fifo"), new_name(".fifo")
    await foreign.create(QueueWish(name=name, dead_letters=dead))
    await foreign.send(name, [Outgoing(body="x", group="g", deduplication_id="1")])
    assert await foreign.reject([(await arrived(foreign, name), "expired", "")]) == [None]
    assert (await arrived(foreign, dead)).group == "g"


async def test_without_a_dead_letter_queue_nothing_is_rejected_and_nothing_lost(
    foreign: SqsTransport, new_name: NewName
) -> None:
    name = new_name()
    await foreign.create(QueueWish(name=name))
    await foreign.send(name, [Outgoing(body="x")])
    message = await arrived(foreign, name)
    (answer,) = await foreign.reject([(message, "bad-payload", "")])
    assert isinstance(answer, RefusedError)
    assert answer.code == NO_DEAD_LETTERS
    await foreign.retry([(message, 0.0)])
    assert (await arrived(foreign, name)).body == "x"


async def test_a_message_whose_copy_cannot_be_sent_stays(foreign: SqsTransport, moto_url: str, queue: str) -> None:
    """Given a dead-letter queue that was deleted, when one of its letters is sent, then the original is kept."""
    await foreign.send(queue, [Outgoing(body="x")])
    message = await arrived(foreign, queue)
    sqs = client(moto_url)
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=f"{queue}-dead")["QueueUrl"])
    with pytest.raises(RefusedError):
        await foreign.reject([(message, "bad-payload", "")])
    await foreign.retry([(message, 0.0)])
    assert (await arrived(foreign, queue)).body == "x"


async def test_many_are_released_and_rejected_in_one_call(foreign: SqsTransport, queue: str) -> None:
    await foreign.send(queue, [Outgoing(body=str(number)) for number in range(23)])
    found: list[Incoming] = []
    while len(found) < 23:
        found += await foreign.receive(queue, 10, 3.0, 30.0)
    assert await foreign.release([(message, 0.0) for message in found[:11]]) == [None] * 11
    assert await foreign.reject([(message, "expired", "") for message in found[11:]]) == [None] * 12
    counts = {name: await _drained(foreign, name) for name in (queue, f"{queue}-dead")}
    assert counts == {queue: 11, f"{queue}-dead": 12}


async def _drained(transport: SqsTransport, queue: str) -> int:
    count = 0
    while found := await transport.receive(queue, 10, 0, 30.0):
        await transport.delete(found)
        count += len(found)
    return count
