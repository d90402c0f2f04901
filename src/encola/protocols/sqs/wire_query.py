"""The AWS Query protocol: form fields to shapes, shapes to XML. Pure.

Lists and maps are flattened into numbered fields: ``Attribute.1.Name=DelaySeconds&Attribute.1.Value=5``. Which name a
member has on the wire is in two tables below; everything else follows from the shapes' own types.

Source: AWS documentation, "Making Query API requests" (Amazon SQS developer guide); API version 2012-11-05.
"""

import base64
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import msgspec

from encola.protocols.http.message import Response
from encola.protocols.sqs.errors import SHAPES, SqsError, invalid_parameter
from encola.protocols.sqs.shapes import Empty, Shape
from encola.protocols.sqs.validate import NOT_XML

NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
FIELDS_MAX = 2000
DOTS_MAX = 8  # in the name of a field
CONTENT_TYPE = ("Content-Type", "text/xml")

LISTS = {
    "AttributeNames": "AttributeName",
    "MessageSystemAttributeNames": "MessageSystemAttributeName",
    "MessageAttributeNames": "MessageAttributeName",
    "AWSAccountIds": "AWSAccountId",
    "Actions": "ActionName",
    "TagKeys": "TagKey",
    "StringListValues": "StringListValue",
    "BinaryListValues": "BinaryListValue",
    "QueueUrls": "QueueUrl",
    "queueUrls": "QueueUrl",
    "Messages": "Message",
    "Results": "ListMessageMoveTasksResultEntry",
}
"""The wire name of one element of a list."""

MAPS = {
    "Attributes": ("Attribute", "Name", "Value"),
    "MessageAttributes": ("MessageAttribute", "Name", "Value"),
    "MessageSystemAttributes": ("MessageSystemAttribute", "Name", "Value"),
    "Tags": ("Tag", "Key", "Value"),
    "tags": ("Tag", "Key", "Value"),
}
"""The wire name of one entry of a map, of its key and of its value."""

BATCH_MEMBERS = {"Entries": "RequestEntry", "Successful": "ResultEntry"}
"""Members named after their operation, as ``DeleteMessageBatchRequestEntry``."""

FAILED = "BatchResultErrorEntry"

_NUMBER = re.compile(r"[1-9][0-9]{0,5}\Z")


