"""SQS words to engine words: the attributes of a queue, read as a table.

Attributes are kept as clients gave them (``Settings.attributes``), so that what comes back is what was sent, to the
letter. The numbers and rules that the engine needs are derived from them here.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from encola.engine.queue import SECOND, DeadLetterRule, Queue, Settings
from encola.protocols.aws.policy import PolicyError, parse_policy
from encola.protocols.sqs.errors import SqsError, bad_attribute, invalid_value, unknown_attribute
from encola.protocols.sqs.naming import address_of_arn

MAX_RECEIVES_MAX = 1000
SOURCE_ARNS_MAX = 10
VALUE_LENGTH_MAX = 8192  # of any attribute; a policy's own limit

Check = Callable[[str, str], str]
"""Takes an attribute's name and value; answers the value to keep, or raises SqsError."""


def _number(low: int, high: int) -> Check:
    def check(name: str, value: str) -> str:
        text = value.strip()
        if not (text.isascii() and text.isdigit()) or len(text) > 10 or not low <= int(text) <= high:
            raise bad_attribute(name)
        return str(int(text))

    return check


def _choice(*values: str) -> Check:
    def check(name: str, value: str) -> str:
        if value.lower() in ("true", "false"):
            value = value.lower()
        if value not in values:
            raise bad_attribute(name)
        return value

    return check


def _text(_: str, value: str) -> str:
    return value


def _policy(name: str, value: str) -> str:
    if value:
        try:
            parse_policy(value)
        except PolicyError as error:
            raise bad_attribute(name, str(error)) from None
    return value


def _redrive_policy(_: str, value: str) -> str:
    if value:
        _rule_of(value)
    return value


def bad_redrive_policy(value: str, reason: str) -> SqsError:
    """AWS answers this attribute's errors in another way than all others'."""
    return invalid_value(value, "RedrivePolicy", reason)


def _redrive_allow_policy(name: str, value: str) -> str:
    if not value:
        return value
    policy = _object(value)
    if policy is None:
        raise bad_attribute(name, "Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.")
    permission, arns = policy.get("redrivePermission"), policy.get("sourceQueueArns")
    if permission not in ("allowAll", "denyAll", "byQueue") or set(policy) - {"redrivePermission", "sourceQueueArns"}:
        raise bad_attribute(name, "Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.")
    if (permission == "byQueue") is not bool(arns):
        raise bad_attribute(name, "sourceQueueArns must be given with byQueue, and only with it.")
    if arns and (
        not isinstance(arns, list) or len(arns) > SOURCE_ARNS_MAX or not all(address_of_arn(str(a)) for a in arns)
    ):
        raise bad_attribute(name, f"sourceQueueArns must have 1 to {SOURCE_ARNS_MAX} queue ARNs.")
    return value


def _object(value: str) -> dict[str, Any] | None:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _rule_of(value: str) -> DeadLetterRule:
    policy = _object(value)
    if policy is None:
        raise bad_redrive_policy(value, "Redrive policy is not a valid JSON map.")
    for key in ("deadLetterTargetArn", "maxReceiveCount"):
        if key not in policy:
            raise bad_redrive_policy(value, f"Redrive policy does not contain mandatory attribute: {key}.")
    if unknown := set(policy) - {"deadLetterTargetArn", "maxReceiveCount"}:
        raise bad_redrive_policy(value, f"Redrive policy contains an unknown attribute: {min(unknown)}.")
    target = address_of_arn(str(policy["deadLetterTargetArn"]))
    if target is None:
        raise bad_redrive_policy(value, "Invalid value for deadLetterTargetArn.")
    count = str(policy["maxReceiveCount"])
    if not (count.isascii() and count.isdigit()) or len(count) > 4 or not 1 <= int(count) <= MAX_RECEIVES_MAX:
        raise bad_redrive_policy(
            value, f"Invalid value for maxReceiveCount: {count[:20]}, valid values are from 1 to 1000 both inclusive."
        )
    return DeadLetterRule(target, int(count))


