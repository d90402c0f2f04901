"""The attributes of a queue as a form has them: one table for creating a queue and for changing one. Pure."""

import json
from collections.abc import Mapping

import msgspec

from encola.dashboard.fields import Fields


class Attribute(msgspec.Struct, frozen=True):
    """``name`` in the API's words; ``label`` and ``hint`` for people. ``choices`` are (value, text)."""

    name: str
    label: str
    default: str
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    long: bool = False


YES_NO = (("false", "no"), ("true", "yes"))

COMMON = (
    Attribute(
        "VisibilityTimeout", "Visibility timeout", "30", "Seconds that a received message is hidden, 0 to 43,200"
    ),
    Attribute("MessageRetentionPeriod", "Retention", "345600", "Seconds that a message is kept, 60 to 1,209,600"),
    Attribute("DelaySeconds", "Delay", "0", "Seconds before a new message can be received, 0 to 900"),
    Attribute("ReceiveMessageWaitTimeSeconds", "Long poll", "0", "Seconds that a receive waits, 0 to 20"),
    Attribute("MaximumMessageSize", "Largest message", "1048576", "Bytes, 1,024 to 1,048,576"),
)
OF_FIFO = (
    Attribute("ContentBasedDeduplication", "Deduplicate by content", "false", choices=YES_NO),
    Attribute(
        "DeduplicationScope",
        "Deduplication scope",
        "queue",
        choices=(("queue", "the queue"), ("messageGroup", "a message group")),
    ),
    Attribute(
        "FifoThroughputLimit",
        "Throughput limit",
        "perQueue",
        choices=(("perQueue", "per queue"), ("perMessageGroupId", "per message group")),
    ),
)
POLICY = Attribute("Policy", "Access policy", "", "JSON; empty: only this account, as its credentials say", long=True)


def attributes_of(fifo: bool) -> tuple[Attribute, ...]:
    """Those that a queue of this kind has."""
    return (*COMMON, *(OF_FIFO if fifo else ()), POLICY)


def given(form: Fields, fifo: bool, arn_of_queue: str, current: Mapping[str, str]) -> dict[str, str]:
    """The attributes that a form changes. ``arn_of_queue`` is the ARN of the dead-letter queue that it names, or ""."""
    wanted = {one.name: form.raw(one.name).strip() for one in attributes_of(fifo) if one.name in form}
    if "dead_letter_queue" in form:
        wanted["RedrivePolicy"] = (
            json.dumps({"deadLetterTargetArn": arn_of_queue, "maxReceiveCount": form.text("max_receives")})
            if arn_of_queue
            else ""
        )
    return {name: value for name, value in wanted.items() if not _same(name, value, current)}


def _same(name: str, value: str, current: Mapping[str, str]) -> bool:
    before = current.get(name, "")
    if name != "RedrivePolicy" or not (value and before):
        return value == before
    ours, theirs = json.loads(value), json.loads(before)
    return {key: str(one) for key, one in ours.items()} == {key: str(one) for key, one in theirs.items()}
