"""AddPermission and RemovePermission: statements of a queue's policy, by label."""

import asyncio
import json
from typing import Any

import pytest

from .client import ACCOUNT, OTHER_ACCOUNT, Client

ARN = f"arn:aws:sqs:us-east-1:{ACCOUNT}:work"


async def policy(sqs: Client) -> Any:
    text = (await sqs.attributes("work", "Policy")).get("Policy")
    return json.loads(text) if text else None


async def allow(
    sqs: Client, label: str = "one", accounts: Any = (OTHER_ACCOUNT,), actions: Any = ("SendMessage",)
) -> None:
    await sqs("AddPermission", QueueUrl="work", Label=label, AWSAccountIds=list(accounts), Actions=list(actions))


def statement(label: str, principal: object, action: object) -> dict[str, Any]:
    return {"Sid": label, "Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": ARN}


async def test_permissions_become_statements_of_the_policy(either: Client) -> None:
    await either.queue()
    await allow(either, "one")
    await allow(either, "two", (OTHER_ACCOUNT, "777788889999"), ("ReceiveMessage", "DeleteMessage"))
    other, third = f"arn:aws:iam::{OTHER_ACCOUNT}:root", "arn:aws:iam::777788889999:root"
    assert await policy(either) == {
        "Version": "2008-10-17",
        "Id": f"{ARN}/SQSDefaultPolicy",
        "Statement": [
            statement("one", other, "SQS:SendMessage"),
            statement("two", [other, third], ["SQS:ReceiveMessage", "SQS:DeleteMessage"]),
        ],
    }
    await either("RemovePermission", QueueUrl="work", Label="one")
    assert [one["Sid"] for one in (await policy(either))["Statement"]] == ["two"]
    await either("RemovePermission", QueueUrl="work", Label="two")
    assert await policy(either) is None


async def test_statements_of_a_policy_of_ones_own_stay(sqs: Client) -> None:
    await sqs.queue()
    own = {"Version": "2012-10-17", "Statement": {**statement("mine", "*", "sqs:*"), "Principal": "*"}}
    await sqs.set("work", Policy=json.dumps(own))
    await allow(sqs)
    found = await policy(sqs)
    assert found["Version"] == "2012-10-17"
    assert [one["Sid"] for one in found["Statement"]] == ["mine", "one"]
    await sqs("RemovePermission", QueueUrl="work", Label="mine")
    assert [one["Sid"] for one in (await policy(sqs))["Statement"]] == ["one"]


async def test_a_label_names_one_permission(either: Client) -> None:
    await either.queue()
    await allow(either)
    given = {"QueueUrl": "work", "Label": "one", "AWSAccountIds": ["777788889999"], "Actions": ["ReceiveMessage"]}
    error = await either.refusal("AddPermission", **given)
    assert error.told == ("InvalidParameterValue", "Value one for parameter Label is invalid. Reason: Already exists.")
    error = await either.refusal("RemovePermission", QueueUrl="work", Label="two")
    assert error.told == (
        "InvalidParameterValue",
        "Value two for parameter Label is invalid. Reason: can't find label.",
    )


BAD_LABEL = "Must be 1 to 80 alphanumeric characters, hyphens or underscores."
OWNER = "Only the queue owner is allowed to invoke this action."
NO_ACTION = "Please refer to the appropriate WSDL for a list of valid actions."


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"Label": "a b"}, ("InvalidParameterValue", f"Value a b for parameter Label is invalid. Reason: {BAD_LABEL}")),
        ({"Label": "x" * 81},
         ("InvalidParameterValue", f"Value {'x' * 81} for parameter Label is invalid. Reason: {BAD_LABEL}")),
        ({"AWSAccountIds": ["1"]},
         ("InvalidParameterValue", "Value 1 for parameter PrincipalId is invalid. Reason: Unable to verify.")),
        ({"AWSAccountIds": [OTHER_ACCOUNT, ""]},
         ("InvalidParameterValue", "Value  for parameter PrincipalId is invalid. Reason: Unable to verify.")),
        ({"AWSAccountIds": ["x1"]},
         ("InvalidParameterValue", "Value x1 for parameter PrincipalId is invalid. Reason: Unable to verify.")),
        ({"Actions": ["CreateQueue"]},
         ("InvalidParameterValue", f"Value SQS:CreateQueue for parameter ActionName is invalid. Reason: {OWNER}")),
        ({"Actions": ["SendMessage", "Fly"]},
         ("InvalidParameterValue", f"Value SQS:Fly for parameter ActionName is invalid. Reason: {NO_ACTION}")),
        ({"Actions": ["SendMessage"] * 8},
         ("OverLimit", "8 Actions were found, maximum allowed is 7.")),
    ],
)  # fmt: skip
async def test_bad_permissions(either: Client, changed: dict[str, Any], told: tuple[str, str]) -> None:
    await either.queue()
    given = {"QueueUrl": "work", "Label": "one", "AWSAccountIds": [OTHER_ACCOUNT], "Actions": ["SendMessage"]}
    assert (await either.refusal("AddPermission", **{**given, **changed})).told == told
    assert await policy(either) is None


async def test_all_actions_at_once(sqs: Client, stranger: Client) -> None:
    url = await sqs.queue()
    await allow(sqs, actions=("*",))
    await stranger.send(url, "let in")
    (message,) = await stranger.receive(url)
    await stranger("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


async def test_a_policy_holds_twenty_statements(sqs: Client) -> None:
    await sqs.queue()
    for number in range(20):
        await allow(sqs, f"label{number}")
    given = {"QueueUrl": "work", "Label": "one", "AWSAccountIds": [OTHER_ACCOUNT], "Actions": ["SendMessage"]}
    error = await sqs.refusal("AddPermission", **given)
    assert (*error.told, error.status) == ("OverLimit", "20 statements were found, maximum allowed is 20.", 403)
    assert len((await policy(sqs))["Statement"]) == 20


async def test_no_policy_locks_the_account_itself_out(sqs: Client) -> None:
    await sqs.queue()
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
    await sqs("SetQueueAttributes", QueueUrl="work", Attributes={"Policy": json.dumps({"Statement": deny})})
    refused = await sqs.refusal("SendMessage", QueueUrl="work", MessageBody="hello")
    assert refused.code == "AccessDenied"
    assert (await policy(sqs))["Statement"] == deny
    await sqs("SetQueueAttributes", QueueUrl="work", Attributes={"Policy": ""})
    await sqs("SendMessage", QueueUrl="work", MessageBody="hello")


async def test_a_parked_receive_gets_nothing_once_its_permission_is_gone(sqs: Client, stranger: Client) -> None:
    url = await sqs.queue()
    await allow(sqs, "one", (OTHER_ACCOUNT,), ("ReceiveMessage",))
    parked = asyncio.create_task(stranger("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=10))
    await asyncio.sleep(0.05)
    await sqs("RemovePermission", QueueUrl="work", Label="one")
    await sqs("SendMessage", QueueUrl="work", MessageBody="not for strangers")
    assert not (await parked).get("Messages")
    (message,) = (await sqs("ReceiveMessage", QueueUrl="work", AttributeNames=["All"]))["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
