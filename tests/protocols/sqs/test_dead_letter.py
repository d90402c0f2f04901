"""Dead-letter queues: the policies' rules, the move, and what it keeps of a message."""

import json
from typing import Any

import pytest

from ...broker.conftest import TestClock
from .client import OTHER_ACCOUNT, Client, bodies

STORES = ("memory", "sqlite")


def policy(arn: str, receives: object = 1) -> str:
    return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})


async def receive_and_fail(sqs: Client, url: str, clock: TestClock, **more: Any) -> list[dict[str, Any]]:
    messages = await sqs.receive(url, **more)
    clock.turn(30_000)
    return messages


# The move -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("receives", [3, "3"])
async def test_a_message_moves_at_the_receive_after_its_last(sqs: Client, clock: TestClock, receives: object) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs.arn("dead"), receives))
    await sqs.send(url, "poison")
    for _ in range(3):
        assert bodies(await receive_and_fail(sqs, url, clock)) == ["poison"]
        assert await sqs.counts(dead) == (0, 0, 0)
    assert await sqs.receive(url) == []
    assert await sqs.counts(url) == (0, 0, 0)
    assert bodies(await sqs.receive(dead)) == ["poison"]


async def test_the_moved_message_is_the_same_message(sqs: Client, clock: TestClock) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs.arn("dead")))
    attributes = {"color": {"DataType": "String", "StringValue": "red"}}
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}
    sent = await sqs.send(
        url, "poison", MessageAttributes=attributes, MessageSystemAttributes=trace, MessageGroupId="tenant"
    )
    (first,) = await receive_and_fail(sqs, url, clock, MessageSystemAttributeNames=["All"])
    await sqs.receive(url)
    (moved,) = await sqs.receive(dead, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"])
    assert moved["MessageId"] == sent["MessageId"]
    assert moved["MessageAttributes"] == attributes
    for name in ("SenderId", "SentTimestamp", "MessageGroupId", "AWSTraceHeader"):
        assert moved["Attributes"][name] == first["Attributes"][name]
    assert moved["Attributes"]["DeadLetterQueueSourceArn"] == sqs.arn("work")
    assert "DeadLetterQueueSourceArn" not in first["Attributes"]


async def test_on_a_standard_queue_retention_goes_on_from_the_first_send(sqs: Client, clock: TestClock) -> None:
    dead = await sqs.queue("dead", MessageRetentionPeriod=100)
    url = await sqs.queue(RedrivePolicy=policy(sqs.arn("dead")))
    await sqs.send(url)
    clock.turn(60_000)
    await receive_and_fail(sqs, url, clock)
    assert await sqs.receive(url) == []
    assert len(await sqs.receive(dead, VisibilityTimeout=0)) == 1
    clock.turn(11_000)
    assert await sqs.receive(dead) == []


async def test_on_a_fifo_queue_the_moved_message_has_a_new_time_and_its_id_to_deduplicate(
    sqs: Client, clock: TestClock
) -> None:
    dead = await sqs.queue("dead.fifo")
    url = await sqs.queue("line.fifo", RedrivePolicy=policy(sqs.arn("dead.fifo")))
    sent = await sqs.send(url, "poison", MessageGroupId="g", MessageDeduplicationId="d")
    await sqs.send(url, "next", MessageGroupId="g", MessageDeduplicationId="e")
    (first,) = await receive_and_fail(sqs, url, clock, limit=1, MessageSystemAttributeNames=["All"])
    assert bodies(await sqs.receive(url)) == ["next"]  # the group goes on
    (moved,) = await sqs.receive(dead, MessageSystemAttributeNames=["All"])
    assert moved["MessageId"] == sent["MessageId"]
    assert moved["Attributes"]["MessageDeduplicationId"] == sent["MessageId"]
    assert moved["Attributes"]["MessageGroupId"] == "g"
    assert int(moved["Attributes"]["SentTimestamp"]) >= int(first["Attributes"]["SentTimestamp"]) + 30_000
    assert moved["Attributes"]["DeadLetterQueueSourceArn"] == sqs.arn("line.fifo")


async def test_a_receive_fills_up_with_good_messages(sqs: Client, clock: TestClock) -> None:
    await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs.arn("dead")))
    await sqs.send(url, "poison")
    await receive_and_fail(sqs, url, clock)
    await sqs.send(url, "good")
    assert bodies(await sqs.receive(url, 1)) == ["good"]


