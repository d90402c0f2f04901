"""Tags of queues."""

import pytest

from .client import Client


async def tags(sqs: Client, url: str) -> dict[str, str]:
    found: dict[str, str] = (await sqs("ListQueueTags", QueueUrl=url)).get("Tags", {})
    return found


async def test_tags_are_set_replaced_and_taken_off(either: Client) -> None:
    url = await either.queue(tags={"tag1": "value1", "tag2": "value2"})
    await either("TagQueue", QueueUrl=url, Tags={"tag2": "new", "tag3": "", "größe & <x>": "ü\U0001f600 = 1"})
    assert await tags(either, url) == {"tag1": "value1", "tag2": "new", "tag3": "", "größe & <x>": "ü\U0001f600 = 1"}
    await either("UntagQueue", QueueUrl=url, TagKeys=["tag1", "tag3", "missing", "Tag2"])
    assert await tags(either, url) == {"tag2": "new", "größe & <x>": "ü\U0001f600 = 1"}
    await either("UntagQueue", QueueUrl=url, TagKeys=["tag2", "größe & <x>"])
    assert await either("ListQueueTags", QueueUrl=url) == {}


async def test_creating_an_existing_queue_leaves_its_tags(sqs: Client) -> None:
    url = await sqs.queue(tags={"a": "b"})
    await sqs.queue(tags={"c": "d"})
    assert await tags(sqs, url) == {"a": "b"}


async def test_fifty_tags_are_enough(sqs: Client) -> None:
    fifty = {f"k{number}": "v" for number in range(50)}
    url = await sqs.queue(tags=fifty)
    await sqs("TagQueue", QueueUrl=url, Tags={"k0": "other"})
    error = await sqs.refusal("TagQueue", QueueUrl=url, Tags={"k50": "v"})
    assert error.told == ("InvalidParameterValue", "Too many tags added for queue. Maximum is 50.")
    assert await tags(sqs, url) == {**fifty, "k0": "other"}


@pytest.mark.parametrize("operation", ["TagQueue", "CreateQueue"])
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("", "v", "Tag keys must be between 1 and 128 characters in length."),
        ("k" * 129, "v", "Tag keys must be between 1 and 128 characters in length."),
        ("k", "v" * 257, "Tag values must be between 0 and 256 characters in length."),
        ("aws:k", "v", "Tag keys must not start with the reserved prefix aws:."),
        ("AWS:k", "v", "Tag keys must not start with the reserved prefix aws:."),
    ],
)
async def test_bad_tags(sqs: Client, operation: str, key: str, value: str, message: str) -> None:
    if operation == "TagQueue":
        error = await sqs.refusal(operation, QueueUrl=await sqs.queue(), Tags={key: value})
    else:
        error = await sqs.refusal(operation, QueueName="other", tags={key: value})
    assert error.told == ("InvalidParameterValue", message)


async def test_the_longest_tag_is_counted_in_characters(sqs: Client) -> None:
    longest = {"é" * 128: "\U0001f600" * 256}
    url = await sqs.queue(tags=longest)
    assert await tags(sqs, url) == longest
