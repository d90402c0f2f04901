"""Operations of encola's own: long delays, deliveries that are taken back, and such that are rejected."""

import asyncio
import json
from typing import Any

import pytest

from encola import __version__
from encola.protocols.sqs.extensions import DELAY_SECONDS_MAX, ENTRIES_MAX, ERROR_LENGTH_MAX, REASON_LENGTH_MAX

from ...broker.conftest import TestClock
from .client import Client, RefusedError, bodies

STORES = ("memory", "sqlite")

DAY = 86_400
ALL = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}


def policy(sqs: Client, name: str, receives: int = 100) -> str:
    return json.dumps({"deadLetterTargetArn": sqs.arn(name), "maxReceiveCount": receives})


async def send(sqs: Client, url: str, *entries: dict[str, Any]) -> dict[str, Any]:
    given = [{"Id": str(number), "MessageBody": "hello", **entry} for number, entry in enumerate(entries)]
    return await sqs.ours("SendMessageBatch", QueueUrl=url, Entries=given)


async def settle(sqs: Client, operation: str, url: str, *handles: str, **more: Any) -> dict[str, Any]:
    entries = [{"Id": str(number), "ReceiptHandle": handle, **more} for number, handle in enumerate(handles)]
    return await sqs.ours(operation, QueueUrl=url, Entries=entries)


async def release(sqs: Client, url: str, *handles: str, seconds: int = 0) -> dict[str, Any]:
    return await settle(sqs, "ReleaseMessageBatch", url, *handles, VisibilityTimeout=seconds)


async def reject(sqs: Client, url: str, *handles: str, reason: str = "invalid", **more: Any) -> dict[str, Any]:
    return await settle(sqs, "RejectMessageBatch", url, *handles, Reason=reason, **more)


def failures(answer: dict[str, Any]) -> list[str]:
    return [one["Code"] for one in answer.get("Failed", ())]


async def until_moved(sqs: Client) -> None:
    """Until the redrive has ended: it would take what comes meanwhile, too."""
    while (await sqs("ListMessageMoveTasks", SourceArn=sqs.arn("dead")))["Results"][0]["Status"] != "COMPLETED":
        await asyncio.sleep(0.01)


async def one(sqs: Client, url: str, **more: Any) -> dict[str, Any]:
    (message,) = await sqs.receive(url, 1, **{**ALL, **more})
    return message


# DescribeServer -----------------------------------------------------------------------------------------


async def test_the_server_says_who_it_is(sqs: Client, clock: TestClock) -> None:
    clock.turn(7 * DAY * 1000)
    before = clock.now()
    told = await sqs.ours("DescribeServer")
    assert before <= told.pop("Now") <= clock.now()
    assert told == {"Name": "encola", "Version": __version__, "DelaySecondsMax": 1_209_600, "EntriesMax": 100}


async def test_it_is_no_operation_of_sqs(sqs: Client) -> None:
    with pytest.raises(RefusedError, match="not known"):
        await sqs.ours("SendMessage", QueueUrl="work", MessageBody="x")


# SendMessageBatch ---------------------------------------------------------------------------------------


