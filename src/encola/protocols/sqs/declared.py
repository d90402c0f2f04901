"""Queues that the operator declares: made, or brought to the declared attributes, before the server is ready.

They go through the same operations as a client's, in two rounds, so that a queue may name a dead-letter queue that is
declared after it. An attribute that is not declared stays as it is, and so does a queue that is not declared any more.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from encola.engine.queue import Address
from encola.protocols.aws.credentials import DEFAULT_ACCOUNT, DEFAULT_REGION, anyone, is_account
from encola.protocols.http.message import Request
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.desk import Call, Desk
from encola.protocols.sqs.errors import SqsError
from encola.protocols.sqs.mapping import attributes_of
from encola.protocols.sqs.naming import FIFO_SUFFIX, arn_of
from encola.protocols.sqs.queues import create_queue, set_queue_attributes
from encola.protocols.sqs.tags import tag_queue

REDRIVE = "RedrivePolicy"


class DeclarationError(ValueError):
    """A declared queue that cannot be; the text names it."""


class DeclaredQueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``attributes`` are those of CreateQueue; numbers, booleans and tables are written as SQS wants them.

    In ``RedrivePolicy`` and ``RedriveAllowPolicy`` a bare queue name stands for the ARN of a queue of the account. A
    name with the suffix ``.fifo`` makes a FIFO queue by itself.
    """

    name: str
    account: str = DEFAULT_ACCOUNT
    attributes: dict[str, str | int | bool | dict[str, Any]] = {}
    tags: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not is_account(self.account):
            raise ValueError("account must have 12 digits")


async def declare(desk: Desk, queues: Sequence[DeclaredQueue]) -> None:
    """Raises DeclarationError, StoreError."""
    for queue in queues:
        await _settle(desk, queue, {name: v for name, v in _attributes(queue).items() if name != REDRIVE}, create=True)
    for queue in queues:
        await _settle(desk, queue, {name: v for name, v in _attributes(queue).items() if name == REDRIVE}, create=False)


async def _settle(desk: Desk, declared: DeclaredQueue, attributes: dict[str, str], *, create: bool) -> None:
    operator = msgspec.structs.replace(anyone(declared.account, DEFAULT_REGION), operator=True)
    call = Call(operator, Request("POST", "/", {}, b""), "")
    queue = desk.broker.find(Address(declared.account, declared.name))
    try:
        if queue is None:
            await create_queue(desk, call, s.CreateQueueRequest(declared.name, attributes or None, declared.tags))
            return
        current = attributes_of(queue)
        changed = {name: value for name, value in attributes.items() if current.get(name, "") != value}
        if changed:
            await set_queue_attributes(desk, call, s.SetQueueAttributesRequest(declared.name, changed))
        if create and declared.tags.items() - queue.tags.items():
            await tag_queue(desk, call, s.TagQueueRequest(declared.name, declared.tags))
    except SqsError as error:
        raise DeclarationError(f"queue {declared.name}: {error.message}") from None


def _attributes(queue: DeclaredQueue) -> dict[str, str]:
    attributes = {name: _text(queue.account, value) for name, value in queue.attributes.items()}
    if queue.name.endswith(FIFO_SUFFIX):
        attributes.setdefault("FifoQueue", "true")
    return attributes


def _text(account: str, value: str | int | bool | dict[str, Any]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, dict):
        return str(value)
    table = dict(value)
    target, sources = table.get("deadLetterTargetArn"), table.get("sourceQueueArns")
    if isinstance(target, str):
        table["deadLetterTargetArn"] = _arn(account, target)
    if isinstance(sources, list):
        table["sourceQueueArns"] = [_arn(account, str(source)) for source in sources]
    return json.dumps(table, separators=(",", ":"))


def _arn(account: str, name: str) -> str:
    return name if ":" in name else arn_of(DEFAULT_REGION, Address(account, name))
