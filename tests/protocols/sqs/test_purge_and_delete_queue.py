"""Emptying and deleting a queue, and the sixty seconds after each."""

import pytest

from encola.broker.broker import Broker
from encola.protocols.aws.identity import Authenticator
from encola.protocols.sqs.endpoint import SqsEndpoint
from encola.stores.memory import MemoryStore

from ...broker.conftest import TestClock
from .client import Client, bodies

STORES = ("memory", "sqlite")

PURGED = "Only one PurgeQueue operation on work is allowed every 60 seconds."
DELETED = "You must wait 60 seconds after deleting a queue before you can create another with the same name."


async def test_a_purge_takes_ready_delayed_and_in_flight_messages(either: Client, clock: TestClock) -> None:
    url, other = await either.queue(), await either.queue("other")
    for body in "abc":
        await either.send(url, body)
        await either.send(other, body)
    await either.send(url, "later", DelaySeconds=60)
    (held,) = await either.receive(url, 1)
    await either("PurgeQueue", QueueUrl=url)
    assert await either.counts(url) == (0, 0, 0)
    clock.turn(60_000)
    assert await either.receive(url) == []
    await either("DeleteMessage", QueueUrl=url, ReceiptHandle=held["ReceiptHandle"])
    assert await either.counts(other) == (3, 0, 0)


async def test_a_purge_unlocks_groups(sqs: Client) -> None:
    url = await sqs.queue("line.fifo", ContentBasedDeduplication="true")
    await sqs.send(url, "1", MessageGroupId="g")
    await sqs.receive(url)
    await sqs("PurgeQueue", QueueUrl=url)
    await sqs.send(url, "2", MessageGroupId="g")
    assert bodies(await sqs.receive(url)) == ["2"]


async def test_the_next_purge_must_wait_a_minute(either: Client, clock: TestClock) -> None:
    url, other = await either.queue(), await either.queue("other")
    await either("PurgeQueue", QueueUrl=url)
    await either("PurgeQueue", QueueUrl=other)
    clock.turn(59_000)
    error = await either.refusal("PurgeQueue", QueueUrl=url)
    assert (*error.told, error.status) == ("AWS.SimpleQueueService.PurgeQueueInProgress", PURGED, 403)
    clock.turn(1_000)
    await either("PurgeQueue", QueueUrl=url)


async def test_messages_sent_after_a_purge_stay(sqs: Client) -> None:
    url = await sqs.queue()
    await sqs.send(url, "before")
    await sqs("PurgeQueue", QueueUrl=url)
    await sqs.send(url, "after")
    assert bodies(await sqs.receive(url)) == ["after"]


# Queues that go -------------------------------------------------------------------------------------


async def test_a_deleted_queue_is_gone_with_all_it_held(either: Client, clock: TestClock) -> None:
    url = await either.queue()
    await either.send(url)
    await either("DeleteQueue", QueueUrl=url)
    for operation in ("DeleteQueue", "PurgeQueue", "ReceiveMessage", "GetQueueAttributes", "ListQueueTags"):
        error = await either.refusal(operation, QueueUrl=url)
        assert error.code == "AWS.SimpleQueueService.NonExistentQueue"
        text = "The specified queue does not exist"
        assert error.message == f"{text}{'.' if either.protocol == 'json' else ' for this wsdl version.'}"
    clock.turn(60_000)
    assert await either.queue() == url
    assert await either.receive(url) == []


@pytest.mark.parametrize("name", ["work", "line.fifo"])
async def test_its_name_rests_for_a_minute(either: Client, clock: TestClock, name: str) -> None:
    given = {"Attributes": {"FifoQueue": "true"}} if "." in name else {}
    url = await either.queue(name)
    await either("DeleteQueue", QueueUrl=url)
    clock.turn(59_000)
    error = await either.refusal("CreateQueue", QueueName=name, **given)
    assert error.told == ("AWS.SimpleQueueService.QueueDeletedRecently", DELETED)
    clock.turn(1_000)
    await either.queue(name)


async def test_the_name_rests_in_its_own_account_only(sqs: Client, stranger: Client) -> None:
    await sqs("DeleteQueue", QueueUrl=await sqs.queue())
    await stranger.queue()


async def test_a_new_queue_under_an_old_name_has_its_own_life(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue("line.fifo", tags={"a": "b"}, DelaySeconds=0)
    await sqs.send(url, "1", MessageGroupId="g", MessageDeduplicationId="d")
    await sqs("PurgeQueue", QueueUrl=url)
    await sqs("DeleteQueue", QueueUrl=url)
    clock.turn(60_000)
    await sqs.queue("line.fifo")
    assert await sqs("ListQueueTags", QueueUrl=url) == {}
    await sqs.send(url, "2", MessageGroupId="g", MessageDeduplicationId="d")
    assert bodies(await sqs.receive(url)) == ["2"]
    await sqs("PurgeQueue", QueueUrl=url)


async def test_a_relaxed_broker_knows_no_sixty_seconds(clock: TestClock) -> None:
    broker = Broker(MemoryStore(), clock, relaxed=True)
    await broker.open()
    sqs = Client(SqsEndpoint(broker, Authenticator([])))
    for _ in range(2):
        url = await sqs.queue()
        for _ in range(2):
            await sqs("PurgeQueue", QueueUrl=url)
        await sqs("DeleteQueue", QueueUrl=url)
    await broker.close()
