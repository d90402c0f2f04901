"""The records behind jobs: who may run a job, what came of it, who holds a slot, when the next may start.

These are the values: records, commands and replies. A store of records does three things in one atomic step: load the
record under a key, ask ``record_rules.decide`` what a command makes of it, save the answer. Commands may be repeated: a
second one after a lost answer does no harm.

    Job    one unit of work: claimed under a lease and a fence, then completed or failed
    Slots  at most ``limit`` holders at a time, each under a lease (concurrency per key)
    Pace   when the next one may start (a rate for all workers together)
    Join   which members of a group have arrived

A **fence** is a number that rises with each claim. Whoever lost his lease has an old one, and changes nothing any more.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from encola.engine.message import Duration, Instant

ERRORS_MAX = 20
"""Attempts whose errors are kept: the newest."""

KEY_LENGTH_MAX = 1024
NAME_LENGTH_MAX = 512
"""Of a task, a queue, an owner, a worker, the hash of a payload, the type of an error."""

RESULT_BYTES_MAX = 262_144
TEXT_LENGTH_MAX = 4_096
"""Of an error's message, a traceback, a note of progress: what is longer is cut by who sends it."""

MEMBERS_MAX = 10_000
"""Of one group."""

HOLDERS_MAX = 1_000
"""Of one record of slots."""

DURATION_MAX: Duration = 400 * 86_400_000
COUNT_MAX = 1_000_000
INTERVAL_US_MAX = 86_400_000_000
COMMANDS_MAX = 100
"""In one request, and keys in one."""

FOUND_MAX = 1000
"""Jobs in one answer."""

# Limits are part of the types, so that whoever decodes a command from outside checks it; what is built in a program is
# not checked. ``record_rules`` checks what would make a record too large. None of them may become lower: records that
# are stored were decoded under them.
Key = Annotated[str, Meta(min_length=1, max_length=KEY_LENGTH_MAX)]
Name = Annotated[str, Meta(max_length=NAME_LENGTH_MAX)]
Owner = Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH_MAX)]
Text = Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]
Time = Annotated[Instant, Meta(ge=0, le=2**53)]
Span = Annotated[Duration, Meta(ge=0, le=DURATION_MAX)]
Number = Annotated[int, Meta(ge=0, le=2**53)]

JobState = Literal["running", "completed", "failed", "dead", "cancelled"]
"""``failed`` may be tried again; ``dead`` may not. Who has no record is waiting, or is not known any more."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an attempt failed."""

    attempt: Number
    at: Time
    type: Name
    message: Text
    traceback: Text = ""
    worker: Name = ""


class Job(msgspec.Struct, tag="job", omit_defaults=True):
    """See the module. ``result`` is JSON. ``lease_until`` is 0 when nobody holds it."""

    key: str
    task: str
    queue: str
    state: JobState
    owner: str
    fence: int
    lease_until: Instant
    expires_at: Instant
    payload_hash: str
    created_at: Instant
    updated_at: Instant
    attempts: int = 0
    started_at: Instant = 0
    finished_at: Instant = 0
    worker: str = ""
    progress: float = 0.0
    note: str = ""
    result: msgspec.Raw = msgspec.Raw()
    errors: tuple[Failure, ...] = ()
    cancelled: bool = False


class Slots(msgspec.Struct, tag="slots"):
    """``holders``: until when each holds its slot."""

    key: str
    holders: dict[str, Instant]
    expires_at: Instant


class Pace(msgspec.Struct, tag="pace"):
    """``free_at``: when the next may start, in microseconds since 1970."""

    key: str
    free_at: int
    expires_at: Instant


class Join(msgspec.Struct, tag="join"):
    """See the module. ``members`` in the order of their arrival."""

    key: str
    members: list[str]
    total: int
    expires_at: Instant


Record = Job | Slots | Pace | Join


# Commands --------------------------------------------------------------------------------------------


class Claim(msgspec.Struct, tag="claim", frozen=True, omit_defaults=True):
    """May ``owner`` run this job? Answers Run, Replay, Busy, Mismatch or Dead.

    ``payload_hash`` tells two wishes under one key apart. ``window``: for how long the record is kept from now on.
    ``sent_at`` is when the message was sent: a job that is dead or cancelled runs again only for
    a newer wish or a redrive.
    """

    key: Key
    owner: Owner
    task: Name
    queue: Name
    payload_hash: Name
    lease: Span
    window: Span
    sent_at: Time = 0
    worker: Name = ""


class Renew(msgspec.Struct, tag="renew", frozen=True, omit_defaults=True):
    """Holds on to a job, and tells how far it is (``progress`` from 0 to 1). Answers Held or Lost."""

    key: Key
    owner: Owner
    fence: Number
    lease: Span
    progress: float | None = None
    note: str | None = None


class Complete(msgspec.Struct, tag="complete", frozen=True, omit_defaults=True):
    """The job is done; its result is kept for ``window``. Answers Held or Lost."""

    key: Key
    owner: Owner
    fence: Number
    window: Span
    result: msgspec.Raw = msgspec.Raw(b"null")


class Fail(msgspec.Struct, tag="fail", frozen=True, omit_defaults=True):
    """An attempt failed; with ``final`` there is no other. Answers Held or Lost."""

    key: Key
    owner: Owner
    fence: Number
    window: Span
    error: Failure
    final: bool = False


class Release(msgspec.Struct, tag="release", frozen=True):
    """Gives the job back as if it had not been claimed: no attempt is counted. Answers Held or Lost."""

    key: Key
    owner: Owner
    fence: Number


