"""botocore's model as the oracle of the errors: each one that an operation may raise is provoked, in both protocols.

Those that cannot happen here are listed with the reason. Codes and statuses: AWS, "Query compatibility" of the JSON
protocol, as its SDKs have them.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.broker.lease_cap import LeaseCap
from encola.protocols.sqs.errors import SHAPES

from ...broker.conftest import TestClock
from .botocore_wire import operation_model, operation_names, service_model
from .client import OTHER_ACCOUNT, Client, RefusedError
from .test_oracle_required import WHOLE

SIMPLE = "AWS.SimpleQueueService."
CODES = {
    "BatchEntryIdsNotDistinct": (SIMPLE + "BatchEntryIdsNotDistinct", 400),
    "BatchRequestTooLong": (SIMPLE + "BatchRequestTooLong", 400),
    "EmptyBatchRequest": (SIMPLE + "EmptyBatchRequest", 400),
    "InvalidAddress": ("InvalidAddress", 404),
    "InvalidAttributeName": ("InvalidAttributeName", 400),
    "InvalidAttributeValue": ("InvalidAttributeValue", 400),
    "InvalidBatchEntryId": (SIMPLE + "InvalidBatchEntryId", 400),
    "InvalidIdFormat": ("InvalidIdFormat", 400),
    "InvalidMessageContents": ("InvalidMessageContents", 400),
    "InvalidSecurity": ("InvalidSecurity", 403),
    "KmsAccessDenied": ("KMS.AccessDeniedException", 400),
    "KmsDisabled": ("KMS.DisabledException", 400),
    "KmsInvalidKeyUsage": ("KMS.InvalidKeyUsageException", 400),
    "KmsInvalidState": ("KMS.InvalidStateException", 400),
    "KmsNotFound": ("KMS.NotFoundException", 400),
    "KmsOptInRequired": ("KMS.OptInRequired", 403),
    "KmsThrottled": ("KMS.ThrottlingException", 400),
    "MessageNotInflight": (SIMPLE + "MessageNotInflight", 400),
    "OverLimit": ("OverLimit", 403),
    "PurgeQueueInProgress": (SIMPLE + "PurgeQueueInProgress", 403),
    "QueueDeletedRecently": (SIMPLE + "QueueDeletedRecently", 400),
    "QueueDoesNotExist": (SIMPLE + "NonExistentQueue", 400),
    "QueueNameExists": ("QueueAlreadyExists", 400),
    "ReceiptHandleIsInvalid": ("ReceiptHandleIsInvalid", 404),
    "RequestThrottled": ("RequestThrottled", 403),
    "ResourceNotFoundException": ("ResourceNotFoundException", 404),
    "TooManyEntriesInBatchRequest": (SIMPLE + "TooManyEntriesInBatchRequest", 400),
    "UnsupportedOperation": (SIMPLE + "UnsupportedOperation", 400),
}

NEVER = {
    "RequestThrottled": "Requests are not throttled; the listener bounds connections instead.",
    "InvalidSecurity": "Asks for HTTPS or a newer signature; signatures are refused by the common errors, as on AWS.",
    "InvalidIdFormat": "Of receipt handles of an API version before 2009; today's code is ReceiptHandleIsInvalid.",
    "KmsAccessDenied": "There is no KMS: KmsMasterKeyId is kept and answered, and encrypts nothing.",
    "KmsDisabled": "As KmsAccessDenied.",
    "KmsInvalidKeyUsage": "As KmsAccessDenied.",
    "KmsInvalidState": "As KmsAccessDenied.",
    "KmsNotFound": "As KmsAccessDenied.",
    "KmsOptInRequired": "As KmsAccessDenied.",
    "KmsThrottled": "As KmsAccessDenied.",
}
"""Errors that no operation raises, and why."""

NO_QUEUE_URL = "Takes no queue URL, so no address can be wrong."
ONE_API = "Every operation is supported on every queue."
NEVER_OF = {
    (name, shape): reason
    for name in operation_names()
    for shape, reason in (
        ("UnsupportedOperation", ONE_API if name not in ("SendMessage", "SendMessageBatch") else ""),
        ("InvalidAddress", NO_QUEUE_URL if "QueueUrl" not in operation_model(name).input_shape.members else ""),
    )
    if reason
} | {
    ("SendMessageBatch", "UnsupportedOperation"): "Fails the entry, not the call.",
    ("SetQueueAttributes", "OverLimit"): "A policy over its limits is an InvalidAttributeValue.",
}
"""Errors that one operation does not raise, and why."""

MODELLED = [(name, error.name) for name in operation_names() for error in operation_model(name).error_shapes]
PROVOKED = [pair for pair in MODELLED if pair[1] not in NEVER and pair not in NEVER_OF]


class Stage:
    """What a provocation needs: a caller in the wanted protocol, the queue ``work``, and the broker behind it."""

    def __init__(self, sqs: Client, url: str, broker: Broker, clock: TestClock, patch: pytest.MonkeyPatch) -> None:
        self.sqs, self.url, self.broker, self.clock, self.patch = sqs, url, broker, clock, patch


@pytest.fixture
async def stage(either: Client, broker: Broker, clock: TestClock, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(either, await either.queue("work"), broker, clock, monkeypatch)


Provoke = Callable[[Stage, str], Awaitable[RefusedError]]


def call(**changed: Any) -> Provoke:
    """The plain call of the operation with some parameters changed."""

    async def provoke(stage: Stage, name: str) -> RefusedError:
        return await stage.sqs.refusal(name, **{**WHOLE[name], **changed})

    return provoke


async def no_queue(stage: Stage, name: str) -> RefusedError:
    url = {"QueueName": "missing"} if "QueueName" in WHOLE[name] else {"QueueUrl": f"{stage.url}-missing"}
    return await stage.sqs.refusal(name, **{**WHOLE[name], **url})


def entries(*ids: str, **more: Any) -> Provoke:
    async def provoke(stage: Stage, name: str) -> RefusedError:
        (entry,) = WHOLE[name]["Entries"]
        return await stage.sqs.refusal(name, QueueUrl=stage.url, Entries=[{**entry, "Id": one, **more} for one in ids])

    return provoke


async def not_in_flight(stage: Stage, name: str) -> RefusedError:
    await stage.sqs.send(stage.url)
    (message,) = await stage.sqs.receive(stage.url)
    stage.clock.turn(30_000)
    handle = message["ReceiptHandle"]
    return await stage.sqs.refusal(name, QueueUrl=stage.url, ReceiptHandle=handle, VisibilityTimeout=10)


async def deleted_recently(stage: Stage, name: str) -> RefusedError:
    await stage.sqs("DeleteQueue", QueueUrl=stage.url)
    return await stage.sqs.refusal(name, QueueName="work")


async def purged_recently(stage: Stage, name: str) -> RefusedError:
    await stage.sqs(name, QueueUrl=stage.url)
    return await stage.sqs.refusal(name, QueueUrl=stage.url)


async def too_many_in_flight(stage: Stage, name: str) -> RefusedError:
    receiving = stage.broker._receiving
    stage.patch.setattr(receiving, "_cap", LeaseCap(receiving._count_leased, leased_max=1))
    for _ in range(2):
        await stage.sqs.send(stage.url)
    await stage.sqs.receive(stage.url)
    return await stage.sqs.refusal(name, QueueUrl=stage.url)


async def no_task(stage: Stage, name: str) -> RefusedError:
    await stage.sqs.queue(
        "source", RedrivePolicy=f'{{"deadLetterTargetArn":"{stage.sqs.arn("work")}","maxReceiveCount":1}}'
    )
    await stage.sqs("StartMessageMoveTask", SourceArn=stage.sqs.arn("work"))
    handle = (await stage.sqs("ListMessageMoveTasks", SourceArn=stage.sqs.arn("work")))["Results"][0]["TaskHandle"]
    await stage.broker._moves.close()
    stage.broker._moves._tasks.clear()
    return await stage.sqs.refusal(name, TaskHandle=handle)


MISSING_ARN = "arn:aws:sqs:us-east-1:111122223333:missing"
LIST_VALUE = {"x": {"DataType": "String", "StringValue": "a", "StringListValues": ["a"]}}
PROVOCATIONS: dict[str | tuple[str, str], Provoke] = {
    "QueueDoesNotExist": no_queue,
    "InvalidAddress": call(QueueUrl="http://queue.test:9324/"),
    "EmptyBatchRequest": entries(),
    "TooManyEntriesInBatchRequest": entries(*"abcdefghijk"),
    "BatchEntryIdsNotDistinct": entries("a", "a"),
    "InvalidBatchEntryId": entries("a b"),
    "BatchRequestTooLong": entries("a", "b", MessageBody="x" * 600_000),
    "InvalidMessageContents": call(MessageBody="\x00"),
    "ReceiptHandleIsInvalid": call(ReceiptHandle="nonsense"),
    "MessageNotInflight": not_in_flight,
    "QueueDeletedRecently": deleted_recently,
    "QueueNameExists": call(Attributes={"DelaySeconds": "1"}),
    "PurgeQueueInProgress": purged_recently,
    "InvalidAttributeValue": call(Attributes={"DelaySeconds": "901"}),
    ("CreateQueue", "InvalidAttributeName"): call(Attributes={"Color": "red"}),
    ("SetQueueAttributes", "InvalidAttributeName"): call(Attributes={"Color": "red"}),
    ("GetQueueAttributes", "InvalidAttributeName"): call(AttributeNames=["Color"]),
    ("SendMessage", "UnsupportedOperation"): call(MessageAttributes=LIST_VALUE),
    ("AddPermission", "OverLimit"): call(Actions=["SendMessage"] * 8, AWSAccountIds=[OTHER_ACCOUNT]),
    ("ReceiveMessage", "OverLimit"): too_many_in_flight,
    ("StartMessageMoveTask", "ResourceNotFoundException"): call(SourceArn=MISSING_ARN),
    ("ListMessageMoveTasks", "ResourceNotFoundException"): call(SourceArn=MISSING_ARN),
    ("CancelMessageMoveTask", "ResourceNotFoundException"): no_task,
}  # fmt: skip


def test_all_errors_of_the_model_have_the_code_and_status_that_sdks_know() -> None:
    modelled = {shape.name for shape in service_model().error_shapes}
    assert {shape: (SHAPES[shape].code, SHAPES[shape].status) for shape in modelled} == CODES


def test_every_error_is_provoked_or_has_its_reason() -> None:
    assert set(NEVER) <= {shape for _, shape in MODELLED}
    assert set(NEVER_OF) <= set(MODELLED) | {(name, "InvalidAddress") for name in operation_names()}
    assert {pair for pair in PROVOKED if pair not in PROVOCATIONS and pair[1] not in PROVOCATIONS} == set()


@pytest.mark.parametrize(("name", "shape"), PROVOKED)
async def test_a_modelled_error_has_its_shape_code_and_status(stage: Stage, name: str, shape: str) -> None:
    provoke = PROVOCATIONS.get((name, shape)) or PROVOCATIONS[shape]
    error = await provoke(stage, name)
    assert (error.code, error.status) == CODES[shape]
    assert error.message
    if stage.sqs.protocol == "json":
        assert error.shape == shape
        assert error.headers["x-amzn-errortype"] == shape
        assert error.headers["x-amzn-query-error"] == f"{CODES[shape][0]};Sender"
        assert error.headers["content-type"] == "application/x-amz-json-1.0"
    else:
        assert b"<Type>Sender</Type>" in error.response.body
        assert error.headers["content-type"] == "text/xml"
    assert error.headers["x-amzn-requestid"]
