"""Attributes of queues: defaults, what each may be, set and unset, and creating a queue twice."""

import json

import pytest

from ...broker.conftest import TestClock
from .client import ACCOUNT, Client

ARN = f"arn:aws:sqs:us-east-1:{ACCOUNT}:work"
COUNTS = {
    "ApproximateNumberOfMessages": "0",
    "ApproximateNumberOfMessagesNotVisible": "0",
    "ApproximateNumberOfMessagesDelayed": "0",
}
DEFAULTS = {
    "VisibilityTimeout": "30",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
}
FIFO_DEFAULTS = {
    "FifoQueue": "true",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": ARN}]}
)

# Reading --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["work", "work.fifo"])
async def test_all_attributes_of_a_new_queue(either: Client, clock: TestClock, name: str) -> None:
    before = clock.now() // 1000
    url = await either.queue(name)
    found = await either.attributes(url)
    times = [int(found.pop(one)) for one in ("CreatedTimestamp", "LastModifiedTimestamp")]
    assert times[0] == times[1]
    assert before <= times[0] <= clock.now() // 1000
    fifo = FIFO_DEFAULTS if name.endswith(".fifo") else {}
    assert found == {**DEFAULTS, **COUNTS, **fifo, "QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"}


async def test_only_the_attributes_that_are_asked_for(either: Client) -> None:
    url = await either.queue()
    assert await either.attributes(url, "VisibilityTimeout", "QueueArn") == {"VisibilityTimeout": "30", "QueueArn": ARN}
    assert await either.attributes(url, "Policy", "RedrivePolicy", "KmsMasterKeyId") == {}
    assert set(await either.attributes(url, "QueueArn", "All")) == {*DEFAULTS, *COUNTS, "QueueArn", "CreatedTimestamp",
                                                                    "LastModifiedTimestamp"}  # fmt: skip


async def test_without_names_there_are_no_attributes(either: Client) -> None:
    url = await either.queue()
    assert await either("GetQueueAttributes", QueueUrl=url) == {}


async def test_the_modification_time_follows_changes_of_attributes_only(sqs: Client, clock: TestClock) -> None:
    url = await sqs.queue()
    created = (await sqs.attributes(url, "CreatedTimestamp"))["CreatedTimestamp"]
    clock.turn(10_000)
    await sqs("TagQueue", QueueUrl=url, Tags={"a": "b"})
    await sqs.send(url)
    times = await sqs.attributes(url, "CreatedTimestamp", "LastModifiedTimestamp")
    assert set(times.values()) == {created}
    await sqs.set(url, DelaySeconds=1)
    times = await sqs.attributes(url, "CreatedTimestamp", "LastModifiedTimestamp")
    assert times["CreatedTimestamp"] == created
    assert int(times["LastModifiedTimestamp"]) >= int(created) + 10


@pytest.mark.parametrize("name", ["Color", "", "all", "visibilityTimeout", "QueueUrl"])
async def test_asking_for_an_unknown_attribute(either: Client, name: str) -> None:
    url = await either.queue()
    error = await either.refusal("GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn", name])
    assert error.told == ("InvalidAttributeName", f"Unknown Attribute {name}.")


# Writing --------------------------------------------------------------------------------------------

NUMBERS = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
}


@pytest.mark.parametrize("name", NUMBERS)
async def test_numbers_within_their_bounds(either: Client, name: str) -> None:
    url = await either.queue()
    for value in NUMBERS[name]:
        await either.set(url, **{name: value})
        assert await either.attributes(url, name) == {name: str(value)}


@pytest.mark.parametrize("creating", [True, False])
@pytest.mark.parametrize("name", [*NUMBERS, "KmsDataKeyReusePeriodSeconds"])
async def test_numbers_out_of_their_bounds(sqs: Client, name: str, creating: bool) -> None:
    low, high = NUMBERS.get(name, (60, 86_400))
    for value in (low - 1, high + 1, -1, "", "x", "1.5", "1e2", "0x10", "\u0663", "9" * 5000, "NaN"):
        given = {name: str(value)}
        if creating:
            error = await sqs.refusal("CreateQueue", QueueName="other", Attributes=given)
        else:
            error = await sqs.refusal("SetQueueAttributes", QueueUrl=await sqs.queue(), Attributes=given)
        assert error.code == "InvalidAttributeValue"
        assert error.message.startswith(f"Invalid value for the parameter {name}.")


@pytest.mark.parametrize(
    "name",
    ["Color", "", "delaySeconds", "All", "QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", *COUNTS],
)
async def test_unknown_and_read_only_attributes_cannot_be_set(either: Client, name: str) -> None:
    url = await either.queue()
    for operation, target in (("SetQueueAttributes", {"QueueUrl": url}), ("CreateQueue", {"QueueName": "other"})):
        error = await either.refusal(operation, Attributes={name: "1"}, **target)
        assert error.told == ("InvalidAttributeName", f"Unknown Attribute {name}.")