async def test_a_visibility_timeout_of_zero_counts_as_a_receive(sqs: Client) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs.arn("dead"), 2), VisibilityTimeout=0)
    await sqs.send(url)
    assert [len(await sqs.receive(url)) for _ in range(3)] == [1, 1, 0]
    assert len(await sqs.receive(dead)) == 1


async def test_without_its_dead_letter_queue_a_message_stays(sqs: Client, clock: TestClock) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs.arn("dead")))
    await sqs.send(url)
    await sqs("DeleteQueue", QueueUrl=dead)
    for _ in range(3):
        assert len(await receive_and_fail(sqs, url, clock)) == 1


async def test_the_rule_can_be_taken_back(sqs: Client, clock: TestClock) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(sqs.arn("dead")))
    await sqs.set(url, RedrivePolicy="")
    assert "RedrivePolicy" not in await sqs.attributes(url)
    await sqs.send(url)
    for _ in range(3):
        assert len(await receive_and_fail(sqs, url, clock)) == 1
    assert await sqs("ListDeadLetterSourceQueues", QueueUrl=dead) == {"queueUrls": []}


# RedrivePolicy --------------------------------------------------------------------------------------

GOOD = "arn:aws:sqs:us-east-1:111122223333:dead"


@pytest.mark.parametrize("operation", ["create", "set"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("nonsense", "Redrive policy is not a valid JSON map."),
        ("[]", "Redrive policy is not a valid JSON map."),
        ("[" * 5000, "Redrive policy is not a valid JSON map."),
        ('"x"', "Redrive policy is not a valid JSON map."),
        ("{}", "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."),
        ('{"maxReceiveCount":1}', "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."),
        (json.dumps({"deadLetterTargetArn": GOOD}),
         "Redrive policy does not contain mandatory attribute: maxReceiveCount."),
        (json.dumps({"deadLetterTargetArn": GOOD, "maxReceiveCount": 1, "x": 1}),
         "Redrive policy contains an unknown attribute: x."),
        (policy("dummy", 42), "Invalid value for deadLetterTargetArn."),
        (policy("arn:aws:sns:us-east-1:111122223333:dead"), "Invalid value for deadLetterTargetArn."),
        (policy("arn:aws:sqs:us-east-1:1:dead"), "Invalid value for deadLetterTargetArn."),
        (policy(GOOD + "-missing"), "Dead letter target does not exist."),
        (policy(GOOD.replace("111122223333", OTHER_ACCOUNT)), "Dead letter target does not exist."),
        (policy(GOOD + ".fifo"), "Dead-letter queue must be same type of queue as the source."),
        *(
            (policy(GOOD, count),
             f"Invalid value for maxReceiveCount: {shown}, valid values are from 1 to 1000 both inclusive.")
            for count, shown in ((0, "0"), (1001, "1001"), (-1, "-1"), ("", ""), ("ten", "ten"), (1.5, "1.5"),
                                 (True, "True"), (None, "None"), ([], "[]"), (10**30, str(10**30)[:20]),
                                 ("\u0663", "\u0663"))
        ),
    ],
)  # fmt: skip
async def test_bad_redrive_policies(sqs: Client, stranger: Client, operation: str, value: str, reason: str) -> None:
    await sqs.queue("dead")
    await sqs.queue("dead.fifo")
    await stranger.queue("dead")
    if operation == "create":
        given = {"QueueName": "work", "Attributes": {"RedrivePolicy": value}}
        error = await sqs.refusal("CreateQueue", **given)
    else:
        given = {"QueueUrl": await sqs.queue(), "Attributes": {"RedrivePolicy": value}}
        error = await sqs.refusal("SetQueueAttributes", **given)
    assert error.told == (
        "InvalidParameterValue",
        f"Value {value} for parameter RedrivePolicy is invalid. Reason: {reason}",
    )


@pytest.mark.parametrize("count", [1, 1000, "1000", "001"])
async def test_good_redrive_policies_come_back_to_the_letter(sqs: Client, count: object) -> None:
    await sqs.queue("dead")
    value = policy(GOOD, count)
    url = await sqs.queue(RedrivePolicy=value)
    assert await sqs.attributes(url, "RedrivePolicy") == {"RedrivePolicy": value}


async def test_the_region_of_the_arn_does_not_matter(sqs: Client) -> None:
    dead = await sqs.queue("dead")
    url = await sqs.queue(RedrivePolicy=policy(GOOD.replace("us-east-1", "eu-west-3")))
    assert await sqs("ListDeadLetterSourceQueues", QueueUrl=dead) == {"queueUrls": [url]}


