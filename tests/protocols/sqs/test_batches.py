"""Batches: what fails a whole one, what fails an entry, and that the answers name each entry."""

from typing import Any

import pytest

from ...broker.conftest import TestClock
from .client import Client, bodies

MIB = 1_048_576
SIMPLE = "AWS.SimpleQueueService."
BAD_ID = (
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
    "It can be at most 80 letters long."
)
KINDS: dict[str, dict[str, Any]] = {
    "SendMessageBatch": {"MessageBody": "x"},
    "DeleteMessageBatch": {"ReceiptHandle": "nonsense"},
    "ChangeMessageVisibilityBatch": {"ReceiptHandle": "nonsense", "VisibilityTimeout": 1},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def entries(kind: str, *ids: str) -> list[dict[str, Any]]:
    return [{"Id": one, **KINDS[kind]} for one in ids]


@pytest.fixture
async def url(sqs: Client) -> str:
    return await sqs.queue()


@EVERY_KIND
@pytest.mark.parametrize(
    ("ids", "code", "message"),
    [
        ((), "EmptyBatchRequest", "There should be at least one {kind}RequestEntry in the request."),
        ([str(n) for n in range(20)], "TooManyEntriesInBatchRequest",
         "Maximum number of entries per request are 10. You have sent 20."),
        (("a", "b", "a"), "BatchEntryIdsNotDistinct", "Id a repeated."),
        (("a", ""), "InvalidBatchEntryId", BAD_ID),
        (("x" * 81,), "InvalidBatchEntryId", BAD_ID),
        (("invalid:id",), "InvalidBatchEntryId", BAD_ID),
        (("é",), "InvalidBatchEntryId", BAD_ID),
        (("a\n",), "InvalidBatchEntryId", BAD_ID),
    ],
)  # fmt: skip
async def test_what_fails_a_whole_batch(
    either: Client, kind: str, ids: tuple[str, ...], code: str, message: str
) -> None:
    url = await either.queue()
    error = await either.refusal(kind, QueueUrl=url, Entries=entries(kind, *ids))
    assert error.told == (SIMPLE + code, message.format(kind=kind))


@EVERY_KIND
async def test_ten_entries_with_the_longest_and_oddest_ids(sqs: Client, url: str, kind: str) -> None:
    ids = ["x" * 80, "-", "_", "0", "A-z_9", *"abcde"]
    answer = await sqs(kind, QueueUrl=url, Entries=entries(kind, *ids))
    answered = answer["Successful"] + answer.get("Failed", [])
    assert [entry["Id"] for entry in answered] == ids


@EVERY_KIND
async def test_a_batch_on_a_queue_that_does_not_exist(either: Client, kind: str) -> None:
    error = await either.refusal(kind, QueueUrl="missing", Entries=entries(kind, "a"))
    assert error.code == SIMPLE + "NonExistentQueue"


async def test_a_batch_keeps_its_order_and_answers_every_entry(sqs: Client, url: str) -> None:
    sent = await sqs(
        "SendMessageBatch",
        QueueUrl=url,
        Entries=[{"Id": f"e{number}", "MessageBody": f"m{number}"} for number in range(10)],
    )
    assert [entry["Id"] for entry in sent["Successful"]] == [f"e{number}" for number in range(10)]
    messages = await sqs.receive(url)
    assert bodies(messages) == [f"m{number}" for number in range(10)]
    assert [m["MessageId"] for m in messages] == [entry["MessageId"] for entry in sent["Successful"]]


async def test_bad_entries_fail_alone(sqs: Client, url: str) -> None:
    answer = await sqs(
        "SendMessageBatch",
        QueueUrl=url,
        Entries=[
            {"Id": "good", "MessageBody": "x"},
            {"Id": "empty", "MessageBody": ""},
            {"Id": "late", "MessageBody": "x", "DelaySeconds": 901},
            {"Id": "odd", "MessageBody": "\x00"},
            {
                "Id": "named",
                "MessageBody": "x",
                "MessageAttributes": {"a b": {"DataType": "String", "StringValue": "x"}},
            },
        ],
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
    assert {entry["Id"]: entry["Code"] for entry in answer["Failed"]} == {
        "empty": "MissingParameter",
        "late": "InvalidParameterValue",
        "odd": "InvalidMessageContents",
        "named": "InvalidParameterValue",
    }
    assert all(entry["SenderFault"] for entry in answer["Failed"])
    assert bodies(await sqs.receive(url)) == ["x"]


async def test_when_all_entries_fail_the_call_still_succeeds(sqs: Client, url: str) -> None:
    answer = await sqs("SendMessageBatch", QueueUrl=url, Entries=[{"Id": "a", "MessageBody": ""}])
    assert answer["Successful"] == []
    assert len(answer["Failed"]) == 1


# Sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [(MIB,), (MIB // 2, MIB // 2), (MIB - 9, 1, 1, 1, 1, 1, 1, 1, 1, 1)])
async def test_a_batch_may_have_a_mebibyte_in_all(sqs: Client, url: str, lengths: tuple[int, ...]) -> None:
    batch = [{"Id": str(n), "MessageBody": "x" * length} for n, length in enumerate(lengths)]
    assert len((await sqs("SendMessageBatch", QueueUrl=url, Entries=batch))["Successful"]) == len(lengths)
    batch[-1]["MessageBody"] += "x"
    error = await sqs.refusal("SendMessageBatch", QueueUrl=url, Entries=batch)
    assert error.told == (
        SIMPLE + "BatchRequestTooLong",
        f"Batch requests cannot be longer than {MIB} bytes. You have sent {MIB + 1} bytes.",
    )


async def test_attributes_and_failed_entries_count_towards_a_batch(sqs: Client, url: str) -> None:
    attributes = {"n": {"DataType": "String", "StringValue": "v"}}
    batch = [
        {"Id": "a", "MessageBody": "x" * (MIB // 2), "MessageAttributes": attributes},
        {"Id": "b", "MessageBody": "é" * (MIB // 4), "DelaySeconds": 901},
    ]
    error = await sqs.refusal("SendMessageBatch", QueueUrl=url, Entries=batch)
    assert error.message == f"Batch requests cannot be longer than {MIB} bytes. You have sent {MIB + 8} bytes."


async def test_a_queue_with_a_smaller_limit_fails_the_entries_that_are_over_it(sqs: Client) -> None:
    url = await sqs.queue("small", MaximumMessageSize=1024)
    batch = [{"Id": "fits", "MessageBody": "x" * 1024}, {"Id": "long", "MessageBody": "x" * 1025}]
    answer = await sqs("SendMessageBatch", QueueUrl=url, Entries=batch)
    assert [entry["Id"] for entry in answer["Successful"]] == ["fits"]
    assert answer["Failed"] == [
        {
            "Id": "long",
            "SenderFault": True,
            "Code": "InvalidParameterValue",
            "Message": "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes.",
        }
    ]


NO_GROUP = "The request must contain the parameter MessageGroupId."
NO_DEDUPLICATION_ID = (
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
)

# FIFO -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"MessageDeduplicationId": "2"}, NO_GROUP),
        ({"MessageDeduplicationId": "2", "MessageGroupId": ""}, NO_GROUP),
        ({"MessageGroupId": "g"}, NO_DEDUPLICATION_ID),
    ],
)
async def test_on_a_fifo_queue_a_missing_id_fails_the_whole_batch(
    either: Client, entry: dict[str, str], message: str
) -> None:
    url = await either.queue("line.fifo")
    batch = [
        {"Id": "a", "MessageBody": "1", "MessageGroupId": "g", "MessageDeduplicationId": "1"},
        {"Id": "b", "MessageBody": "2", **entry},
    ]
    error = await either.refusal("SendMessageBatch", QueueUrl=url, Entries=batch)
    assert error.told == ("InvalidParameterValue", message)
    assert await either.receive(url) == []


async def test_duplicates_within_one_batch(sqs: Client) -> None:
    url = await sqs.queue("line.fifo", ContentBasedDeduplication="true")
    batch = [{"Id": str(n), "MessageBody": "same", "MessageGroupId": "g"} for n in range(3)]
    answer = await sqs("SendMessageBatch", QueueUrl=url, Entries=batch)
    assert len({(entry["MessageId"], entry["SequenceNumber"]) for entry in answer["Successful"]}) == 1
    assert bodies(await sqs.receive(url)) == ["same"]


# Settling -------------------------------------------------------------------------------------------


async def test_deletes_and_visibility_changes_in_one_batch_each(sqs: Client, url: str) -> None:
    for body in "abc":
        await sqs.send(url, body)
    handles = [message["ReceiptHandle"] for message in await sqs.receive(url)]
    changed = await sqs(
        "ChangeMessageVisibilityBatch",
        QueueUrl=url,
        Entries=[
            {"Id": "a", "ReceiptHandle": handles[0], "VisibilityTimeout": 0},
            {"Id": "b", "ReceiptHandle": handles[1], "VisibilityTimeout": 43_201},
            {"Id": "c", "ReceiptHandle": handles[2], "VisibilityTimeout": 100},
        ],
    )
    assert changed["Successful"] == [{"Id": "a"}, {"Id": "c"}]
    assert [(entry["Id"], entry["Code"]) for entry in changed["Failed"]] == [("b", "InvalidParameterValue")]
    assert await sqs.counts(url) == (1, 2, 0)
    deleted = await sqs(
        "DeleteMessageBatch",
        QueueUrl=url,
        Entries=[{"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate(handles)],
    )
    assert deleted == {"Successful": [{"Id": "0"}, {"Id": "1"}, {"Id": "2"}]}
    assert await sqs.counts(url) == (0, 0, 0)


async def test_a_visibility_batch_needs_a_timeout_in_each_entry(either: Client) -> None:
    """The model does not ask for it, but there is no default."""
    url = await either.queue()
    await either.send(url)
    (message,) = await either.receive(url)
    batch = [{"Id": "a", "ReceiptHandle": message["ReceiptHandle"]}]
    (failed,) = (await either("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=batch))["Failed"]
    assert (failed["Code"], failed["Message"]) == (
        "MissingParameter",
        "The request must contain the parameter VisibilityTimeout.",
    )


async def test_a_fifo_queue_refuses_late_deletes_entry_by_entry(either: Client, clock: TestClock) -> None:
    url = await either.queue("line.fifo", ContentBasedDeduplication="true")
    for group in "ab":
        await either.send(url, group, MessageGroupId=group)
    (late,) = await either.receive(url, 1, VisibilityTimeout=10)
    (live,) = await either.receive(url, 1, VisibilityTimeout=100)
    clock.turn(10_000)
    batch = [{"Id": one["Body"], "ReceiptHandle": one["ReceiptHandle"]} for one in (late, live)]
    answer = await either("DeleteMessageBatch", QueueUrl=url, Entries=batch)
    assert answer["Successful"] == [{"Id": "b"}]
    (failed,) = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("a", "InvalidParameterValue", True)
    assert failed["Message"].endswith("Reason: The receipt handle has expired.")
    assert bodies(await either.receive(url)) == ["a"]


async def test_one_message_twice_in_a_delete_batch(sqs: Client, url: str) -> None:
    await sqs.send(url)
    (message,) = await sqs.receive(url)
    batch = [{"Id": one, "ReceiptHandle": message["ReceiptHandle"]} for one in "ab"]
    answer = await sqs("DeleteMessageBatch", QueueUrl=url, Entries=batch)
    assert answer == {"Successful": [{"Id": "a"}, {"Id": "b"}]}
