"""What a mapping does now, and what it has done since the server's start: in memory, for people to look at."""

from collections import deque

import msgspec

from encola.engine.message import Instant

NOTHING_YET = "No records processed"
OK = "OK"
FAILED = "PROBLEM: Function call failed"
PROBLEMS_KEPT = 20


class Problem(msgspec.Struct, frozen=True):
    """Something that went wrong, when, and for how many messages."""

    at: Instant
    text: str
    messages: int


class Status(msgspec.Struct, kw_only=True):
    """``running`` and ``limit`` count batches, ``received`` to ``problems`` messages, the others invocations.

    ``received`` counts what was handed to the function, ``returned`` what was given back uncounted.
    """

    last_result: str = NOTHING_YET
    running: int = 0
    limit: int = 0
    invocations: int = 0
    failures: int = 0
    refusals: int = 0
    received: int = 0
    done: int = 0
    failed: int = 0
    filtered: int = 0
    returned: int = 0
    last_invoked_at: Instant | None = None
    problems: deque[Problem] = msgspec.field(default_factory=lambda: deque(maxlen=PROBLEMS_KEPT))

    def problem(self, at: Instant, text: str, messages: int = 0, *, result: str = "") -> None:
        """Notes a problem; a repeated one takes the place of the last."""
        self.last_result = result or f"PROBLEM: {text}"
        if self.problems and self.problems[-1].text == text:
            messages += self.problems.pop().messages
        self.problems.append(Problem(at, text, messages))