# RedriveAllowPolicy ---------------------------------------------------------------------------------

SOURCES = [f"arn:aws:sqs:us-east-1:111122223333:q{number}" for number in range(11)]
NOT_ALLOWED = "The dead-letter queue's redrive allow policy does not permit this queue."


def allow(permission: str, *sources: str) -> str:
    return json.dumps({"redrivePermission": permission} | ({"sourceQueueArns": list(sources)} if sources else {}))


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        (allow("allowAll"), True),
        (allow("denyAll"), False),
        (allow("byQueue", SOURCES[0], "arn:aws:sqs:us-east-1:111122223333:work"), True),
        (allow("byQueue", "arn:aws:sqs:us-east-1:111122223333:wor"), False),
        (allow("byQueue", *SOURCES[:9], "arn:aws:sqs:us-east-1:111122223333:work"), True),
        (allow("byQueue", "arn:aws:sqs:eu-west-1:111122223333:work"), True),
        (allow("byQueue", f"arn:aws:sqs:us-east-1:{OTHER_ACCOUNT}:work"), False),
    ],
)
async def test_a_dead_letter_queue_chooses_its_sources(sqs: Client, value: str, allowed: bool) -> None:
    await sqs.queue("dead", RedriveAllowPolicy=value)
    given = policy(GOOD)
    if allowed:
        await sqs.queue(RedrivePolicy=given)
    else:
        error = await sqs.refusal("CreateQueue", QueueName="work", Attributes={"RedrivePolicy": given})
        assert error.told == (
            "InvalidParameterValue",
            f"Value {given} for parameter RedrivePolicy is invalid. Reason: {NOT_ALLOWED}",
        )


async def test_the_choice_can_be_taken_back(sqs: Client) -> None:
    dead = await sqs.queue("dead", RedriveAllowPolicy=allow("denyAll"))
    await sqs.set(dead, RedriveAllowPolicy="")
    await sqs.queue(RedrivePolicy=policy(GOOD))
    assert "RedriveAllowPolicy" not in await sqs.attributes(dead)


@pytest.mark.parametrize(
    "value",
    [
        "nonsense",
        "[]",
        "{}",
        allow("allow"),
        allow("byQueue"),
        allow("byQueue", *SOURCES),
        allow("byQueue", "dummy"),
        allow("allowAll", SOURCES[0]),
        allow("denyAll", SOURCES[0]),
        json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": SOURCES[0]}),
        json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [1]}),
        json.dumps({"redrivePermission": "allowAll", "more": 1}),
        json.dumps({"redrivePermission": ["allowAll"]}),
    ],
)
async def test_bad_redrive_allow_policies(sqs: Client, value: str) -> None:
    error = await sqs.refusal("CreateQueue", QueueName="dead", Attributes={"RedriveAllowPolicy": value})
    assert error.code == "InvalidAttributeValue"
    assert error.message.startswith("Invalid value for the parameter RedriveAllowPolicy. Reason: ")


async def test_a_queue_is_not_its_own_dead_letter_queue(sqs: Client) -> None:
    await sqs.queue()
    policy = json.dumps({"deadLetterTargetArn": sqs.arn("work"), "maxReceiveCount": 1})
    refused = await sqs.refusal("SetQueueAttributes", QueueUrl="work", Attributes={"RedrivePolicy": policy})
    assert refused.code == "InvalidParameterValue"
    assert "its own dead-letter queue" in refused.message


async def test_in_a_chain_a_message_comes_from_the_queue_before(sqs: Client) -> None:
    for name, target in (("third", None), ("second", "third"), ("first", "second")):
        policy = {"deadLetterTargetArn": sqs.arn(target), "maxReceiveCount": 1} if target else None
        attributes = {"RedrivePolicy": json.dumps(policy)} if policy else {}
        await sqs("CreateQueue", QueueName=name, Attributes={"VisibilityTimeout": "0", **attributes})
    await sqs("SendMessage", QueueUrl="first", MessageBody="down and down")
    for name in ("first", "second"):
        assert (await sqs("ReceiveMessage", QueueUrl=name))["Messages"]
        assert not (await sqs("ReceiveMessage", QueueUrl=name)).get("Messages")
    (message,) = (await sqs("ReceiveMessage", QueueUrl="third", AttributeNames=["All"]))["Messages"]
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == sqs.arn("second")
