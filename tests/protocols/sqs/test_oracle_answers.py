"""One story with all 23 operations, in each protocol; at its end every output member of the model has been seen."""

import asyncio
import json
from typing import Any

import pytest

from encola.broker.broker import Broker

from ...broker.conftest import TestClock
from .botocore_wire import operation_model, operation_names
from .client import OTHER_ACCOUNT, Client
from .samples import paths_in, paths_of

STORES = ("memory", "sqlite")

NEVER_ANSWERED = {
    # Lists as values of attributes: "not implemented, reserved for future use" (API reference).
    "ReceiveMessage.Messages.MessageAttributes.StringListValues",
    "ReceiveMessage.Messages.MessageAttributes.BinaryListValues",
}


class Recorder:
    """A client that notes which output members came, and checks that none came that the model does not know."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.seen: set[str] = set()
        self.called: set[str] = set()

    async def __call__(self, name: str, **given: Any) -> dict[str, Any]:
        answer = await self._client(name, **given)
        self.called.add(name)
        model = operation_model(name).output_shape
        if model is None:
            assert answer == {}
        else:
            # botocore's XML parser drops what its model does not have; our own codec is held to it in another test.
            self.seen |= {f"{name}.{path}" for path in paths_in(answer, model)}
        return answer


@pytest.fixture
def asked(either: Client) -> Recorder:
    return Recorder(either)


ATTRIBUTES = {
    "text": {"DataType": "String", "StringValue": "höher & <höher>"},
    "count": {"DataType": "Number.int", "StringValue": "42"},
    "raw": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff\x89"},
}
TRACE = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}


async def test_every_operation_and_every_output_member(asked: Recorder, broker: Broker, clock: TestClock) -> None:
    dead, url = await administer(asked)
    await exchange(asked, url)
    await exchange_in_order(asked)
    await dead_letter_and_redrive(asked, dead, url, broker, clock)
    await asked("DeleteQueue", QueueUrl=url)
    assert asked.called == set(operation_names())
    wanted = {
        f"{name}.{path}"
        for name in operation_names()
        if operation_model(name).output_shape
        for path in paths_of(operation_model(name).output_shape)
    }
    assert wanted - asked.seen == NEVER_ANSWERED


async def administer(asked: Recorder) -> tuple[str, str]:
    """Queues, attributes, tags, permissions, lists. Answers the dead-letter queue's URL and a work queue's."""
    dead = (await asked("CreateQueue", QueueName="dead"))["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:111122223333:dead", "maxReceiveCount": 1})
    given = {"RedrivePolicy": policy, "VisibilityTimeout": "120"}
    url = (await asked("CreateQueue", QueueName="work", Attributes=given, tags={"team": "blue"}))["QueueUrl"]
    await asked("CreateQueue", QueueName="work-2", Attributes=given)
    assert (await asked("GetQueueUrl", QueueName="work"))["QueueUrl"] == url

    page = await asked("ListQueues", QueueNamePrefix="work", MaxResults=1)
    assert page["QueueUrls"] == [url]
    rest = await asked("ListQueues", QueueNamePrefix="work", MaxResults=1, NextToken=page["NextToken"])
    assert rest == {"QueueUrls": [f"{url}-2"]}
    page = await asked("ListDeadLetterSourceQueues", QueueUrl=dead, MaxResults=1)
    assert page["queueUrls"] == [url]
    rest = await asked("ListDeadLetterSourceQueues", QueueUrl=dead, MaxResults=1, NextToken=page["NextToken"])
    assert rest == {"queueUrls": [f"{url}-2"]}

    await asked("SetQueueAttributes", QueueUrl=url, Attributes={"DelaySeconds": "0", "VisibilityTimeout": "60"})
    await asked("TagQueue", QueueUrl=url, Tags={"env": "<test> & more"})
    await asked("UntagQueue", QueueUrl=url, TagKeys=["team"])
    assert await asked("ListQueueTags", QueueUrl=url) == {"Tags": {"env": "<test> & more"}}
    allowed = {"Label": "blue", "AWSAccountIds": [OTHER_ACCOUNT], "Actions": ["SendMessage", "GetQueueUrl"]}
    await asked("AddPermission", QueueUrl=url, **allowed)
    await asked("RemovePermission", QueueUrl=url, Label="blue")
    attributes = (await asked("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"]))["Attributes"]
    assert attributes["RedrivePolicy"] == policy
    assert attributes["VisibilityTimeout"] == "60"
    return dead, url


async def exchange(asked: Recorder, url: str) -> None:
    """Messages on a standard queue, one by one and in batches, with what fails in them."""
    sent = await asked(
        "SendMessage", QueueUrl=url, MessageBody="one\r\n", MessageAttributes=ATTRIBUTES, MessageSystemAttributes=TRACE
    )
    entries = [
        {"Id": "good", "MessageBody": "two", "MessageAttributes": ATTRIBUTES, "MessageSystemAttributes": TRACE},
        {"Id": "bad", "MessageBody": "three", "DelaySeconds": 901},
    ]
    batch = await asked("SendMessageBatch", QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in batch["Successful"]] == ["good"]
    assert [entry["Id"] for entry in batch["Failed"]] == ["bad"]
    assert batch["Successful"][0]["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert batch["Successful"][0]["MD5OfMessageSystemAttributes"] == sent["MD5OfMessageSystemAttributes"]

    received = await asked(
        "ReceiveMessage",
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    )
    first, second = received["Messages"]
    assert first["Body"] == "one\r\n"
    assert first["MessageAttributes"] == second["MessageAttributes"] == ATTRIBUTES
    assert first["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert first["Attributes"]["AWSTraceHeader"] == TRACE["AWSTraceHeader"]["StringValue"]

    handles = [first["ReceiptHandle"], second["ReceiptHandle"]]
    await asked("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handles[0], VisibilityTimeout=100)
    for name, more in (("ChangeMessageVisibilityBatch", {"VisibilityTimeout": 100}), ("DeleteMessageBatch", {})):
        answer = await asked(
            name,
            QueueUrl=url,
            Entries=[
                {"Id": "good", "ReceiptHandle": handles[1], **more},
                {"Id": "bad", "ReceiptHandle": "nonsense", **more},
            ],
        )
        assert answer["Successful"] == [{"Id": "good"}]
        (failed,) = answer["Failed"]
        assert (failed["Id"], failed["SenderFault"], failed["Code"]) == ("bad", True, "ReceiptHandleIsInvalid")
        assert failed["Message"] == 'The input receipt handle "nonsense" is not a valid receipt handle.'
    await asked("DeleteMessage", QueueUrl=url, ReceiptHandle=handles[0])
    assert await asked("ReceiveMessage", QueueUrl=url) == {}
    await asked("PurgeQueue", QueueUrl=url)


async def exchange_in_order(asked: Recorder) -> None:
    """A FIFO queue adds sequence numbers."""
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = (await asked("CreateQueue", QueueName="line.fifo", Attributes=attributes))["QueueUrl"]
    first = await asked("SendMessage", QueueUrl=url, MessageBody="1", MessageGroupId="a")
    entries = [{"Id": "x", "MessageBody": "2", "MessageGroupId": "a", "MessageDeduplicationId": "two"}]
    (second,) = (await asked("SendMessageBatch", QueueUrl=url, Entries=entries))["Successful"]
    assert first["SequenceNumber"] < second["SequenceNumber"]


async def dead_letter_and_redrive(asked: Recorder, dead: str, url: str, broker: Broker, clock: TestClock) -> None:
    """A message that nobody deletes ends on the dead-letter queue and is redriven; tasks run, are cancelled, fail."""
    source = "arn:aws:sqs:us-east-1:111122223333:dead"
    await asked("CreateQueue", QueueName="target")
    target = "arn:aws:sqs:us-east-1:111122223333:target"
    await asked("SendMessage", QueueUrl=url, MessageBody="poison")
    for _ in range(2):
        received = await asked("ReceiveMessage", QueueUrl=url)
        clock.turn(61_000)
    assert received == {}

    first = await asked("StartMessageMoveTask", SourceArn=source, DestinationArn=target, MaxNumberOfMessagesPerSecond=9)
    (running,) = (await asked("ListMessageMoveTasks", SourceArn=source))["Results"]
    assert running["TaskHandle"] == first["TaskHandle"]
    cancelled = await asked("CancelMessageMoveTask", TaskHandle=first["TaskHandle"])
    assert cancelled["ApproximateNumberOfMessagesMoved"] in (0, 1)
    await asyncio.gather(*broker._moves._runners.values())

    await asked("SendMessage", QueueUrl=dead, MessageBody="nobody dead-lettered me")
    await asked("StartMessageMoveTask", SourceArn=source)
    await asyncio.gather(*broker._moves._runners.values())
    failed, earlier = (await asked("ListMessageMoveTasks", SourceArn=source, MaxResults=2))["Results"]
    assert (failed["Status"], earlier["Status"]) == ("FAILED", "CANCELLED")
    assert failed["FailureReason"] == "CouldNotDetermineMessageSource"
