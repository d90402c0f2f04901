"""The records of jobs over HTTP: requests and answers as JSON has them, and the errors of their own. Pure.

Commands, replies and jobs go over the wire as ``engine.records`` has them.
"""

from typing import Annotated

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
from encola.protocols.aws import json_endpoint
from encola.protocols.aws.json_endpoint import JsonError

STATUSES = {**json_endpoint.STATUSES, "WrongRecord": 400}
"""The errors of these operations, besides those of a signature."""


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


def check_results(commands: list[Command]) -> None:
    """What the types cannot say of results. Raises JsonError."""
    for place, command in enumerate(commands):
        if isinstance(command, Complete) and len(memoryview(command.result)) > RESULT_BYTES_MAX:
            raise JsonError(
                "ValidationException",
                f"Expected a result of at most {RESULT_BYTES_MAX} bytes of JSON - at `$.Commands[{place}].result`",
            )