async def test_messages_may_be_sent_for_days_later(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue(MessageRetentionPeriod=3600)
    now = clock.now()
    answer = await send(sqs, url, {"DelaySeconds": 14 * DAY, "MessageBody": "later"}, {"MessageBody": "now"})
    assert [entry["Id"] for entry in answer["Successful"]] == ["0", "1"]
    assert "Failed" not in answer
    assert bodies(await sqs.receive(url)) == ["now"]
    clock.turn((14 * DAY - 60) * 1000)
    assert await sqs.receive(url) == []
    clock.turn(60_000)
    message = await one(sqs, url, VisibilityTimeout=1)
    assert (message["Body"], int(message["Attributes"]["SentTimestamp"]) - now < 60_000) == ("later", True)
    clock.turn(3_500_000)
    assert (await one(sqs, url, VisibilityTimeout=1))["MessageId"] == answer["Successful"][0]["MessageId"]
    clock.turn(100_001)
    assert await sqs.receive(url) == []


async def test_delays_have_bounds_which_fail_their_entry_only(sqs: Client) -> None:
    url = await sqs.queue()
    answer = await send(sqs, url, *({"DelaySeconds": n} for n in (-1, 0, DELAY_SECONDS_MAX, DELAY_SECONDS_MAX + 1)))
    assert [entry["Id"] for entry in answer["Successful"]] == ["1", "2"]
    assert failures(answer) == ["InvalidParameterValue"] * 2
    assert "DelaySeconds must be >= 0 and <= 1209600." in answer["Failed"][0]["Message"]


async def test_the_delay_of_sqs_has_stayed_what_it_was(sqs: Client) -> None:
    url = await sqs.queue()
    late = {"MessageBody": "x", "DelaySeconds": 901}
    assert (await sqs.refusal("SendMessage", QueueUrl=url, **late)).code == "InvalidParameterValue"
    answer = await sqs("SendMessageBatch", QueueUrl=url, Entries=[{"Id": "a", **late}])
    assert failures(answer) == ["InvalidParameterValue"]
    assert await sqs.counts(url) == (0, 0, 0)


async def test_on_a_fifo_queue_a_message_has_no_delay_of_its_own(sqs: Client) -> None:
    url = await sqs.queue("work.fifo")
    entry = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
    assert failures(await send(sqs, url, {**entry, "DelaySeconds": 3600})) == ["InvalidParameterValue"]
    answer = await send(sqs, url, entry)
    assert answer["Successful"][0]["SequenceNumber"]


async def test_a_hundred_messages_are_sent_received_and_deleted_with_three_requests(sqs: Client) -> None:
    url = await sqs.queue()
    sent = await send(sqs, url, *({"MessageBody": str(number)} for number in range(ENTRIES_MAX)))
    assert [entry["Id"] for entry in sent["Successful"]] == [str(number) for number in range(ENTRIES_MAX)]
    messages = (await sqs.ours("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=ENTRIES_MAX))["Messages"]
    assert sorted(map(int, bodies(messages))) == list(range(ENTRIES_MAX))
    answer = await settle(sqs, "DeleteMessageBatch", url, *(message["ReceiptHandle"] for message in messages))
    assert len(answer["Successful"]) == ENTRIES_MAX
    assert await sqs.counts(url) == (0, 0, 0)


async def test_a_hundred_and_one_are_too_many_and_with_sqs_eleven_still_are(sqs: Client) -> None:
    url = await sqs.queue()
    with pytest.raises(RefusedError, match="Must be between 1 and 100"):
        await sqs.ours("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=ENTRIES_MAX + 1)
    refused = await sqs.refusal("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=11)
    assert refused.message.endswith("Must be between 1 and 10, if provided.")
    for operation, more in (("SendMessageBatch", {"MessageBody": "x"}), ("DeleteMessageBatch", {"ReceiptHandle": "x"})):
        entries = [{"Id": str(number), **more} for number in range(11)]
        refused = await sqs.refusal(operation, QueueUrl=url, Entries=entries)
        assert refused.shape == "TooManyEntriesInBatchRequest"
        assert "are 10. You have sent 11." in refused.message


async def test_a_redriven_message_was_sent_when_it_was_redriven(sqs: Client, clock: TestClock) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs, "dead"))
    await send(sqs, url, {"DelaySeconds": DAY})
    clock.turn(DAY * 1000)
    await reject(sqs, url, (await one(sqs, url))["ReceiptHandle"])
    clock.turn(1000)
    now = clock.now()
    await sqs("StartMessageMoveTask", SourceArn=sqs.arn("dead"))
    (message,) = await sqs.receive(url, **ALL, WaitTimeSeconds=5)
    assert int(message["Attributes"]["SentTimestamp"]) >= now
    assert await sqs.counts(dead) == (0, 0, 0)


# ReleaseMessageBatch ------------------------------------------------------------------------------------


async def test_a_released_delivery_does_not_count(sqs: Client, clock: TestClock) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs, "dead", 1))
    await sqs.send(url)
    for _ in range(4):
        message = await one(sqs, url)
        assert message["Attributes"]["ApproximateReceiveCount"] == "1"
        assert await release(sqs, url, message["ReceiptHandle"], seconds=60) == {"Successful": [{"Id": "0"}]}
        assert await sqs.counts(url) == (0, 0, 1)
        clock.turn(60_000)
        assert await sqs.counts(url) == (1, 0, 0)
    assert await sqs.counts(dead) == (0, 0, 0)


async def test_a_released_message_comes_at_once_to_who_waits_for_it(sqs: Client) -> None:
    url = await sqs.queue()
    await sqs.send(url)
    handle = (await one(sqs, url))["ReceiptHandle"]
    waiting = asyncio.ensure_future(sqs.receive(url, WaitTimeSeconds=20))
    await asyncio.sleep(0)
    await release(sqs, url, handle)
    assert bodies(await asyncio.wait_for(waiting, 5)) == ["hello"]


async def test_a_message_may_be_released_for_longer_than_it_would_be_kept(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue(MessageRetentionPeriod=3600)
    sent_at = clock.now()
    await sqs.send(url)
    for _ in range(2):
        await release(sqs, url, (await one(sqs, url))["ReceiptHandle"], seconds=DELAY_SECONDS_MAX)
        clock.turn(DELAY_SECONDS_MAX * 1000)
    assert int((await one(sqs, url))["Attributes"]["SentTimestamp"]) - sent_at < 60_000
    assert (await sqs.ours("PeekMessages", QueueUrl=url))["Messages"][0]["SentTimestamp"] - sent_at < 60_000


async def test_the_receipt_of_a_released_delivery_is_void(sqs: Client) -> None:
    url = await sqs.queue()
    await sqs.send(url)
    handle = (await one(sqs, url))["ReceiptHandle"]
    await release(sqs, url, handle)
    assert failures(await release(sqs, url, handle)) == ["InvalidParameterValue"]
    assert failures(await settle(sqs, "RejectMessageBatch", url, handle, Reason="r")) == ["Encola.NoDeadLetterQueue"]
    await sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)  # as any late delete: answered, and without effect
    assert await sqs.counts(url) == (1, 0, 0)


async def test_what_cannot_be_released_fails_alone(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue(VisibilityTimeout=1)
    for _ in range(2):
        await sqs.send(url)
    late, gone = [(await one(sqs, url))["ReceiptHandle"] for _ in range(2)]
    await sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=gone)
    clock.turn(1_000)
    await sqs.send(url)
    entries = [
        {"Id": "late", "ReceiptHandle": late, "VisibilityTimeout": 0},
        {"Id": "gone", "ReceiptHandle": gone, "VisibilityTimeout": 0},
        {"Id": "none", "ReceiptHandle": "", "VisibilityTimeout": 0},
        {"Id": "odd", "ReceiptHandle": "odd", "VisibilityTimeout": 0},
        {"Id": "no-time", "ReceiptHandle": late},
        {"Id": "long", "ReceiptHandle": late, "VisibilityTimeout": DELAY_SECONDS_MAX + 1},
        {"Id": "negative", "ReceiptHandle": late, "VisibilityTimeout": -1},
    ]
    answer = await sqs.ours("ReleaseMessageBatch", QueueUrl=url, Entries=entries)
    assert answer["Successful"] == []
    assert {entry["Id"]: entry["Code"] for entry in answer["Failed"]} == {
        "late": "AWS.SimpleQueueService.MessageNotInflight",
        "gone": "InvalidParameterValue",
        "none": "MissingParameter",
        "odd": "ReceiptHandleIsInvalid",
        "no-time": "MissingParameter",
        "long": "InvalidParameterValue",
        "negative": "InvalidParameterValue",
    }


async def test_on_a_fifo_queue_a_released_message_keeps_its_place(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue("work.fifo", ContentBasedDeduplication="true")
    for body in ("1", "2"):
        await sqs.send(url, body, MessageGroupId="g")
    await sqs.send(url, "other", MessageGroupId="h")
    await release(sqs, url, (await one(sqs, url))["ReceiptHandle"], seconds=3600)
    assert bodies(await sqs.receive(url, VisibilityTimeout=DAY // 2)) == ["other"]
    clock.turn(3_600_000)
    assert bodies(await sqs.receive(url)) == ["1", "2"]


async def test_on_a_fifo_queue_a_released_delivery_is_not_repeated_as_an_attempt(sqs: Client) -> None:
    url = await sqs.queue("work.fifo", ContentBasedDeduplication="true")
    await sqs.send(url, "1", MessageGroupId="g")
    first = await one(sqs, url, ReceiveRequestAttemptId="a")
    await release(sqs, url, first["ReceiptHandle"], seconds=60)
    assert await sqs.receive(url, ReceiveRequestAttemptId="a") == []


# RejectMessageBatch -------------------------------------------------------------------------------------


async def test_a_rejected_message_is_on_the_dead_letter_queue_and_says_why(sqs: Client) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs, "dead"))
    attributes = {f"a{n}": {"DataType": "Number", "StringValue": str(n)} for n in range(10)}
    sent = await sqs.send(url, "poison", MessageAttributes=attributes, MessageGroupId="tenant")
    handle = (await one(sqs, url))["ReceiptHandle"]
    assert await reject(sqs, url, handle, Error="ValueError: no such month") == {"Successful": [{"Id": "0"}]}
    assert await sqs.counts(url) == (0, 0, 0)
    moved = await one(sqs, dead)
    assert (moved["MessageId"], moved["Body"]) == (sent["MessageId"], "poison")
    assert moved["Attributes"]["DeadLetterQueueSourceArn"] == sqs.arn("work")
    assert (moved["Attributes"]["ApproximateReceiveCount"], moved["Attributes"]["MessageGroupId"]) == ("1", "tenant")
    assert moved["MessageAttributes"] == {
        **attributes,
        "encola.reason": {"DataType": "String", "StringValue": "invalid"},
        "encola.error": {"DataType": "String", "StringValue": "ValueError: no such month"},
    }


@pytest.mark.parametrize(
    ("reason", "error", "expected"),
    [
        ("r" * 300, "é" * 5000, ("r" * REASON_LENGTH_MAX, "é" * ERROR_LENGTH_MAX)),
        ("a\0b", "\ufffe\x1b[31m", ("a\ufffdb", "\ufffd\ufffd[31m")),
        ("r", "", ("r", None)),
        ("r", None, ("r", None)),
    ],
)
async def test_reasons_are_made_to_fit(
    sqs: Client, reason: str, error: str | None, expected: tuple[str, str | None]
) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs, "dead"))
    await sqs.send(url)
    await reject(sqs, url, (await one(sqs, url))["ReceiptHandle"], reason=reason, Error=error)
    found = (await one(sqs, dead))["MessageAttributes"]
    texts = [found.get(name, {}).get("StringValue") for name in ("encola.reason", "encola.error")]
    assert tuple(texts) == expected
    assert found.keys() == {name for name, text in zip(("encola.reason", "encola.error"), texts, strict=True) if text}