CHECKS: dict[str, Check] = {
    "DelaySeconds": _number(0, 900),
    "MaximumMessageSize": _number(1024, 1_048_576),
    "MessageRetentionPeriod": _number(60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": _number(0, 20),
    "VisibilityTimeout": _number(0, 43_200),
    "Policy": _policy,
    "RedrivePolicy": _redrive_policy,
    "RedriveAllowPolicy": _redrive_allow_policy,
    "KmsMasterKeyId": _text,
    "KmsDataKeyReusePeriodSeconds": _number(60, 86_400),
    "SqsManagedSseEnabled": _choice("true", "false"),
    "FifoQueue": _choice("true"),
    "ContentBasedDeduplication": _choice("true", "false"),
    "DeduplicationScope": _choice("queue", "messageGroup"),
    "FifoThroughputLimit": _choice("perQueue", "perMessageGroupId"),
}
"""Every attribute that can be set, and what it may be (API reference, SetQueueAttributes)."""

DELETED_BY_EMPTY = ("Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId")
FIFO_ONLY = ("ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit")

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
COUNTED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
READ_ONLY = (*COUNTED, "QueueArn", "CreatedTimestamp", "LastModifiedTimestamp")


def checked(given: Mapping[str, str], *, fifo: bool, creating: bool) -> dict[str, str]:
    """The given attributes in the form in which they are kept. Raises SqsError."""
    kept = {}
    for name, value in given.items():
        check = CHECKS.get(name)
        if check is None:
            raise unknown_attribute(name)
        if len(value) > VALUE_LENGTH_MAX:
            raise bad_attribute(name, f"It is longer than {VALUE_LENGTH_MAX} characters.")
        if name == "FifoQueue":
            _check_fifo_attribute(value, fifo=fifo, creating=creating)
        elif name in FIFO_ONLY and not fifo:
            if name == "ContentBasedDeduplication":
                raise unknown_attribute(name)
            raise SqsError("InvalidAttributeName", f"You can specify the {name} only when FifoQueue is set to true.")
        kept[name] = "" if value == "" and name in DELETED_BY_EMPTY else check(name, value)
    return kept


def _check_fifo_attribute(value: str, *, fifo: bool, creating: bool) -> None:
    if not fifo or (creating and value.lower() != "true"):
        raise unknown_attribute("FifoQueue")
    if value.lower() != "true":
        raise bad_attribute("FifoQueue", "Modifying queue type is not supported.")


def merged(earlier: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Attributes after a change, with the rules that tie one to another. Raises SqsError."""
    both = given.get("KmsMasterKeyId") and given.get("SqsManagedSseEnabled") == "true"
    if both:
        raise SqsError(
            "InvalidAttributeName",
            "You can use one type of server-side encryption (SSE) at one time. "
            "You can either enable KMS SSE or SQS SSE.",
        )
    result = {**earlier, **given}
    if given.get("KmsMasterKeyId"):
        result["SqsManagedSseEnabled"] = "false"
    elif given.get("SqsManagedSseEnabled") == "true":
        result.pop("KmsMasterKeyId", None)
    result = {name: value for name, value in result.items() if value != ""}
    if result.get("FifoThroughputLimit") == "perMessageGroupId" and result.get("DeduplicationScope") != "messageGroup":
        raise bad_attribute(
            "FifoThroughputLimit",
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.",
        )
    return result


def settings_of(attributes: dict[str, str], earlier: Settings | None = None) -> Settings:
    """The engine's settings. The scope of deduplication stays what it was when the queue was created."""
    value = {**DEFAULTS, **attributes}
    redrive = attributes.get("RedrivePolicy")
    by_group = attributes.get("DeduplicationScope") == "messageGroup"
    return Settings(
        delay=int(value["DelaySeconds"]) * SECOND,
        lease=int(value["VisibilityTimeout"]) * SECOND,
        retention=int(value["MessageRetentionPeriod"]) * SECOND,
        wait=int(value["ReceiveMessageWaitTimeSeconds"]) * SECOND,
        message_bytes_max=int(value["MaximumMessageSize"]),
        content_deduplication=attributes.get("ContentBasedDeduplication") == "true",
        group_deduplication=by_group if earlier is None else earlier.group_deduplication,
        dead_letter=_rule_of(redrive) if redrive else None,
        attributes=attributes,
    )


def attributes_of(queue: Queue) -> dict[str, str]:
    """All that a queue's settings answer, defaults included."""
    attributes = {**DEFAULTS, **(FIFO_DEFAULTS if queue.ordered else {}), **queue.settings.attributes}
    if "KmsMasterKeyId" in attributes:
        attributes.setdefault("KmsDataKeyReusePeriodSeconds", "300")
    else:
        attributes.pop("KmsDataKeyReusePeriodSeconds", None)
    return attributes


def redrive_allowed(target: Queue, source_arn: str) -> bool:
    """Whether ``target`` lets ``source_arn`` use it as its dead-letter queue (RedriveAllowPolicy)."""
    text = target.settings.attributes.get("RedriveAllowPolicy")
    if not text:
        return True
    policy = json.loads(text)
    if policy["redrivePermission"] == "byQueue":
        source = address_of_arn(source_arn)
        return any(address_of_arn(str(arn)) == source for arn in policy["sourceQueueArns"])
    return bool(policy["redrivePermission"] == "allowAll")
