"""What follows from an attempt's error: another attempt, or the dead-letter queue. A pure rule."""

import math
import traceback as tracebacks
from typing import Literal

import msgspec

from encola.consumers.errors import AGAIN_SECONDS_MAX, BadPayloadError, Permanent, Retry, TaskTimeoutError
from encola.consumers.options import TaskOptions
from encola.engine.records import NAME_LENGTH_MAX, TEXT_LENGTH_MAX, Failure

Reason = Literal["bad-payload", "permanent", "retries-exhausted", "crashed", "mismatch", "bad-result"]

ERROR_LENGTH_MAX = 1000
"""Of the explanation that goes with a message to the dead-letter queue."""


TRACE = "encola_trace"
"""The attribute of an exception that comes from another process: where it was raised there."""


class BadResultError(Exception):
    """The task's answer cannot be kept."""


class TaskError(Exception):
    """What a task raised in a process of its own, under the name of its own class there."""


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
    delay = settings.backoff.delay(attempt, chance)
    if isinstance(error, Retry) and isinstance(error.delay, int | float) and not math.isnan(error.delay):
        delay = error.delay  # which a subclass may have set to anything
    return Again(min(max(0.0, delay), AGAIN_SECONDS_MAX))


def describe(error: BaseException, attempt: int, now_ms: int, worker: str) -> Failure:
    """The error as it is kept: cut to what a record holds, with the end of a long traceback."""
    message = f"the task called sys.exit({error.code!r})" if isinstance(error, SystemExit) else text_of(error)
    trace = "" if isinstance(error, TaskTimeoutError) else _trace_of(error)
    return Failure(attempt, now_ms, type(error).__name__[:NAME_LENGTH_MAX], message, trace[-TEXT_LENGTH_MAX:], worker)


def text_of(error: BaseException) -> str:
    """What an error says, as a record can hold it: cut, and without what is no Unicode. An error may fail at that."""
    try:
        return _fit(str(error)[:TEXT_LENGTH_MAX])
    except Exception as worse:
        return f"(its text could not be had: {type(worse).__name__})"


def _trace_of(error: BaseException) -> str:
    """A long message is cut in the middle: the frames before it matter more."""
    if (told := getattr(error, TRACE, None)) is not None:
        return _fit(str(told))
    trace, text = "".join(tracebacks.format_exception(error)), text_of(error)
    if len(trace) > TEXT_LENGTH_MAX and len(text) > TEXT_LENGTH_MAX // 2:
        stack = "".join(tracebacks.format_tb(error.__traceback__))
        trace = f"{stack[-TEXT_LENGTH_MAX // 2 :]}{type(error).__name__}: {text}"[:TEXT_LENGTH_MAX]
    return _fit(trace)


def _fit(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def explanation(failure: Failure) -> str:
    """One line for the dead-letter queue."""
    text = f"{failure.type}: {failure.message}" if failure.type else failure.message
    return text[:ERROR_LENGTH_MAX]