async def test_a_rejection_after_a_redrive_says_why_this_time(sqs: Client) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs, "dead"))
    await sqs.send(url)
    await reject(sqs, url, (await one(sqs, url))["ReceiptHandle"], reason="first", Error="of old")
    await sqs("StartMessageMoveTask", SourceArn=sqs.arn("dead"))
    (again,) = await sqs.receive(url, **ALL, WaitTimeSeconds=5)
    await until_moved(sqs)
    await reject(sqs, url, again["ReceiptHandle"], reason="second")
    found = (await one(sqs, dead))["MessageAttributes"]
    assert found == {"encola.reason": {"DataType": "String", "StringValue": "second"}}


async def test_a_rejection_may_be_repeated(sqs: Client) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs, "dead"))
    await sqs.send(url)
    handle = (await one(sqs, url))["ReceiptHandle"]
    for _ in range(2):
        assert failures(await reject(sqs, url, handle)) == []
    assert await sqs.counts(dead) == (1, 0, 0)


async def test_without_a_dead_letter_queue_an_entry_fails_and_the_message_stays(sqs: Client) -> None:
    await sqs.queue("dead")
    for url in (await sqs.queue("plain"), await sqs.queue("orphan", RedrivePolicy=policy(sqs, "dead"))):
        await sqs.send(url)
        if url.endswith("orphan"):
            await sqs("DeleteQueue", QueueUrl="dead")
        answer = await reject(sqs, url, (await one(sqs, url))["ReceiptHandle"])
        assert failures(answer) == ["Encola.NoDeadLetterQueue"]
        assert answer["Failed"][0]["SenderFault"]
        assert await sqs.counts(url) == (0, 1, 0)


