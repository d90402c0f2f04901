"""The message of a job: what a producer puts on the queue and a consumer finds there.

    {"task": "report", "args": {"month": "2026-10"}, "job": "report/2026-10", ...}

Whoever wants to, sends ``task`` and ``args`` from any language; the rest is the runtime's. ``then`` are the next links
of a chain, ``join`` says to which group the job belongs.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from encola.consumers.errors import BadMessageError
from encola.engine.records import MEMBERS_MAX, Key, Name

VERSION = 1
BODY_BYTES_MAX = 1_048_576
"""Of a message with its attributes (Amazon SQS quotas)."""

ATTRIBUTES_BYTES = 4096
"""Room that is left for attributes in a message."""

GROUP_LENGTH_MAX = 100

BAD_MESSAGE = "bad-message"
OTHER_VERSION = "unsupported-version"

TASK_ATTRIBUTE = "encola.task"
DUE_ATTRIBUTE = "encola.due"
DUE_DIGITS_MAX = 30
DUE_SECONDS_MAX = 15 * 86_400.0
"""Nobody delays a message for more than 14 days; a day is left for clocks that differ."""

REASON_ATTRIBUTE = "encola.reason"
ERROR_ATTRIBUTE = "encola.error"

TRACE_ATTRIBUTES = ("traceparent", "tracestate", "baggage")
"""W3C Trace Context and Baggage. They go on to what follows, also through workers that trace nothing."""

TRACE_LENGTH_MAX = 1024


class Link(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task that will be sent later. ``into``: the parameter that gets the result of what came before."""

    task: Name
    queue: Name
    job: Key
    args: msgspec.Raw
    into: str | None = None
    keyed: bool = False


class Membership(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job of a group. When all ``total`` have arrived under ``group``, ``then`` is sent (see ``workflow``).

    ``index`` is the place of this job's result among the others.
    """

    group: Annotated[str, Meta(min_length=1, max_length=GROUP_LENGTH_MAX)]
    total: Annotated[int, Meta(ge=1, le=MEMBERS_MAX)]
    index: Annotated[int, Meta(ge=0, lt=MEMBERS_MAX)]
    then: Link
    run_anyway: bool = False


class JobMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """See the module. ``keyed``: the job's id was made of its key, so its payload must always be the same.

    ``app`` is the application whose task it is; messages of foreign producers need not say it.
    """

    task: str
    args: msgspec.Raw = msgspec.Raw(b"{}")
    job: str = ""
    keyed: bool = False
    then: tuple[Link, ...] = ()
    join: Membership | None = None
    app: str = ""
    v: int = VERSION


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(JobMessage)


def encode(message: JobMessage) -> str:
    """As JSON. The two characters that JSON may have and a message of SQS may not are escaped."""
    return _encoder.encode(message).decode().replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def decode(body: str) -> JobMessage:
    """Raises BadMessageError, with the reason in one word."""
    try:
        message = _decoder.decode(body)
    except msgspec.DecodeError as error:  # ValidationError is one of them
        raise BadMessageError(BAD_MESSAGE, f"the body is no message of a job: {error}") from None
    except (UnicodeError, RecursionError):
        raise BadMessageError(BAD_MESSAGE, "the body is no message of a job") from None
    if message.join is not None and message.join.index >= message.join.total:
        raise BadMessageError(BAD_MESSAGE, f"a group of {message.join.total} has no member {message.join.index}")
    if message.v > VERSION:
        raise BadMessageError(
            OTHER_VERSION, f"the message is of version {message.v}; this runtime knows version {VERSION} and below"
        )
    return message


def due_in(attributes: Mapping[str, str], now: float) -> float:
    """Seconds until a message may run; what others wrote that is no number means now. ``now`` is in seconds since 1970.

    Raises BadMessageError where it is later than any message is.
    """
    due = attributes.get(DUE_ATTRIBUTE, "")
    seconds = int(due) / 1000 - now if due.isascii() and due.isdigit() and len(due) <= DUE_DIGITS_MAX else 0.0
    if seconds > DUE_SECONDS_MAX:
        raise BadMessageError(BAD_MESSAGE, f"it is due in {seconds / 86_400:.0f} days, later than any message is")
    return max(0.0, seconds)


def trace_of(attributes: Mapping[str, str]) -> dict[str, str]:
    """The trace that a message belongs to, as attributes for those that follow from it."""
    return {
        name: attributes[name]
        for name in TRACE_ATTRIBUTES
        if name in attributes and len(attributes[name]) <= TRACE_LENGTH_MAX
    }


def plain(value: msgspec.Raw | bytes) -> Any:
    return msgspec.json.decode(value)
