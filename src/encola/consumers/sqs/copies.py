"""Messages as they are sent and read, and the copies that stand in for what plain SQS cannot do. Pure.

SQS delays a message for fifteen minutes at most, counts each delivery, and moves a message to a dead-letter queue only
after too many of them. Where more is wanted, a copy is sent, and these attributes say what it stands for:

    encola.due        when it is due, in milliseconds since 1970: who gets it before sends it on its way again
    encola.receives   how often it had been received before it was copied
    encola.sent       when it was first sent, in milliseconds since 1970
    encola.reason     in a dead-letter queue: why it is there, in one word
    encola.error      ... and at length
"""

import math
import re
from collections.abc import Mapping

from encola.consumers.message import DUE_ATTRIBUTE, ERROR_ATTRIBUTE, REASON_ATTRIBUTE
from encola.consumers.sqs.batches import BYTES_MAX, size_of
from encola.consumers.sqs.shapes import AttributeValue, AttributeValues, Message, SendEntry
from encola.consumers.transport import Incoming, Outgoing
from encola.engine.records import TEXT_LENGTH_MAX

OUR_PREFIX = "encola."
RECEIVES_ATTRIBUTE = "encola.receives"
SENT_ATTRIBUTE = "encola.sent"
TRACE_HEADER = "AWSTraceHeader"
"""The one system attribute that a sender may give (Amazon SQS API reference, SendMessage)."""

DELAY_SECONDS_MAX = 900
"""Of a message (Amazon SQS quotas)."""

ATTRIBUTES_MAX = 10
"""Of a message (Amazon SQS quotas)."""

ERROR_LENGTH_MAX = TEXT_LENGTH_MAX
REASON_LENGTH_MAX = 256

_STRING = "String"
_BINARY = "Binary"
_OF_THE_LIFE_BEFORE = (DUE_ATTRIBUTE, RECEIVES_ATTRIBUTE, SENT_ATTRIBUTE)
"""A message that comes back from a dead-letter queue starts anew, and counts as sent then."""

_UNFIT = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What a message must not contain (Amazon SQS API reference, SendMessage)."""


class Received(Incoming, kw_only=True):
    """A message with all its attributes where some are not text, so that a copy has them too."""

    values: AttributeValues | None = None


# In and out ------------------------------------------------------------------------------------------


def received(queue: str, message: Message, received_at: float) -> Received:
    """A message as the runtime sees it."""
    system = message.attributes
    values = message.message_attributes
    attributes = {name: value.string_value for name, value in values.items() if value.string_value is not None}
    plain = all(value.data_type == _STRING for value in values.values())
    return Received(
        queue=queue,
        message_id=message.message_id,
        receipt=message.receipt_handle,
        body=message.body,
        attributes=attributes,
        receives=_number(system, "ApproximateReceiveCount") + _number(attributes, RECEIVES_ATTRIBUTE),
        sent_at=_number(attributes, SENT_ATTRIBUTE) or _number(system, "SentTimestamp"),
        received_at=received_at,
        group=system.get("MessageGroupId"),
        sequence=system.get("SequenceNumber"),
        trace=system.get(TRACE_HEADER),
        values=None if plain else values,
    )


def _number(attributes: Mapping[str, str], name: str) -> int:
    """What others wrote may be anything: then it counts as nothing."""
    text = attributes.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= len("9" * 15) else 0


def draft(message: Outgoing, delay_max: int, now: int) -> SendEntry:
    """An entry of a batch. A delay above what the service can (``delay_max``) is noted in the message."""
    attributes: AttributeValues | None = None
    if message.attributes:
        attributes = {name: AttributeValue(_STRING, value) for name, value in message.attributes.items()}
    seconds = whole(message.delay)
    if seconds > delay_max:
        attributes = {**(attributes or {}), DUE_ATTRIBUTE: _text(now + round(message.delay * 1000))}
        seconds = delay_max
    return SendEntry(
        id="",
        message_body=message.body,
        delay_seconds=seconds or None,  # none: the queue's own
        message_attributes=attributes,
        message_group_id=message.group,
        message_deduplication_id=message.deduplication_id,
    )


def whole(seconds: float) -> int:
    """Nothing comes sooner than was asked for."""
    return max(0, math.ceil(seconds))


def reason_of(text: str) -> str:
    """As the value of an attribute, which must not be empty."""
    return _fit(text, REASON_LENGTH_MAX) or "unknown"


def error_of(text: str) -> str:
    """As the value of an attribute."""
    return _fit(text, ERROR_LENGTH_MAX)


def _fit(text: str, length_max: int) -> str:
    """Cut, and without what SQS does not allow in a message."""
    return _UNFIT.sub("\ufffd", text[:length_max])


# Copies ----------------------------------------------------------------------------------------------


def postponed(message: Incoming, seconds: float, now: int) -> SendEntry:
    """A copy that comes after so many seconds, as if this delivery had not been."""
    values = _values(message)
    values.pop(DUE_ATTRIBUTE, None)
    values[RECEIVES_ATTRIBUTE] = _text(max(message.receives - 1, 0))
    values[SENT_ATTRIBUTE] = _text(message.sent_at)
    delay = whole(seconds)
    if delay > DELAY_SECONDS_MAX:
        values[DUE_ATTRIBUTE] = _text(now + round(seconds * 1000))
        delay = DELAY_SECONDS_MAX
    return SendEntry(
        id="",
        message_body=message.body,
        delay_seconds=delay,
        message_attributes=_at_most(ATTRIBUTES_MAX, values),
        message_system_attributes=_trace(message),
        message_group_id=message.group,
    )


def dead_letter(message: Incoming, reason: str, error: str, *, fifo: bool) -> SendEntry:
    """The copy for the dead-letter queue. Sent twice to a FIFO queue, it is there once."""
    values = _values(message)
    for name in _OF_THE_LIFE_BEFORE:
        values.pop(name, None)
    values[REASON_ATTRIBUTE] = AttributeValue(_STRING, reason_of(reason))
    values.pop(ERROR_ATTRIBUTE, None)
    if error:
        values[ERROR_ATTRIBUTE] = AttributeValue(_STRING, error_of(error))
    entry = SendEntry(
        id="",
        message_body=message.body,
        message_attributes=_at_most(ATTRIBUTES_MAX, values),
        message_system_attributes=_trace(message),
        message_group_id=message.group,
        message_deduplication_id=message.message_id if fifo else None,
    )
    for name in (ERROR_ATTRIBUTE, REASON_ATTRIBUTE):  # the message itself matters more
        if size_of(entry) > BYTES_MAX:
            values = dict(entry.message_attributes or {})
            values.pop(name, None)
            entry.message_attributes = values
    return entry


def _values(message: Incoming) -> AttributeValues:
    values = message.values if isinstance(message, Received) else None
    if values is not None:
        return dict(values)
    return {name: AttributeValue(_STRING, value) for name, value in message.attributes.items()}


def _trace(message: Incoming) -> AttributeValues | None:
    return {TRACE_HEADER: AttributeValue(_STRING, message.trace)} if message.trace else None


def _at_most(count: int, values: AttributeValues) -> AttributeValues:
    """Those of others go first, the last of them first."""
    surplus = len(values) - count
    if surplus <= 0:
        return values
    others = [name for name in values if not name.startswith(OUR_PREFIX)]
    dropped = set(others[max(len(others) - surplus, 0) :])
    return {name: value for name, value in values.items() if name not in dropped}


def _text(number: int) -> AttributeValue:
    return AttributeValue(_STRING, str(number))
