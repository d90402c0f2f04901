"""What follows from an attempt's error: another attempt, or the dead-letter queue. A pure rule."""

import traceback as tracebacks
from typing import Literal

import msgspec

from encola.consumers.errors import BadPayloadError, Permanent, Retry, TaskTimeoutError
from encola.consumers.options import TaskOptions
from encola.engine.records import TEXT_LENGTH_MAX, Failure

Reason = Literal["bad-payload", "permanent", "retries-exhausted", "crashed", "mismatch", "bad-result", "cancelled"]

ERROR_LENGTH_MAX = 1000
"""Of the explanation that goes with a message to the dead-letter queue."""


class BadResultError(Exception):
    """The task's answer cannot be kept."""


class Again(msgspec.Struct, frozen=True):
    """Another attempt, after ``delay`` seconds."""

    delay: float


class Over(msgspec.Struct, frozen=True):
    """No other attempt, and why."""

    reason: Reason


def judge(error: BaseException, attempt: int, settings: TaskOptions, chance: float) -> Again | Over:
    """``attempt`` counts from 1; ``chance`` is a random number in [0, 1)."""
    if isinstance(error, Permanent):
        return Over("permanent")
    if isinstance(error, BadPayloadError):
        return Over("bad-payload")
    if isinstance(error, BadResultError):
        return Over("bad-result")
    if attempt > settings.retries:
        return Over("retries-exhausted")
    if isinstance(error, Retry) and error.delay is not None:
        return Again(max(0.0, error.delay))
    return Again(settings.backoff.delay(attempt, chance))


def describe(error: BaseException, attempt: int, now_ms: int, worker: str) -> Failure:
    """The error as it is kept: cut to what a record holds, with the end of a long traceback."""
    message = f"the task called sys.exit({error.code!r})" if isinstance(error, SystemExit) else str(error)
    trace = "" if isinstance(error, TaskTimeoutError) else "".join(tracebacks.format_exception(error))
    return Failure(attempt, now_ms, type(error).__name__, message[:TEXT_LENGTH_MAX], trace[-TEXT_LENGTH_MAX:], worker)


def explanation(failure: Failure) -> str:
    """One line for the dead-letter queue."""
    text = f"{failure.type}: {failure.message}" if failure.type else failure.message
    return text[:ERROR_LENGTH_MAX]
