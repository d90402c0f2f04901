"""botocore's model as the oracle of what must come: each required member left out, and empty, in both protocols."""

from typing import Any

import pytest

from encola.protocols.sqs.operations import OPERATIONS

from .botocore_wire import operation_model, operation_names
from .client import Client

URL = "http://queue.test:9324/111122223333/work"
ARN = "arn:aws:sqs:us-east-1:111122223333:work"
HANDLE = "AQAAAZ"

WHOLE: dict[str, dict[str, Any]] = {
    "AddPermission": {"QueueUrl": URL, "Label": "x", "AWSAccountIds": ["444455556666"], "Actions": ["SendMessage"]},
    "CancelMessageMoveTask": {"TaskHandle": "e30="},
    "ChangeMessageVisibility": {"QueueUrl": URL, "ReceiptHandle": HANDLE, "VisibilityTimeout": 1},
    "ChangeMessageVisibilityBatch": {
        "QueueUrl": URL,
        "Entries": [{"Id": "a", "ReceiptHandle": HANDLE, "VisibilityTimeout": 1}],
    },
    "CreateQueue": {"QueueName": "work"},
    "DeleteMessage": {"QueueUrl": URL, "ReceiptHandle": HANDLE},
    "DeleteMessageBatch": {"QueueUrl": URL, "Entries": [{"Id": "a", "ReceiptHandle": HANDLE}]},
    "DeleteQueue": {"QueueUrl": URL},
    "GetQueueAttributes": {"QueueUrl": URL},
    "GetQueueUrl": {"QueueName": "work"},
    "ListDeadLetterSourceQueues": {"QueueUrl": URL},
    "ListMessageMoveTasks": {"SourceArn": ARN},
    "ListQueueTags": {"QueueUrl": URL},
    "ListQueues": {},
    "PurgeQueue": {"QueueUrl": URL},
    "ReceiveMessage": {"QueueUrl": URL},
    "RemovePermission": {"QueueUrl": URL, "Label": "x"},
    "SendMessage": {"QueueUrl": URL, "MessageBody": "x"},
    "SendMessageBatch": {"QueueUrl": URL, "Entries": [{"Id": "a", "MessageBody": "x"}]},
    "SetQueueAttributes": {"QueueUrl": URL, "Attributes": {"DelaySeconds": "1"}},
    "StartMessageMoveTask": {"SourceArn": ARN},
    "TagQueue": {"QueueUrl": URL, "Tags": {"a": "b"}},
    "UntagQueue": {"QueueUrl": URL, "TagKeys": ["a"]},
}
"""A call of each operation with no more than it needs."""

REQUIRED = [
    (name, member)
    for name in operation_names()
    for member in operation_model(name).input_shape.required_members
]  # fmt: skip

ENTRIES = {name: model for name in OPERATIONS if (model := operation_model(name).input_shape.members.get("Entries"))}
REQUIRED_IN_ENTRIES = [
    (name, member)
    for name, model in ENTRIES.items()
    for member in model.member.required_members
]  # fmt: skip


@pytest.fixture
async def existing(either: Client) -> Client:
    assert await either.queue("work") == URL
    return either


def test_the_calls_have_just_the_required_members() -> None:
    for name in operation_names():
        required = set(operation_model(name).input_shape.required_members)
        assert required == set(WHOLE[name]), name


@pytest.mark.parametrize("emptied", [False, True], ids=["left out", "empty"])
@pytest.mark.parametrize(("name", "member"), REQUIRED)
async def test_what_is_required_must_come(existing: Client, name: str, member: str, emptied: bool) -> None:
    given = {one: value for one, value in WHOLE[name].items() if one != member}
    if emptied and not isinstance(WHOLE[name][member], int):
        given[member] = type(WHOLE[name][member])()
    error = await existing.refusal(name, **given)
    if member == "Entries":
        assert error.code == "AWS.SimpleQueueService.EmptyBatchRequest"
        assert error.message == f"There should be at least one {name}RequestEntry in the request."
    else:
        assert error.told == ("MissingParameter", f"The request must contain the parameter {member}.")
    assert error.status == 400


@pytest.mark.parametrize(("name", "member"), REQUIRED_IN_ENTRIES)
async def test_what_is_required_of_an_entry_must_come(existing: Client, name: str, member: str) -> None:
    """An entry without its id fails the whole batch, since no answer could name it; otherwise it fails alone."""
    entry = {one: value for one, value in WHOLE[name]["Entries"][0].items() if one != member}
    if member == "Id":
        error = await existing.refusal(name, QueueUrl=URL, Entries=[entry])
        assert error.code == "AWS.SimpleQueueService.InvalidBatchEntryId"
        return
    (failed,) = (await existing(name, QueueUrl=URL, Entries=[entry]))["Failed"]
    assert failed == {
        "Id": "a",
        "SenderFault": True,
        "Code": "MissingParameter",
        "Message": f"The request must contain the parameter {member}.",
    }


async def test_the_type_of_an_attribute_must_come(existing: Client) -> None:
    error = await existing.refusal(
        "SendMessage", QueueUrl=URL, MessageBody="x", MessageAttributes={"color": {"StringValue": "red"}}
    )
    assert error.told == (
        "InvalidParameterValue",
        "The message attribute 'color' must contain non-empty message attribute type.",
    )
