"""The AWS JSON protocol of CloudWatch (application/x-amz-json-1.0): bytes to trees and back. Pure.

Times are seconds since 1970. Source: Smithy, "AWS JSON 1.0 protocol" and "AWS Query compatibility trait".
"""

import math
from typing import Any

import msgspec

from encola.protocols.aws import json_wire
from encola.protocols.aws.json_wire import CONTENT_TYPE, without_nulls
from encola.protocols.cloudwatch.errors import CloudWatchError
from encola.protocols.cloudwatch.shapes import TIMES_ASKED
from encola.protocols.http.message import Request, Response

PREFIX = "GraniteServiceVersion20100801."

_encode = msgspec.json.Encoder().encode


def decode(request: Request) -> tuple[str, dict[str, Any]]:
    """The operation's name and its input as a tree. Raises CloudWatchError."""
    target = request.headers.get("x-amz-target", "")
    if request.method != "POST" or not target.startswith(PREFIX):
        return target, {}
    try:
        tree = msgspec.json.decode(request.body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CloudWatchError("MalformedInput", "The request body is not valid JSON.") from None
    return target.removeprefix(PREFIX), prepared(tree)


def prepared(tree: Any) -> dict[str, Any]:
    """The tree with its times in milliseconds, and without what is null. Raises CloudWatchError."""
    if not isinstance(tree, dict):
        raise CloudWatchError("MalformedInput", "The request body must be an object.")
    given: dict[str, Any] = without_nulls(tree)
    for name in TIMES_ASKED:
        if name in given:
            given[name] = _instant(name, given[name])
    return given


def _instant(name: str, value: Any) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return round(value * 1000)
    raise CloudWatchError("MalformedInput", f"The parameter {name} must be a number of seconds.")


def answer(operation: str, result: dict[str, Any], request_id: str) -> Response:
    return Response(200, _encode(result), (("x-amzn-RequestId", request_id), CONTENT_TYPE))


def failure(code: str, shape: str, message: str, status: int, request_id: str) -> Response:
    """An error by its parts: its shape, and in a header its code of the Query protocol."""
    return json_wire.failure("com.amazonaws.cloudwatch", shape, code, message, status, request_id)