async def test_who_lost_the_message_cannot_reject_it(sqs: Client, clock: TestClock) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs, "dead"))
    await sqs.send(url)
    handle = (await one(sqs, url))["ReceiptHandle"]
    clock.turn(30_000)
    await one(sqs, url)
    answer = await reject(sqs, url, handle, "odd", "")
    assert failures(answer) == ["ReceiptHandleIsInvalid", "MissingParameter", "InvalidParameterValue"]
    assert await sqs.counts(dead) == (0, 0, 0)


async def test_a_reason_there_must_be(sqs: Client) -> None:
    await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs, "dead"))
    await sqs.send(url)
    handle = (await one(sqs, url))["ReceiptHandle"]
    assert failures(await settle(sqs, "RejectMessageBatch", url, handle, Error="x")) == ["MissingParameter"]


async def test_on_a_fifo_queue_a_rejection_unlocks_the_group_and_wants_a_live_lease(
    sqs: Client, clock: TestClock
) -> None:
    dead = await sqs.queue("dead.fifo")
    url = await sqs.queue(
        "work.fifo", ContentBasedDeduplication="true", RedrivePolicy=policy(sqs, "dead.fifo"), VisibilityTimeout=30
    )
    for body in ("1", "2"):
        await sqs.send(url, body, MessageGroupId="g")
    first = await one(sqs, url)
    assert await sqs.receive(url) == []
    assert failures(await reject(sqs, url, first["ReceiptHandle"])) == []
    second = await one(sqs, url)
    assert second["Body"] == "2"
    clock.turn(30_000)
    assert failures(await reject(sqs, url, second["ReceiptHandle"])) == ["InvalidParameterValue"]
    moved = await one(sqs, dead)
    assert moved["Attributes"]["MessageDeduplicationId"] == moved["MessageId"]
    assert moved["MessageAttributes"]["encola.reason"]["StringValue"] == "invalid"


