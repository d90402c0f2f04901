"""Accounts are strangers to each other, unless a queue's policy says otherwise; and policies are enforced."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.protocols.sqs.access import OWNER_ONLY

from .client import ACCOUNT, OTHER_ACCOUNT, Client, bodies
from .test_oracle_required import WHOLE

URL = f"http://queue.test:9324/{ACCOUNT}/work"
ARN = f"arn:aws:sqs:us-east-1:{ACCOUNT}:work"


def policy(*statements: dict[str, Any]) -> str:
    whole = [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": ARN, **one} for one in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": whole})


async def test_each_account_has_queues_of_its_own(sqs: Client, stranger: Client) -> None:
    mine, yours = await sqs.queue(), await stranger.queue()
    assert (mine, yours) == (URL, URL.replace(ACCOUNT, OTHER_ACCOUNT))
    await sqs.send("work", "mine")
    assert await stranger.receive("work") == []
    assert (await stranger("ListQueues"))["QueueUrls"] == [yours]
    assert (await stranger.attributes("work", "QueueArn"))["QueueArn"] == ARN.replace(ACCOUNT, OTHER_ACCOUNT)
    await stranger("DeleteQueue", QueueUrl=yours)
    assert bodies(await sqs.receive("work")) == ["mine"]


ON_A_QUEUE = [name for name, given in WHOLE.items() if "QueueUrl" in given or "SourceArn" in given]


@pytest.mark.parametrize("name", ON_A_QUEUE)
async def test_another_accounts_queue_is_closed(caller: Callable[..., Client], sqs: Client, name: str) -> None:
    await sqs.queue()
    for protocol in ("json", "query"):
        error = await caller(account=OTHER_ACCOUNT, protocol=protocol).refusal(name, **WHOLE[name])
        single = name.removesuffix("Batch")
        assert (*error.told, error.status) == (
            "AccessDenied",
            f"User: arn:aws:iam::{OTHER_ACCOUNT}:root is not authorized to perform: sqs:{single.lower()} on resource: "
            f"{ARN}",
            403,
        )


async def test_another_accounts_queue_is_not_even_found(sqs: Client, stranger: Client) -> None:
    await sqs.queue()
    for name in ("work", "missing"):
        error = await stranger.refusal("GetQueueUrl", QueueName=name, QueueOwnerAWSAccountId=ACCOUNT)
        assert error.code == "AWS.SimpleQueueService.NonExistentQueue"
    await sqs.set("work", Policy=policy({"Action": "sqs:GetQueueUrl"}))
    found = await stranger("GetQueueUrl", QueueName="work", QueueOwnerAWSAccountId=ACCOUNT)
    assert found["QueueUrl"] == URL


# What a policy lets in ------------------------------------------------------------------------------


@pytest.mark.parametrize("principal", ["*", {"AWS": OTHER_ACCOUNT}, {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}])
async def test_a_policy_lets_another_account_in(sqs: Client, stranger: Client, principal: object) -> None:
    await sqs.queue()
    await sqs.set(URL, Policy=policy({"Principal": principal, "Action": ["sqs:SendMessage", "SQS:GetQueueA*"]}))
    await stranger.send(URL, "hello")
    await stranger("SendMessageBatch", QueueUrl=URL, Entries=[{"Id": "a", "MessageBody": "batch"}])
    assert (await stranger.counts(URL))[0] == 2
    assert (await stranger.refusal("ReceiveMessage", QueueUrl=URL)).code == "AccessDenied"
    (first, _) = await sqs.receive(URL, MessageSystemAttributeNames=["SenderId"])
    assert first["Attributes"]["SenderId"] == OTHER_ACCOUNT
    await sqs.set(URL, Policy="")
    assert (await stranger.refusal("SendMessage", QueueUrl=URL, MessageBody="x")).code == "AccessDenied"


async def test_a_policy_for_somebody_else_lets_nobody_in(sqs: Client, stranger: Client) -> None:
    await sqs.queue()
    await sqs.set(URL, Policy=policy({"Principal": {"AWS": "777788889999"}}))
    assert (await stranger.refusal("SendMessage", QueueUrl=URL, MessageBody="x")).code == "AccessDenied"
    await sqs.send(URL, "the owner needs no policy")


@pytest.mark.parametrize("name", sorted(set(OWNER_ONLY) & set(ON_A_QUEUE)))
async def test_some_actions_stay_with_the_owner_whatever_the_policy_says(
    sqs: Client, stranger: Client, name: str
) -> None:
    await sqs.queue()
    await sqs.set(URL, Policy=policy({}))
    error = await stranger.refusal(name, **WHOLE[name])
    assert (error.code, error.status) == ("AccessDenied", 403)


@pytest.mark.parametrize("name", sorted(set(ON_A_QUEUE) - set(OWNER_ONLY)))
async def test_all_other_actions_can_be_shared(sqs: Client, stranger: Client, name: str) -> None:
    await sqs.queue()
    await sqs.set(URL, Policy=policy({}))
    response = await stranger.response(name, **WHOLE[name])
    assert b"AccessDenied" not in response.body
    assert response.status != 403


async def test_a_denial_comes_before_everything_else_also_for_the_owner(sqs: Client, stranger: Client) -> None:
    await sqs.queue()
    await sqs.set(URL, Policy=policy({}, {"Effect": "Deny", "Action": "sqs:SendMessage"}))
    for client in (sqs, stranger):
        assert (await client.refusal("SendMessage", QueueUrl=URL, MessageBody="x")).code == "AccessDenied"
        await client.receive(URL)


async def test_a_changed_policy_holds_at_once(sqs: Client, stranger: Client) -> None:
    await sqs.queue()
    for effect in ("Allow", "Deny", "Allow"):
        await sqs.set(URL, Policy=policy({"Effect": effect, "Action": "sqs:SendMessage"}))
        if effect == "Allow":
            await stranger.send(URL)
        else:
            assert (await stranger.refusal("SendMessage", QueueUrl=URL, MessageBody="x")).code == "AccessDenied"


@pytest.mark.parametrize(
    ("condition", "secure", "allowed"),
    [
        ({"Bool": {"aws:SecureTransport": "true"}}, True, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, False, False),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, False, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False, False),
        ({"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "::/0"]}}, False, True),
        ({"StringEquals": {"aws:PrincipalAccount": OTHER_ACCOUNT}}, False, True),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:*"}}, False, False),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, False, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2999-01-01T00:00:00Z"}}, False, False),
        ({"NumericLessThan": {"aws:EpochTime": "1"}}, False, False),
        ({"StringLike": {"aws:UserAgent": "*"}}, False, True),
        ({"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:111122223333:topic"}}, False, False),
    ],
)
async def test_conditions_look_at_the_request(
    caller: Callable[..., Client], sqs: Client, condition: dict[str, Any], secure: bool, allowed: bool
) -> None:
    await sqs.queue()
    await sqs.set(URL, Policy=policy({"Condition": condition}))
    stranger = caller(account=OTHER_ACCOUNT, secure=secure)
    if allowed:
        await stranger.send(URL)
    else:
        assert (await stranger.refusal("SendMessage", QueueUrl=URL, MessageBody="x")).code == "AccessDenied"


async def test_a_task_of_another_account_cannot_be_cancelled(sqs: Client, stranger: Client, broker: Broker) -> None:
    await sqs.queue("dead")
    rule = json.dumps({"deadLetterTargetArn": sqs.arn("dead"), "maxReceiveCount": 1})
    await sqs.queue(RedrivePolicy=rule)
    for _ in range(3):
        await sqs.send("dead")
    given = {"SourceArn": sqs.arn("dead"), "DestinationArn": sqs.arn("work"), "MaxNumberOfMessagesPerSecond": 1}
    handle = (await sqs("StartMessageMoveTask", **given))["TaskHandle"]
    error = await stranger.refusal("CancelMessageMoveTask", TaskHandle=handle)
    assert error.code == "AccessDenied"
    (task,) = (await sqs("ListMessageMoveTasks", SourceArn=sqs.arn("dead")))["Results"]
    assert task["Status"] == "RUNNING"
