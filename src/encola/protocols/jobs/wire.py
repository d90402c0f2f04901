"""The records of jobs over HTTP: requests, answers and errors as bytes. Pure.

Commands, replies and jobs go over the wire as ``engine.records`` has them. The JSON protocol around them is that of
SQS: ``X-Amz-Target`` names the operation, ``__type`` an error.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from encola.engine.message import Instant
from encola.engine.records import (
    COMMANDS_MAX,
    RESULT_BYTES_MAX,
    Command,
    Complete,
    Job,
    Key,
    Reply,
)
from encola.protocols.http.message import Response

CONTENT_TYPE = ("Content-Type", "application/x-amz-json-1.0")

STATUSES = {
    "ValidationException": 400,
    "WrongRecord": 400,
    "SerializationException": 400,
    "UnknownOperationException": 400,
    "AccessDeniedException": 403,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
}
"""The errors of this protocol, besides those of a signature."""


class JobsError(Exception):
    """An answer that is an error; ``code`` is a key of ``STATUSES``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ApplyRequest(msgspec.Struct):
    """Commands that are carried out in order."""

    Commands: Annotated[list[Command], Meta(min_length=1, max_length=COMMANDS_MAX)]


class ApplyAnswer(msgspec.Struct):
    """One reply for each command."""

    Replies: list[Reply]


class GetRequest(msgspec.Struct):
    """Keys of the caller's account."""

    Keys: Annotated[list[Key], Meta(min_length=1, max_length=COMMANDS_MAX)]


class GetAnswer(msgspec.Struct):
    """One job for each key, null where there is none."""

    Jobs: list[Job | None]


class FindAnswer(msgspec.Struct, omit_defaults=True):
    """A page. With ``Next`` there may be more, also behind a page that is not full: it is the next ``before``."""

    Jobs: list[Job]
    Next: tuple[Instant, str] | None = None


_encode = msgspec.json.Encoder().encode


def decode(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    """The request's shape, all its limits checked. Raises JobsError."""
    try:
        body.decode()  # results are kept as they come, so nobody else looks at their characters
        asked = decoder.decode(body or b"{}")
    except msgspec.ValidationError as error:
        raise JobsError("ValidationException", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise JobsError("SerializationException", "The request body is not valid JSON.") from None
    if isinstance(asked, ApplyRequest):
        _check_results(asked.Commands)
    return asked


def _check_results(commands: list[Command]) -> None:
    for place, command in enumerate(commands):
        if isinstance(command, Complete) and len(memoryview(command.result)) > RESULT_BYTES_MAX:
            raise JobsError(
                "ValidationException",
                f"Expected a result of at most {RESULT_BYTES_MAX} bytes of JSON - at `$.Commands[{place}].result`",
            )


def answer(result: msgspec.Struct, request_id: str) -> Response:
    return Response(200, _encode(result), (("x-amzn-RequestId", request_id), CONTENT_TYPE))


def failure(code: str, message: str, status: int, request_id: str) -> Response:
    """An error by its parts (those of a signature have statuses of their own)."""
    headers = (("x-amzn-RequestId", request_id), CONTENT_TYPE, ("x-amzn-errortype", code))
    return Response(status, _encode({"__type": f"encola.jobs#{code}", "message": message}), headers)