# Batches and rights -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation", ["DeleteMessageBatch", "ReleaseMessageBatch", "RejectMessageBatch", "SendMessageBatch"]
)
async def test_batches_have_the_rules_of_batches(sqs: Client, stranger: Client, operation: str) -> None:
    url = await sqs.queue()
    entry = {"Id": "a", "ReceiptHandle": "x", "MessageBody": "x"}
    for given, shape in (
        ({"Entries": [entry]}, "MissingRequiredParameterException"),
        ({"QueueUrl": "nowhere", "Entries": [entry]}, "QueueDoesNotExist"),
        ({"QueueUrl": url}, "EmptyBatchRequest"),
        ({"QueueUrl": url, "Entries": [entry, entry]}, "BatchEntryIdsNotDistinct"),
        (
            {"QueueUrl": url, "Entries": [{**entry, "Id": str(n)} for n in range(ENTRIES_MAX + 1)]},
            "TooManyEntriesInBatchRequest",
        ),
        ({"QueueUrl": url, "Entries": [{**entry, "Id": "!"}]}, "InvalidBatchEntryId"),
        ({"QueueUrl": url, "Entries": "x"}, "SerializationException"),
    ):
        with pytest.raises(RefusedError) as refused:
            await sqs.ours(operation, **given)
        assert (refused.value.status, refused.value.shape) == (400, shape)
    with pytest.raises(RefusedError) as refused:
        await stranger.ours(operation, QueueUrl=url, Entries=[entry])
    assert (refused.value.status, refused.value.shape) == (403, "AccessDeniedException")


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("DeleteMessageBatch", "DeleteMessage"),
        ("ReleaseMessageBatch", "ChangeMessageVisibility"),
        ("RejectMessageBatch", "DeleteMessage"),
        ("SendMessageBatch", "SendMessage"),
    ],
)
async def test_the_permission_of_an_operation_of_sqs_is_enough(
    sqs: Client, stranger: Client, operation: str, action: str
) -> None:
    url = await sqs.queue()
    entries = [{"Id": "a", "ReceiptHandle": "x", "MessageBody": "x", "VisibilityTimeout": 0, "Reason": "r"}]
    await sqs("AddPermission", QueueUrl=url, Label="l", AWSAccountIds=[stranger.account], Actions=[action])
    answer = await stranger.ours(operation, QueueUrl=url, Entries=entries)
    assert failures(answer) == ([] if operation == "SendMessageBatch" else ["ReceiptHandleIsInvalid"])