async def test_one_bad_attribute_changes_nothing(sqs: Client) -> None:
    url = await sqs.queue()
    given = {"DelaySeconds": "5", "VisibilityTimeout": "-1"}
    assert (await sqs.refusal("SetQueueAttributes", QueueUrl=url, Attributes=given)).code == "InvalidAttributeValue"
    assert await sqs.attributes(url, "DelaySeconds") == {"DelaySeconds": "0"}


@pytest.mark.parametrize(
    ("name", "value"), [("Policy", POLICY), ("KmsMasterKeyId", "alias/aws/sqs"), ("RedriveAllowPolicy",
                                                                                '{"redrivePermission": "denyAll"}')]
)  # fmt: skip
async def test_texts_come_back_to_the_letter_and_the_empty_string_takes_them_away(
    either: Client, name: str, value: str
) -> None:
    url = await either.queue()
    await either.set(url, **{name: value})
    assert await either.attributes(url, name) == {name: value}
    await either.set(url, **{name: ""})
    assert await either.attributes(url, name) == {}
    assert name not in await either.attributes(url)


@pytest.mark.parametrize("value", ["nonsense", "[]", '{"Statement": []}', "{" * 3000, " " * 8193])
async def test_bad_policies(sqs: Client, value: str) -> None:
    error = await sqs.refusal("SetQueueAttributes", QueueUrl=await sqs.queue(), Attributes={"Policy": value})
    assert error.code == "InvalidAttributeValue"
    assert error.message.startswith("Invalid value for the parameter Policy.")


async def test_no_attribute_is_longer_than_a_policy_may_be(sqs: Client) -> None:
    url = await sqs.queue()
    for name in ("KmsMasterKeyId", "RedrivePolicy", "RedriveAllowPolicy"):
        error = await sqs.refusal("SetQueueAttributes", QueueUrl=url, Attributes={name: "x" * 8193})
        assert error.code == "InvalidAttributeValue"


# Encryption -----------------------------------------------------------------------------------------


async def test_a_key_switches_the_queues_own_encryption_off_and_back(sqs: Client) -> None:
    names = ("KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled")
    url = await sqs.queue(KmsMasterKeyId="key", KmsDataKeyReusePeriodSeconds=6000)
    assert await sqs.attributes(url, *names) == dict(zip(names, ("key", "6000", "false"), strict=True))
    await sqs.set(url, SqsManagedSseEnabled="true")
    assert await sqs.attributes(url, *names) == {"SqsManagedSseEnabled": "true"}
    await sqs.set(url, KmsMasterKeyId="other")
    assert (await sqs.attributes(url, *names))["SqsManagedSseEnabled"] == "false"
    await sqs.set(url, SqsManagedSseEnabled="false")
    assert (await sqs.attributes(url, *names))["KmsMasterKeyId"] == "other"


@pytest.mark.parametrize("seconds", ["60", "86400"])
async def test_the_bounds_of_a_keys_reuse_period(sqs: Client, seconds: str) -> None:
    url = await sqs.queue(KmsMasterKeyId="key", KmsDataKeyReusePeriodSeconds=seconds)
    assert await sqs.attributes(url, "KmsDataKeyReusePeriodSeconds") == {"KmsDataKeyReusePeriodSeconds": seconds}


async def test_a_key_has_a_reuse_period_by_default(sqs: Client) -> None:
    url = await sqs.queue(KmsMasterKeyId="key")
    assert await sqs.attributes(url, "KmsDataKeyReusePeriodSeconds") == {"KmsDataKeyReusePeriodSeconds": "300"}


@pytest.mark.parametrize("creating", [True, False])
async def test_there_is_one_kind_of_encryption_at_a_time(either: Client, creating: bool) -> None:
    given = {"KmsMasterKeyId": "key", "SqsManagedSseEnabled": "true"}
    if creating:
        error = await either.refusal("CreateQueue", QueueName="other", Attributes=given)
    else:
        error = await either.refusal("SetQueueAttributes", QueueUrl=await either.queue(), Attributes=given)
    assert error.told == (
        "InvalidAttributeName",
        "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.",
    )


# FIFO -----------------------------------------------------------------------------------------------

UNKNOWN_FIFO = ("InvalidAttributeName", "Unknown Attribute FifoQueue.")
FIXED_TYPE = (
    "InvalidAttributeValue",
    "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
)


