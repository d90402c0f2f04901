"""The Smithy RPC v2 CBOR protocol of CloudWatch: bytes to trees and back. Pure.

The path names service and operation; times are tag 1 (seconds since 1970); no other tag is read, so that nobody can ask
for numbers, patterns or cycles that are dear. Source: Smithy, "Smithy RPC v2 CBOR protocol".
"""

from datetime import datetime
from typing import Any, NoReturn

import cbor2

from encola.protocols.aws.json_wire import error_headers
from encola.protocols.cloudwatch.errors import CloudWatchError
from encola.protocols.cloudwatch.shapes import TIMES
from encola.protocols.cloudwatch.wire_json import prepared
from encola.protocols.http.message import Request, Response

PREFIX = "/service/GraniteServiceVersion20100801/operation/"
DEPTH_MAX = 32

_TIME = 1
_PROTOCOL = ("smithy-protocol", "rpc-v2-cbor")
CONTENT_TYPE = ("Content-Type", "application/cbor")


def _refuse(*_: Any) -> NoReturn:
    raise ValueError("a tag that the protocol does not have")


_KNOWN_TAGS = (0, *range(2, 6), *range(25, 38), 43000, 52, 54, 100, 256, 258, 260, 261, 1004, 55799)
_TAGS: Any = dict.fromkeys(_KNOWN_TAGS, _refuse)
"""Those that the library would read by itself."""


def decode(request: Request) -> tuple[str, dict[str, Any]]:
    """The operation's name and its input as a tree. Raises CloudWatchError."""
    path = request.target.partition("?")[0]
    if request.method != "POST" or not path.startswith(PREFIX):
        return path, {}
    try:
        tree = cbor2.loads(
            request.body or b"\xa0",
            max_depth=DEPTH_MAX,
            strict_hashable_types=True,
            semantic_decoders=_TAGS,
            tag_hook=_refuse,
        )
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError):
        raise CloudWatchError("MalformedInput", "The request body is not valid CBOR.") from None
    return path.removeprefix(PREFIX), prepared(_seconds(tree))


def _seconds(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    return {name: value.timestamp() if isinstance(value, datetime) else value for name, value in tree.items()}


def answer(operation: str, result: dict[str, Any], request_id: str) -> Response:
    headers = (("x-amzn-RequestId", request_id), _PROTOCOL, CONTENT_TYPE)
    return Response(200, cbor2.dumps(_tagged(result)), headers)


def _tagged(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _times(one) if name in TIMES else _tagged(one) for name, one in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_tagged(one) for one in value]
    return value


def _times(value: Any) -> Any:
    if isinstance(value, list):
        return [cbor2.CBORTag(_TIME, one) for one in value]
    return cbor2.CBORTag(_TIME, value)


def failure(code: str, shape: str, message: str, status: int, request_id: str) -> Response:
    """An error by its parts: its shape, and in a header its code of the Query protocol."""
    body = cbor2.dumps({"__type": f"com.amazonaws.cloudwatch#{shape}", "message": message})
    return Response(status, body, (*error_headers(shape, code, status, request_id), _PROTOCOL, CONTENT_TYPE))