def fields_of(text: str) -> dict[str, str]:
    """The fields of a form or a query string; the first of those with one name. Raises SqsError."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, encoding="utf-8", errors="strict")
    except ValueError:
        raise SqsError("SerializationException", "The request is not a valid form.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


# Fields to shapes -----------------------------------------------------------------------------------


def decode(operation: str, shape: type[Shape], fields: Mapping[str, str]) -> Any:
    """The request's shape. Raises SqsError."""
    tree = _tree(fields)
    try:
        return msgspec.convert(_struct(operation, shape, tree), shape, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_parameter(f"The request has an invalid parameter: {error}") from None


class _Node:
    """A field name up to one of its dots: the text of the field that ends here, and what goes on behind the dot."""

    __slots__ = ("parts", "text")

    def __init__(self) -> None:
        self.text = ""
        self.parts: dict[str, _Node] = {}


_NOTHING = _Node()


def _tree(fields: Mapping[str, str]) -> _Node:
    root = _Node()
    for name, value in fields.items():
        node = root
        for part in name.split(".", DOTS_MAX):
            node = node.parts.setdefault(part, _Node())
        node.text = value
    return root


def _struct(operation: str, shape: type[Shape], tree: _Node) -> dict[str, Any]:
    found = {}
    for name, kind in _members(shape):
        value = _member(operation, name, kind, tree.parts)
        if value is not None:
            found[name] = value
    return found


def _member(operation: str, name: str, kind: Any, parts: dict[str, _Node]) -> Any:
    origin = typing.get_origin(kind)
    if origin is list:
        (element,) = typing.get_args(kind)
        wire = LISTS.get(name) or operation + BATCH_MEMBERS[name]
        values = [_value(operation, element, node) for node in _numbered(parts.get(wire))]
        return values or None
    if origin is dict:
        wire, key_name, value_name = MAPS[name]
        _, value_kind = typing.get_args(kind)
        entries = {}
        for node in _numbered(parts.get(wire)):
            key = node.parts.get(key_name, _NOTHING).text
            entries[key] = _value(operation, value_kind, node.parts.get(value_name, _NOTHING))
        return entries or None
    return _value(operation, kind, parts[name]) if name in parts else None


def _value(operation: str, kind: Any, node: _Node) -> Any:
    if isinstance(kind, type) and issubclass(kind, Shape):
        return _struct(operation, kind, node)
    return node.text


def _numbered(node: _Node | None) -> Iterator[_Node]:
    """The elements 1, 2, 3 ... in the order of their numbers; what is no number is no element."""
    parts = node.parts if node else {}
    for key in sorted((key for key in parts if _NUMBER.match(key)), key=int):
        yield parts[key]


def _members(shape: type[Shape]) -> list[tuple[str, Any]]:
    found = _MEMBERS.get(shape)
    if found is None:
        found = _MEMBERS[shape] = [(name, _plain(kind)) for name, kind in typing.get_type_hints(shape).items()]
    return found


_MEMBERS: dict[type[Shape], list[tuple[str, Any]]] = {}


def _plain(kind: Any) -> Any:
    """The type without its None or UNSET."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kinds = [one for one in typing.get_args(kind) if one not in (type(None), msgspec.UnsetType)]
        return kinds[0]
    return kind


# Shapes to XML --------------------------------------------------------------------------------------


def answer(operation: str, result: Shape, request_id: str) -> Response:
    """A result as XML; a void one has no element for it."""
    parts = [f'<?xml version="1.0"?><{operation}Response xmlns="{NAMESPACE}">']
    if type(result) is not Empty:
        parts.append(f"<{operation}Result>")
        _write_struct(operation, result, parts)
        parts.append(f"</{operation}Result>")
    parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>")
    return Response(200, "".join(parts).encode(), (("x-amzn-RequestId", request_id), CONTENT_TYPE))


def _write_struct(operation: str, struct: Shape, parts: list[str]) -> None:
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if value is None or value is msgspec.UNSET:
            continue
        if isinstance(value, list):
            wire = FAILED if name == "Failed" else LISTS.get(name) or operation + BATCH_MEMBERS[name]
            for element in value:
                _write(operation, wire, element, parts)
        elif isinstance(value, dict):
            wire, key_name, value_name = MAPS[name]
            for key, element in value.items():
                parts.append(f"<{wire}><{key_name}>{_text(key)}</{key_name}>")
                _write(operation, value_name, element, parts)
                parts.append(f"</{wire}>")
        else:
            _write(operation, name, value, parts)


def _write(operation: str, wire: str, value: Any, parts: list[str]) -> None:
    parts.append(f"<{wire}>")
    if isinstance(value, Shape):
        _write_struct(operation, value, parts)
    else:
        parts.append(_text(value))
    parts.append(f"</{wire}>")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    # A bare carriage return would be read as a line feed by every XML parser (XML 1.0, section 2.11).
    return escape(NOT_XML.sub("?", str(value)), {"\r": "&#xD;"})


QUERY_TEXTS = {"QueueDoesNotExist": "The specified queue does not exist for this wsdl version."}
"""Texts that differ from those of the JSON protocol."""


def error_answer(error: SqsError, request_id: str) -> Response:
    message = QUERY_TEXTS.get(error.shape, error.message)
    return failure(SHAPES[error.shape].code, message, error.status, request_id)


def failure(code: str, message: str, status: int, request_id: str) -> Response:
    kind = "Receiver" if status >= 500 else "Sender"
    body = (
        f'<?xml version="1.0"?><ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{kind}</Type>'
        f"<Code>{_text(code)}</Code><Message>{_text(message)}</Message><Detail/></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Response(status, body.encode(), (("x-amzn-RequestId", request_id), CONTENT_TYPE))
