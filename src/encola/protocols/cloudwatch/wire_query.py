"""The AWS Query protocol of CloudWatch: form fields to trees, trees to XML. Pure.

Lists are numbered below ``member``: ``MetricDataQueries.member.1.Id=m1``. No name needs to be known for that: a node
whose parts are all below ``member`` is a list.

Source: Amazon CloudWatch API reference, "Making API requests"; Smithy, "AWS query protocol"; API version 2010-08-01.
"""

import functools
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from encola.protocols.cloudwatch.errors import CloudWatchError
from encola.protocols.cloudwatch.shapes import TIMES, TIMES_ASKED
from encola.protocols.http.message import Request, Response
from encola.protocols.sqs.validate import NOT_XML

NAMESPACE = "http://monitoring.amazonaws.com/doc/2010-08-01/"
FIELDS_MAX = 20_000  # 500 queries have ten fields each, and more with many dimensions
DOTS_MAX = 12  # in the name of a field
TIMES_MAX = 4096  # that are remembered as text: the series of an answer share them
CONTENT_TYPE = ("Content-Type", "text/xml")

_NUMBER = re.compile(r"[1-9][0-9]{0,5}\Z")


def decode(request: Request) -> tuple[str, dict[str, Any]]:
    """The operation's name and its input as a tree of text. Raises CloudWatchError."""
    fields = _fields(request)
    tree = _tree(fields)
    action = fields.get("Action", "")
    for name in TIMES_ASKED:
        if name in tree:
            tree[name] = _instant(name, tree[name])
    return action, tree


def _fields(request: Request) -> dict[str, str]:
    """The fields of the query string and, for a POST, of the form in its body; of one name, the first."""
    try:
        text = request.target.partition("?")[2]
        if request.method == "POST" and request.body:
            text = f"{request.body.decode()}&{text}" if text else request.body.decode()
        elif request.method not in ("GET", "POST"):
            raise CloudWatchError("InvalidAction", f"The method {request.method[:20]} is not supported.")
        pairs = parse_qsl(text, keep_blank_values=False, max_num_fields=FIELDS_MAX, encoding="utf-8", errors="strict")
    except ValueError:
        raise CloudWatchError("MalformedInput", "The request is not a valid form.") from None
    return dict(reversed(pairs))


def _tree(fields: dict[str, str]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for name, value in fields.items():
        node = root
        *path, last = name.split(".", DOTS_MAX)
        for part in path:
            below = node.get(part)
            if not isinstance(below, dict):  # a field that ends where another goes on says nothing
                below = node[part] = {}
            node = below
        node.setdefault(last, value)
    return {name: _listed(node) for name, node in root.items()}


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node.keys() == {"member"}:
        numbered = node["member"]
        if not isinstance(numbered, dict):
            return []
        return [_listed(numbered[key]) for key in sorted(filter(_NUMBER.match, numbered), key=int)]
    return {name: _listed(below) for name, below in node.items()}


def _instant(name: str, text: Any) -> int:
    """Milliseconds of an ISO 8601 time, or of seconds since 1970."""
    try:
        if _is_number(text):
            return round(float(text) * 1000)
        read = datetime.fromisoformat(text)
        return round((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError):
        raise CloudWatchError(
            "MalformedInput", f"The parameter {name} must be a time of ISO 8601, as 2026-01-31T23:59:59Z."
        ) from None


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{9,11}(\.[0-9]{1,9})?", text))


# Trees to XML ---------------------------------------------------------------------------------------


def answer(operation: str, result: dict[str, Any], request_id: str) -> Response:
    """A result as XML."""
    parts = [f'<?xml version="1.0"?><{operation}Response xmlns="{NAMESPACE}"><{operation}Result>']
    _write_members(result, parts)
    parts.append(
        f"</{operation}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        f"</{operation}Response>"
    )
    return Response(200, "".join(parts).encode(), (("x-amzn-RequestId", request_id), CONTENT_TYPE))


def _write_members(members: dict[str, Any], parts: list[str]) -> None:
    for name, value in members.items():
        parts.append(f"<{name}>")
        if name in TIMES:
            _write_times(value, parts)
        elif name == "ExtendedStatistics":
            for key, one in value.items():
                parts.append(f"<entry><key>{_text(key)}</key><value>{_text(one)}</value></entry>")
        else:
            _write(value, parts)
        parts.append(f"</{name}>")


def _write(value: Any, parts: list[str]) -> None:
    if isinstance(value, dict):
        _write_members(value, parts)
    elif isinstance(value, list) and value and isinstance(value[0], float):  # there may be very many
        parts.append("".join([f"<member>{one!r}</member>" for one in value]))
    elif isinstance(value, list):
        for one in value:
            parts.append("<member>")
            _write(one, parts)
            parts.append("</member>")
    else:
        parts.append(_text(value))


def _write_times(value: Any, parts: list[str]) -> None:
    if isinstance(value, list):
        parts.extend([f"<member>{_time(one)}</member>" for one in value])
    else:
        parts.append(_time(value))


@functools.lru_cache(TIMES_MAX)
def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)
    return escape(NOT_XML.sub("?", str(value)), {"\r": "&#xD;"})


def failure(code: str, shape: str, message: str, status: int, request_id: str) -> Response:
    """An error by its parts; ``shape`` is the name that the other protocols have for it."""
    kind = "Receiver" if status >= 500 else "Sender"
    body = (
        f'<?xml version="1.0"?><ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{kind}</Type>'
        f"<Code>{_text(code)}</Code><Message>{_text(message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Response(status, body.encode(), (("x-amzn-RequestId", request_id), CONTENT_TYPE))
