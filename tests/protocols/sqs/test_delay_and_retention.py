"""How long a message waits before its first receive, and how long it is kept."""

import pytest

from encola.broker.broker import Broker

from ...broker.conftest import TestClock
from .client import Client, bodies

STORES = ("memory", "sqlite")

DAY = 24 * 3_600_000


async def test_a_message_with_a_delay_comes_when_it_is_over(either: Client, clock: TestClock) -> None:
    url = await either.queue()
    await either.send(url, "later", DelaySeconds=900)
    await either.send(url, "now", DelaySeconds=0)
    assert bodies(await either.receive(url)) == ["now"]
    clock.turn(899_000)
    assert await either.counts(url) == (1, 0, 1)
    clock.turn(1_000)
    assert "later" in bodies(await either.receive(url))


async def test_the_queues_delay_holds_for_messages_that_name_none(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue(DelaySeconds=60)
    await sqs.send(url, "queue's")
    await sqs.send(url, "own", DelaySeconds=5)
    await sqs.send(url, "none", DelaySeconds=0)
    assert bodies(await sqs.receive(url)) == ["none"]
    clock.turn(5_000)
    assert bodies(await sqs.receive(url, VisibilityTimeout=600)) == ["own"]
    clock.turn(55_000)
    assert "queue's" in bodies(await sqs.receive(url))


async def test_a_changed_delay_is_for_later_messages_on_a_standard_queue(sqs: Client) -> None:
    url = await sqs.queue(DelaySeconds=60)
    await sqs.send(url, "before")
    await sqs.set(url, DelaySeconds=0)
    await sqs.send(url, "after")
    assert bodies(await sqs.receive(url)) == ["after"]
    await sqs.set(url, DelaySeconds=60)
    assert await sqs.counts(url) == (0, 1, 1)


async def test_a_changed_delay_is_for_all_messages_on_a_fifo_queue(sqs: Client) -> None:
    url = await sqs.queue("line.fifo", DelaySeconds=60, ContentBasedDeduplication="true")
    await sqs.send(url, "waiting", MessageGroupId="g")
    assert await sqs.receive(url) == []
    await sqs.set(url, DelaySeconds=0)
    assert bodies(await sqs.receive(url)) == ["waiting"]


async def test_the_delay_comes_before_the_first_receive_only(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue(DelaySeconds=60, VisibilityTimeout=5)
    await sqs.send(url)
    clock.turn(60_000)
    assert len(await sqs.receive(url)) == 1
    clock.turn(5_000)
    assert len(await sqs.receive(url)) == 1


@pytest.mark.parametrize("name", ["work", "line.fifo"])
async def test_what_is_older_than_the_retention_is_gone(
    sqs: Client, broker: Broker, clock: TestClock, name: str
) -> None:
    url = await sqs.queue(name, MessageRetentionPeriod=60)
    more = {"MessageGroupId": "g"} if "." in name else {}
    ids = [{"MessageDeduplicationId": one} if more else {} for one in "ab"]
    await sqs.send(url, "old", **more, **ids[0])
    clock.turn(61_000)
    await sqs.send(url, "new", **more, **ids[1])
    assert bodies(await sqs.receive(url)) == ["new"]
    while await broker._chores.sweep():
        pass
    assert await sqs.counts(url) == (0, 1, 0)


async def test_four_days_are_the_default(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue()
    await sqs.send(url)
    clock.turn(4 * DAY - 1000)
    assert len(await sqs.receive(url, VisibilityTimeout=0)) == 1
    clock.turn(2000)
    assert await sqs.receive(url) == []


async def test_a_changed_retention_holds_for_waiting_messages(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue()
    await sqs.send(url)
    clock.turn(4 * DAY - 1000)
    assert len(await sqs.receive(url, VisibilityTimeout=0)) == 1
    await sqs.set(url, MessageRetentionPeriod=14 * 24 * 3600)
    clock.turn(2000)
    assert len(await sqs.receive(url, VisibilityTimeout=0)) == 1
    await sqs.set(url, MessageRetentionPeriod=3600)
    assert await sqs.receive(url) == []


async def test_a_message_in_flight_can_be_deleted_after_its_retention(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue(MessageRetentionPeriod=60, VisibilityTimeout=600)
    await sqs.send(url)
    (message,) = await sqs.receive(url)
    clock.turn(120_000)
    await sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert await sqs.counts(url) == (0, 0, 0)