class Cancel(msgspec.Struct, tag="cancel", frozen=True):
    """Nobody shall run this job any more; who runs it learns it with the next Renew. Answers Cancelled."""

    key: Key
    task: Name
    queue: Name
    window: Span


class Forget(msgspec.Struct, tag="forget", frozen=True):
    """Removes the record, whatever it is, unless a lease runs. Answers Held if it is gone, else Lost."""

    key: Key


class Enter(msgspec.Struct, tag="enter", frozen=True):
    """Takes one of ``limit`` slots, or holds on to it. Answers Entered."""

    key: Key
    owner: Owner
    limit: int
    lease: Span


class Leave(msgspec.Struct, tag="leave", frozen=True):
    """Gives a slot back. Answers Held."""

    key: Key
    owner: Owner


class Reserve(msgspec.Struct, tag="reserve", frozen=True, omit_defaults=True):
    """Books the next ``count`` starts, ``interval_us`` microseconds apart. Answers Reserved.

    ``burst`` starts may come at once after a pause. Nothing is booked if the first would be later than ``patience``.
    """

    key: Key
    count: int
    interval_us: int
    burst: int = 1
    patience: Span = 60_000


class Arrive(msgspec.Struct, tag="arrive", frozen=True):
    """A member of a group of ``total`` is done, however it ended. Answers Arrived. An empty ``member`` only looks."""

    key: Key
    member: Annotated[str, Meta(max_length=KEY_LENGTH_MAX)]
    total: int
    window: Span


Command = Claim | Renew | Complete | Fail | Release | Cancel | Forget | Enter | Leave | Reserve | Arrive


# Replies ---------------------------------------------------------------------------------------------


class Run(msgspec.Struct, tag="run", frozen=True):
    """Run it. ``attempt`` counts from 1."""

    fence: int
    attempt: int


class Replay(msgspec.Struct, tag="replay", frozen=True):
    """It was done before, with this result."""

    result: msgspec.Raw


class Busy(msgspec.Struct, tag="busy", frozen=True):
    """Somebody else runs it, and holds it until then."""

    lease_until: Instant


class Mismatch(msgspec.Struct, tag="mismatch", frozen=True):
    """The key stands for another payload."""


class Dead(msgspec.Struct, tag="dead", frozen=True):
    """It failed for good, or was cancelled (then there is no error)."""

    error: Failure | None = None


class Held(msgspec.Struct, tag="held", frozen=True, omit_defaults=True):
    """Done. ``cancelled``: somebody wants the job to stop."""

    cancelled: bool = False


class Lost(msgspec.Struct, tag="lost", frozen=True):
    """Nothing was changed: the job is not this owner's any more."""


class Cancelled(msgspec.Struct, tag="cancelled", frozen=True):
    """``state`` is the job's now: ``running`` until its worker stops, unchanged if it had ended before."""

    state: JobState


class Entered(msgspec.Struct, tag="entered", frozen=True):
    """``granted``, or when the first slot may be free."""

    granted: bool
    free_at: Instant


class Reserved(msgspec.Struct, tag="reserved", frozen=True):
    """``granted``: the first may start at ``start_at_us`` (microseconds since 1970). Otherwise it is when to ask again.

    ``now_us`` is the store's clock: who waits, waits for the difference.
    """

    granted: bool
    start_at_us: int
    now_us: int


class Arrived(msgspec.Struct, tag="arrived", frozen=True, omit_defaults=True):
    """How many of the group have arrived. It is complete when they are all there, also for who asks again.

    ``members``, in the order of arrival, are told when the group is complete, and to who only looks.
    """

    count: int
    total: int
    members: tuple[str, ...] = ()


Reply = Run | Replay | Busy | Mismatch | Dead | Held | Lost | Cancelled | Entered | Reserved | Arrived


# Kept and found --------------------------------------------------------------------------------------


class JobSearch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which jobs: all that fit everything given. The newest change first, and among equals the greatest key.

    ``prefix`` is of the key. ``before`` is where an earlier answer ended (``FoundJobs.next``).
    """

    prefix: Annotated[str, Meta(max_length=KEY_LENGTH_MAX)] = ""
    task: str | None = None
    queue: str | None = None
    states: tuple[JobState, ...] = ()
    before: tuple[Time, str] | None = None
    limit: Annotated[int, Meta(ge=1, le=FOUND_MAX)] = 100

    def fits(self, job: Job) -> bool:
        return (
            job.key.startswith(self.prefix)
            and self.task in (None, job.task)
            and self.queue in (None, job.queue)
            and (not self.states or job.state in self.states)
            and (self.before is None or (job.updated_at, job.key) < self.before)
        )


class FoundJobs(msgspec.Struct):
    """A page. It may be shorter than was asked for, even empty, and not be the last: then ``next`` is not None."""

    jobs: list[Job]
    next: tuple[Instant, str] | None = None


_encoder = msgspec.json.Encoder()
_decoder: "msgspec.json.Decoder[Record]" = msgspec.json.Decoder(Record)
_LAST_CHARACTER = "\U0010ffff"
_SURROGATES = range(0xD800, 0xE000)


def pack(record: Record) -> bytes:
    """A record as it is stored: JSON, since results are."""
    return _encoder.encode(record)


def unpack(doc: bytes) -> Record:
    """Raises msgspec.MsgspecError if the document is damaged."""
    return _decoder.decode(doc)


def end_of(prefix: str) -> str | None:
    """The least string that is greater than all that begin with ``prefix``, by code points; None if there is none."""
    prefix = prefix.rstrip(_LAST_CHARACTER)
    if not prefix:
        return None
    after = ord(prefix[-1]) + 1
    return prefix[:-1] + chr(_SURROGATES.stop if after in _SURROGATES else after)
