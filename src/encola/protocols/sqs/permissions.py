"""AddPermission and RemovePermission: statements of a queue's policy by label.

Source: Amazon SQS API reference, AddPermission.
"""

import json
import re
from typing import Any

from encola.engine.queue import Queue
from encola.protocols.aws.policy import STATEMENTS_MAX
from encola.protocols.sqs import mapping
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.access import OWNER_ONLY
from encola.protocols.sqs.desk import Call, Desk
from encola.protocols.sqs.errors import SqsError, invalid_value

ACTIONS_MAX = 7
LABEL = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")
ACCOUNT = re.compile(r"[0-9]{12}\Z")
SHAREABLE = (
    "SendMessage",
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
)


async def add_permission(desk: Desk, call: Call, request: s.AddPermissionRequest) -> s.Empty:
    queue = desk.queue(call, request.QueueUrl, "AddPermission")
    accounts, actions = request.AWSAccountIds or [], request.Actions or []
    _check(request.Label, accounts, actions)
    arn = call.arn(queue.address)
    policy = _policy_of(queue) or {"Version": "2008-10-17", "Id": f"{arn}/SQSDefaultPolicy", "Statement": []}
    if any(statement.get("Sid") == request.Label for statement in policy["Statement"]):
        raise invalid_value(request.Label, "Label", "Already exists.")
    if len(policy["Statement"]) >= STATEMENTS_MAX:
        raise SqsError(
            "OverLimit", f"{len(policy['Statement'])} statements were found, maximum allowed is {STATEMENTS_MAX}."
        )
    principals = [f"arn:aws:iam::{account}:root" for account in accounts]
    named = [f"SQS:{action}" for action in actions]
    statement = {
        "Sid": request.Label,
        "Effect": "Allow",
        "Principal": {"AWS": principals[0] if len(principals) == 1 else principals},
        "Action": named[0] if len(named) == 1 else named,
        "Resource": arn,
    }
    await _keep(desk, queue, {**policy, "Statement": [*policy["Statement"], statement]})
    return s.Empty()


def _check(label: str, accounts: list[str], actions: list[str]) -> None:
    if not LABEL.match(label):
        raise invalid_value(label[:100], "Label", "Must be 1 to 80 alphanumeric characters, hyphens or underscores.")
    for account in accounts:
        if not ACCOUNT.match(account):
            raise invalid_value(account[:100], "PrincipalId", "Unable to verify.")
    if len(actions) > ACTIONS_MAX:
        raise SqsError("OverLimit", f"{len(actions)} Actions were found, maximum allowed is {ACTIONS_MAX}.")
    for action in actions:
        if action != "*" and action not in SHAREABLE:
            raise invalid_value(
                f"SQS:{action[:100]}", "ActionName",
                "Only the queue owner is allowed to invoke this action."
                if action in OWNER_ONLY
                else "Please refer to the appropriate WSDL for a list of valid actions.",
            )  # fmt: skip


async def remove_permission(desk: Desk, call: Call, request: s.RemovePermissionRequest) -> s.Empty:
    queue = desk.queue(call, request.QueueUrl, "RemovePermission")
    policy = _policy_of(queue) or {"Statement": []}
    left = [statement for statement in policy["Statement"] if statement.get("Sid") != request.Label]
    if len(left) == len(policy["Statement"]):
        raise invalid_value(request.Label[:100], "Label", "can't find label.")
    await _keep(desk, queue, {**policy, "Statement": left} if left else None)
    return s.Empty()


def _policy_of(queue: Queue) -> dict[str, Any] | None:
    text = queue.settings.attributes.get("Policy")
    if not text:
        return None
    policy: dict[str, Any] = json.loads(text)
    statements = policy.get("Statement", [])
    return {**policy, "Statement": statements if isinstance(statements, list) else [statements]}


async def _keep(desk: Desk, queue: Queue, policy: dict[str, Any] | None) -> None:
    text = json.dumps(policy, separators=(",", ":")) if policy else ""
    given = mapping.checked({"Policy": text}, fifo=queue.ordered, creating=False)
    settings = mapping.settings_of(mapping.merged(queue.settings.attributes, given), queue.settings)
    await desk.broker.update(queue, settings=settings)
