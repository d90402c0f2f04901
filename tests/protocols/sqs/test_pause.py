"""PauseQueue, ResumeQueue and ListPausedQueues: who may, and what is told."""

import json
from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.protocols.aws.identity import Authenticator, Credential
from encola.protocols.sqs.endpoint import SqsEndpoint

from ..aws.signer import NOW, signed
from .client import ACCOUNT, Client, RefusedError, bodies

STORES = ("memory", "sqlite")


async def test_a_paused_queue_answers_no_messages_and_its_attributes_do_not_tell(sqs: Client) -> None:
    url = await sqs.queue()
    before = await sqs.attributes(url, "All")
    assert await sqs.ours("PauseQueue", QueueUrl=url) == {}
    assert await sqs.ours("PauseQueue", QueueUrl="work") == {}
    await sqs.send(url)
    assert await sqs.receive(url) == []
    assert await sqs.attributes(url, "All") == {**before, "ApproximateNumberOfMessages": "1"}
    assert await sqs.queue() == url  # as it was created: no attribute differs
    assert await sqs.ours("ResumeQueue", QueueUrl=url) == {}
    assert bodies(await sqs.receive(url)) == ["hello"]


async def test_paused_queues_are_listed_by_prefix_and_in_pages(sqs: Client, stranger: Client) -> None:
    urls = [await sqs.queue(name) for name in ("a1", "a2", "a3", "b1")]
    assert await sqs.ours("ListPausedQueues") == {}
    for url in urls[1:]:
        await sqs.ours("PauseQueue", QueueUrl=url)
    assert await sqs.ours("ListPausedQueues") == {"QueueUrls": urls[1:]}
    page = await sqs.ours("ListPausedQueues", QueueNamePrefix="a", MaxResults=1)
    assert page["QueueUrls"] == [urls[1]]
    rest = await sqs.ours("ListPausedQueues", QueueNamePrefix="a", MaxResults=1, NextToken=page["NextToken"])
    assert rest == {"QueueUrls": [urls[2]]}
    assert await stranger.ours("ListPausedQueues") == {}


@pytest.mark.parametrize("operation", ["PauseQueue", "ResumeQueue"])
async def test_wrong_pauses(sqs: Client, stranger: Client, operation: str) -> None:
    url = await sqs.queue(Policy=json.dumps(everything_for_everybody(sqs)))
    for caller, given, status, shape in (
        (sqs, {}, 400, "MissingRequiredParameterException"),
        (sqs, {"QueueUrl": "missing"}, 400, "QueueDoesNotExist"),
        (stranger, {"QueueUrl": url}, 403, "AccessDeniedException"),  # an owner's, as SetQueueAttributes is
    ):
        with pytest.raises(RefusedError) as refused:
            await caller.ours(operation, **given)
        assert (refused.value.status, refused.value.shape) == (status, shape)


def everything_for_everybody(sqs: Client) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": sqs.arn("work")}
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.mark.parametrize(
    ("action", "status"), [("SetQueueAttributes", 200), ("ReceiveMessage", 403), ("PeekMessages", 403)]
)
async def test_who_may_set_attributes_may_pause(broker: Broker, sqs: Client, action: str, status: int) -> None:
    await sqs.queue()
    credential = Credential("SOME", "secret", ACCOUNT, "some", (action,), ("*",))
    endpoint = SqsEndpoint(broker, Authenticator([credential], wall=lambda: NOW))
    for operation in ("PauseQueue", "ResumeQueue"):
        headers = [("X-Amz-Target", f"Encola.{operation}"), ("Content-Type", "application/x-amz-json-1.0")]
        request = signed("POST", "/", headers, b'{"QueueUrl": "work"}', key="SOME", secret="secret")
        assert (await endpoint.handle(request)).status == status
