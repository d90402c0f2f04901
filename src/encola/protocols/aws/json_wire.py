"""What the JSON protocols of AWS services have in common (application/x-amz-json-1.0). Pure.

Source: Smithy, "AWS JSON 1.0 protocol" and "AWS Query compatibility trait".
"""

from typing import Any

import msgspec

from encola.protocols.http.message import Response

CONTENT_TYPE = ("Content-Type", "application/x-amz-json-1.0")

_RECEIVER_FROM = 500
_encode = msgspec.json.Encoder().encode


def without_nulls(value: Any) -> Any:
    """A member that is null did not come (Smithy, JSON protocols)."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value]
    return value


def failure(space: str, shape: str, code: str, message: str, status: int, request_id: str) -> Response:
    """An error by its parts: its shape in the service's ``space``, and in a header its code of the Query protocol."""
    body = _encode({"__type": f"{space}#{shape}", "message": message})
    return Response(status, body, (*error_headers(shape, code, status, request_id), CONTENT_TYPE))


def error_headers(shape: str, code: str, status: int, request_id: str) -> tuple[tuple[str, str], ...]:
    """What SDKs read of an error besides its body."""
    fault = "Receiver" if status >= _RECEIVER_FROM else "Sender"
    return (
        ("x-amzn-RequestId", request_id),
        ("x-amzn-errortype", shape),
        ("x-amzn-query-error", f"{code};{fault}"),
    )
