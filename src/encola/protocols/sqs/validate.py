"""What a message may look like: sizes, characters, attributes, ids. Pure; raises SqsError with the recorded texts.

Sources: Amazon SQS API reference (SendMessage), developer guide ("Message quotas", "Message metadata").
"""

import re
from decimal import Decimal

from encola.engine.message import Header
from encola.protocols.sqs.errors import SqsError, invalid_parameter, invalid_value, missing
from encola.protocols.sqs.shapes import AttributeValues, MessageAttributeValue

ATTRIBUTES_MAX = 10
ATTRIBUTE_NAME_LENGTH_MAX = 256
ATTRIBUTE_TYPE_LENGTH_MAX = 256
NUMBER_DIGITS_MAX = 38
NUMBER_RANGE = (Decimal("1e-128"), Decimal("1e126"))
ID_LENGTH_MAX = 128
BATCH_ENTRIES_MAX = 10
BATCH_ID_LENGTH_MAX = 80
BATCH_BYTES_MAX = 1_048_576
SYSTEM_ATTRIBUTES = ("AWSTraceHeader",)

_XML_ASCII = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x80)])
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")
_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}\Z")
_BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")
_NUMBER = re.compile(r"[+-]?(?=\.?[0-9])[0-9]{0,1000}(\.[0-9]{0,1000})?([eE][+-]?[0-9]{1,6})?\Z")
_TYPES = ("String", "Number", "Binary")


def check_body(body: str) -> bytes:
    """The body in UTF-8. Its characters must be ones that XML 1.0 knows."""
    if not body:
        raise missing("MessageBody")
    if body.isascii():
        data = body.encode()
        if data.translate(None, _XML_ASCII):
            raise _bad_characters()
        return data
    if NOT_XML.search(body):
        raise _bad_characters()
    return body.encode()


def _bad_characters() -> SqsError:
    return SqsError("InvalidMessageContents", "Invalid characters found. Valid unicode characters are #x9 | #xA | "
                    "#xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")  # fmt: skip


def check_attributes(attributes: AttributeValues | None) -> dict[str, Header]:
    """Message attributes as headers."""
    if not attributes:
        return {}
    if len(attributes) > ATTRIBUTES_MAX:
        raise invalid_parameter(f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [10].")
    return {name: _header(name, value) for name, value in attributes.items()}


def check_system_attributes(attributes: AttributeValues | None) -> dict[str, Header]:
    """Message system attributes as headers; there is only AWSTraceHeader, of type String."""
    headers = {}
    for name, value in (attributes or {}).items():
        if name not in SYSTEM_ATTRIBUTES:
            raise invalid_parameter(
                f"Message system attribute name '{name}' is invalid. Valid names: {', '.join(SYSTEM_ATTRIBUTES)}."
            )
        if value.DataType != "String":
            raise invalid_parameter(f"Message system attribute '{name}' must be of type 'String'.")
        headers[name] = _header(name, value)
    return headers


def _header(name: str, value: MessageAttributeValue) -> Header:
    _check_attribute_name(name)
    kind = value.DataType
    if not kind:
        raise invalid_parameter(f"The message attribute '{name}' must contain non-empty message attribute type.")
    base = kind.partition(".")[0]
    if base not in _TYPES or len(kind) > ATTRIBUTE_TYPE_LENGTH_MAX or NOT_XML.search(kind):
        raise invalid_parameter(
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
            "prefixes is Binary, Number, and String."
        )
    if value.StringListValues or value.BinaryListValues:
        raise SqsError(
            "UnsupportedOperation", "Message attribute list values in SendMessage operation are not supported."
        )
    if base == "Binary":
        data = value.BinaryValue
    else:
        text = value.StringValue
        if text and NOT_XML.search(text):
            raise _bad_characters()
        data = text.encode() if text is not None else None
    if not data:
        raise invalid_parameter(f"Message (user) attribute '{name}' must contain a non-empty value of type '{base}'.")
    if base == "Number":
        _check_number(name, data.decode())
    return Header(kind, data)


def _check_attribute_name(name: str) -> None:
    if (
        len(name) > ATTRIBUTE_NAME_LENGTH_MAX
        or not _ATTRIBUTE_NAME.match(name)
        or name.lower().startswith(("aws.", "amazon."))
        or name.startswith(".")
        or name.endswith(".")
        or ".." in name
    ):
        raise invalid_parameter(f"Message (user) attribute name '{name[:ATTRIBUTE_NAME_LENGTH_MAX]}' is invalid.")


def _check_number(name: str, text: str) -> None:
    if not _NUMBER.match(text) or not _is_number(Decimal(text)):
        raise invalid_parameter(f"Can't cast the value of message (user) attribute '{name}' to a number.")


def _is_number(number: Decimal) -> bool:
    """Nothing here may compute: arithmetic would round to the context's 28 digits, or overflow."""
    if not number:
        return True
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    smallest, largest = NUMBER_RANGE
    return len(digits) <= NUMBER_DIGITS_MAX and smallest <= number.copy_abs() <= largest


def check_id(value: str, parameter: str) -> str:
    """A MessageGroupId, MessageDeduplicationId or ReceiveRequestAttemptId."""
    if not _ID.match(value):
        raise invalid_value(
            value[:ID_LENGTH_MAX], parameter,
            f"{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.",
        )  # fmt: skip
    return value


def check_range(value: int | None, low: int, high: int, parameter: str, reason: str) -> None:
    if value is not None and not low <= value <= high:
        raise invalid_value(value, parameter, reason)


def check_batch_ids(ids: list[str], entry_type: str, entries_max: int = BATCH_ENTRIES_MAX) -> None:
    """The rules for which a whole batch fails."""
    if not ids:
        raise SqsError("EmptyBatchRequest", f"There should be at least one {entry_type} in the request.")
    if len(ids) > entries_max:
        raise SqsError(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {entries_max}. You have sent {len(ids)}.",
        )
    seen: set[str] = set()
    for one in ids:
        if not _BATCH_ID.match(one):
            raise SqsError(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                f"It can be at most {BATCH_ID_LENGTH_MAX} letters long.",
            )
        if one in seen:
            raise SqsError("BatchEntryIdsNotDistinct", f"Id {one} repeated.")
        seen.add(one)
