"""The interface of a target, and what can come of an invocation.

The three answers differ in what they mean for the messages: a function that *returned* settles them, one that *failed*
has had its try, and of one that *refused* the messages never knew: their receives are not counted.
"""

from typing import Protocol

import msgspec

PROBLEM_LENGTH_MAX = 500
RESPONSE_BYTES_MAX = 6 * 1024 * 1024  # as of a synchronous invocation of Lambda


class Returned(msgspec.Struct, frozen=True):
    """The function ran and returned this payload."""

    payload: bytes


class Failed(msgspec.Struct, frozen=True):
    """The function ran, or may have run, and did not return."""

    problem: str


class Refused(msgspec.Struct, frozen=True):
    """The function did not run: throttled, or the target cannot be reached."""

    problem: str
    throttled: bool = False


Answer = Returned | Failed | Refused


class Invocation(msgspec.Struct, frozen=True):
    """One call of a function. ``function_arn`` is what it may show of itself."""

    id: str
    payload: bytes
    function_arn: str


class Target(Protocol):
    """Calls one function. A cancelled ``invoke`` ends the call as far as that is possible."""

    async def invoke(self, invocation: Invocation) -> Answer: ...

    async def close(self) -> None: ...


def shortened(text: str) -> str:
    """A problem as it is kept and shown: one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= PROBLEM_LENGTH_MAX else f"{line[: PROBLEM_LENGTH_MAX - 1]}…"
