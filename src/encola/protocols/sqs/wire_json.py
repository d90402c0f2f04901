"""The AWS JSON protocol (application/x-amz-json-1.0): bytes to shapes and back. Pure.

Source: Smithy, "AWS JSON 1.0 protocol" and "AWS Query compatibility trait".
"""

from typing import Any

import msgspec

from encola.protocols.aws import json_wire
from encola.protocols.aws.json_wire import CONTENT_TYPE, without_nulls
from encola.protocols.http.message import Response
from encola.protocols.sqs.errors import SHAPES, SqsError
from encola.protocols.sqs.shapes import Empty, Shape

_encode = msgspec.json.Encoder().encode


def decode(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    """The request's shape. Raises SqsError (SerializationException)."""
    try:
        try:
            return decoder.decode(body or b"{}")
        except msgspec.ValidationError:
            if b"null" not in body:
                raise
            # Nulls are rare, so the fast way does not look for them.
            return msgspec.convert(without_nulls(msgspec.json.decode(body)), decoder.type)
    except msgspec.ValidationError as error:
        raise SqsError("SerializationException", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SqsError("SerializationException", "The request body is not valid JSON.") from None


def answer(result: Shape, request_id: str) -> Response:
    """A void result has no body at all, as AWS answers it."""
    body = b"" if type(result) is Empty else _encode(result)
    return Response(200, body, (("x-amzn-RequestId", request_id), CONTENT_TYPE))


def error_answer(error: SqsError, request_id: str) -> Response:
    """SDKs read the shape from ``__type`` or ``x-amzn-errortype``, and the Query code from ``x-amzn-query-error``."""
    return failure(error.shape, SHAPES[error.shape].code, error.message, error.status, request_id)


def failure(shape: str, code: str, message: str, status: int, request_id: str) -> Response:
    """An error by its parts (authentication errors have no shape of their own)."""
    return json_wire.failure("com.amazonaws.sqs", shape, code, message, status, request_id)