@pytest.mark.parametrize(
    ("name", "attributes", "told"),
    [
        ("work", {"FifoQueue": "true"}, UNKNOWN_FIFO),
        ("work", {"FifoQueue": "false"}, UNKNOWN_FIFO),
        ("work.fifo", {"FifoQueue": "false"}, FIXED_TYPE),
        ("work.fifo", {"FifoQueue": ""}, FIXED_TYPE),
        ("work", {"ContentBasedDeduplication": "true"},
         ("InvalidAttributeName", "Unknown Attribute ContentBasedDeduplication.")),
        ("work", {"DeduplicationScope": "queue"},
         ("InvalidAttributeName", "You can specify the DeduplicationScope only when FifoQueue is set to true.")),
        ("work", {"FifoThroughputLimit": "perQueue"},
         ("InvalidAttributeName", "You can specify the FifoThroughputLimit only when FifoQueue is set to true.")),
        ("work.fifo", {"DeduplicationScope": "group"},
         ("InvalidAttributeValue", "Invalid value for the parameter DeduplicationScope.")),
        ("work.fifo", {"FifoThroughputLimit": "perGroup"},
         ("InvalidAttributeValue", "Invalid value for the parameter FifoThroughputLimit.")),
        ("work.fifo", {"ContentBasedDeduplication": "maybe"},
         ("InvalidAttributeValue", "Invalid value for the parameter ContentBasedDeduplication.")),
        ("work.fifo", {"FifoThroughputLimit": "perMessageGroupId"},
         ("InvalidAttributeValue", "Invalid value for the parameter FifoThroughputLimit. Reason: The perMessageGroupId "
          "value is allowed only when the value for DeduplicationScope is messageGroup.")),
    ],
)  # fmt: skip
async def test_attributes_of_fifo_queues(
    either: Client, name: str, attributes: dict[str, str], told: tuple[str, str]
) -> None:
    url = await either.queue(name)
    error = await either.refusal("SetQueueAttributes", QueueUrl=url, Attributes=attributes)
    assert error.told == told


async def test_a_fifo_queue_may_be_told_that_it_is_one(sqs: Client) -> None:
    url = await sqs.queue("work.fifo")
    await sqs.set(url, FifoQueue="true", ContentBasedDeduplication="TRUE")
    assert (await sqs.attributes(url, "ContentBasedDeduplication")) == {"ContentBasedDeduplication": "true"}


async def test_no_queue_is_created_as_not_fifo(either: Client) -> None:
    error = await either.refusal("CreateQueue", QueueName="work", Attributes={"FifoQueue": "false"})
    assert error.told == UNKNOWN_FIFO


# Creating twice -------------------------------------------------------------------------------------


async def test_creating_a_queue_again_with_the_same_or_fewer_attributes(either: Client) -> None:
    given = {"DelaySeconds": 5, "Policy": POLICY, "KmsDataKeyReusePeriodSeconds": 600}
    url = await either.queue(**given)
    for again in (given, {}, {"DelaySeconds": 5}, {"VisibilityTimeout": 30}, {"DelaySeconds": "05"}):
        assert await either.queue(**again) == url
    fifo = await either.queue("work.fifo", ContentBasedDeduplication="true")
    assert await either.queue("work.fifo", DeduplicationScope="queue") == fifo


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("work", {}, {"DelaySeconds": 1}),
        ("work", {"DelaySeconds": 1}, {"DelaySeconds": 2}),
        ("work", {"VisibilityTimeout": 1}, {"VisibilityTimeout": 30}),
        ("work", {}, {"Policy": POLICY}),
        ("work", {}, {"KmsMasterKeyId": "key"}),
        ("work.fifo", {"ContentBasedDeduplication": "true"}, {"ContentBasedDeduplication": "false"}),
    ],
)
async def test_creating_a_queue_again_with_other_attributes(
    either: Client, name: str, first: dict[str, object], second: dict[str, object]
) -> None:
    await either.queue(name, **first)
    given = {one: str(value) for one, value in second.items()}
    if name.endswith(".fifo"):
        given["FifoQueue"] = "true"
    error = await either.refusal("CreateQueue", QueueName=name, Attributes=given)
    (changed,) = second
    assert error.told == (
        "QueueAlreadyExists",
        f"A queue already exists with the same name and a different value for attribute {changed}",
    )


# Names ----------------------------------------------------------------------------------------------

BAD_NAME = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
BAD_FIFO_NAME = (
    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
    "must end with .fifo suffix and be 1 to 80 in length."
)


@pytest.mark.parametrize("name", ["a", "A-b_9", "x" * 80, "fifo", "x" * 75 + ".fifo", "-"])
async def test_good_names(either: Client, name: str) -> None:
    assert (await either.queue(name)).endswith(f"/{ACCOUNT}/{name}")


@pytest.mark.parametrize("name", ["x" * 81, "a b", "a.b", "a/b", "é", "a\n", "work.fifo", "a" + ".fifo" * 2, "\x00"])
async def test_bad_names(either: Client, name: str) -> None:
    error = await either.refusal("CreateQueue", QueueName=name)
    assert error.told == ("InvalidParameterValue", BAD_NAME)


@pytest.mark.parametrize("name", ["work", "x" * 76 + ".fifo", ".fifo", "a.b.fifo", "work.FIFO", "work.fifo\n"])
async def test_bad_names_of_fifo_queues(either: Client, name: str) -> None:
    error = await either.refusal("CreateQueue", QueueName=name, Attributes={"FifoQueue": "true"})
    assert error.told == ("InvalidParameterValue", BAD_FIFO_NAME)


async def test_names_tell_upper_case_from_lower(sqs: Client) -> None:
    assert await sqs.queue("Work") != await sqs.queue("work")
