"""Everything that can be done to a store, as values.

Rules return Changes; ``Store.apply`` carries a list of them out in one transaction and answers one Applied for
each, in order. A Change that does not apply (a stale receipt, a duplicate) says so in its Applied and changes
nothing; it does not undo its neighbours.
"""

import msgspec

from encola.engine.lifecycle import Outcome
from encola.engine.message import Duration, Envelope, Header, Instant, MessageId, QueueId
from encola.engine.queue import Queue
from encola.engine.records import Command, Reply


class Deduplication(msgspec.Struct, frozen=True):
    """Accept a message only if ``key`` was not accepted on its queue in the window that ends at ``until``.

    The record outlives the message: it is kept until ``until`` even when the message is deleted before.
    """

    key: str
    until: Instant


class Put(msgspec.Struct, frozen=True):
    """Store a message in ``queue``, ready at ``ready_at``. Answers :class:`Stored`.

    Its retention counts from ``sent_at``, or from ``kept_from`` if that is later.
    """

    queue: QueueId
    envelope: Envelope
    body: bytes
    sent_at: Instant
    ready_at: Instant
    deduplication: Deduplication | None = None
    kept_from: Instant = 0


class Delete(msgspec.Struct, frozen=True):
    """Delete a message by its receipt, or by hand (``unheld``; rule: ``judge_delete``). Answers :class:`Outcome`."""

    queue: QueueId
    message: MessageId
    lease: int
    now: Instant
    live_lease: bool = False
    unheld: bool = False


class Extend(msgspec.Struct, frozen=True):
    """Make a leased message ready at ``until`` instead (rule: ``judge_extend``). Answers :class:`Outcome`.

    ``until == now`` gives it back at once. With ``uncounted`` the receive is taken back too, as if the delivery
    had never happened (a consumer that could not be reached, a graceful stop).
    """

    queue: QueueId
    message: MessageId
    lease: int
    until: Instant
    now: Instant
    lease_total_max: Duration
    uncounted: bool = False


class Release(msgspec.Struct, frozen=True):
    """Take a delivery back as if it had never happened (rules: ``judge_release``, ``released``).

    The message is not leased any more: it is delayed until ``until``, or ready. Its receipt is void. Answers
    :class:`Outcome`.
    """

    queue: QueueId
    message: MessageId
    lease: int
    until: Instant
    now: Instant


class Reject(msgspec.Struct, frozen=True):
    """Move a delivered message to the dead-letter queue ``target`` in one step (rules: ``judge_delete``, ``rejected``).

    ``headers`` replace those of the same names; an empty value removes. Answers :class:`Outcome`; NO_TARGET when
    there is no such queue.
    """

    queue: QueueId
    message: MessageId
    lease: int
    target: QueueId
    headers: dict[str, Header]
    now: Instant
    live_lease: bool = False


class Move(msgspec.Struct, frozen=True):
    """Move a delivered message to ``target`` in one step, ready at once. Answers :class:`Outcome`.

    The message keeps its id and body; its receives start again at 0, every receipt is void, and ``envelope`` and
    ``sent_at`` replace its own (retention on the target counts from there). Applies only while ``lease`` is the
    message's newest lease.
    """

    queue: QueueId
    message: MessageId
    lease: int
    target: QueueId
    envelope: Envelope
    sent_at: Instant
    now: Instant


class Resend(msgspec.Struct, frozen=True):
    """Replace a message by a new one on ``target`` (a redrive; rule: ``judge_delete``). Answers :class:`Outcome`.

    As ``Put`` of ``envelope`` with the stored body (or with ``body``), and ``Delete`` of the old, in one step.
    NO_TARGET when there is no such queue.
    """

    queue: QueueId
    message: MessageId
    lease: int
    target: QueueId
    envelope: Envelope
    now: Instant
    body: bytes | None = None
    unheld: bool = False


class Declare(msgspec.Struct, frozen=True):
    """Create ``queue``, or replace its settings and tags if its id exists. Answers :class:`Outcome` DONE.

    A ``delay`` that changes on an ordered queue is applied to its waiting messages too (SQS: retroactive on
    FIFO queues); on a standard queue it is not.
    """

    queue: Queue


class Drop(msgspec.Struct, frozen=True):
    """Delete a queue with all it holds. Answers :class:`Outcome`. Takes the same time whatever it holds."""

    queue: QueueId


class Purge(msgspec.Struct, frozen=True):
    """Delete all messages of a queue (ready, leased, delayed) and its deduplication records.

    Answers :class:`Outcome`. Takes the same time whatever the queue holds: storage is freed by ``Sweep``.
    """

    queue: QueueId


class Note(msgspec.Struct, frozen=True):
    """Keep a small durable record (a move task, a deleted queue's name) under ``kind`` and ``key``.

    ``value=None`` forgets it. Answers :class:`Outcome` DONE.
    """

    kind: str
    key: str
    value: bytes | None


class Amend(msgspec.Struct, frozen=True):
    """Carry out a command on the record under its key (rule: ``record_rules.decide``).

    Answers a Reply, or :class:`Refused`. Keys belong to their account.
    """

    account: str
    command: Command
    now: Instant


class Sweep(msgspec.Struct, frozen=True):
    """Free what nobody can see any more, at most ``limit`` rows. Answers :class:`Swept`.

    That is: messages sent before ``sent_before[queue]`` (retention), deduplication records whose window ended
    before ``now``, records past their time, and what purged and dropped queues held.
    """

    now: Instant
    sent_before: dict[QueueId, Instant]
    limit: int


class Stored(msgspec.Struct, frozen=True):
    """A Put's answer. For a duplicate, the ids are those of the message that was accepted first."""

    message: MessageId
    message_id: str
    duplicate: bool = False


class Refused(msgspec.Struct, frozen=True):
    """A command that no rule allows (``WrongRecordError``): nothing was changed."""

    reason: str


class Swept(msgspec.Struct, frozen=True):
    """A Sweep's answer: messages removed, and whether there is more to do now."""

    messages: int
    more: bool


Change = Put | Delete | Extend | Release | Reject | Move | Resend | Declare | Drop | Purge | Note | Amend | Sweep
Applied = Stored | Outcome | Reply | Refused | Swept


class Claim(msgspec.Struct, frozen=True):
    """Lease up to ``limit`` of the oldest ready messages of a queue.

    Messages sent before ``sent_after`` are past their retention and are passed over. ``noisy`` names the groups
    whose messages come last on a standard queue, the one to prefer among them first (see ``fairness``).
    """

    queue: QueueId
    limit: int
    now: Instant
    lease_until: Instant
    sent_after: Instant = 0
    noisy: tuple[str, ...] = ()


class Wakeup(msgspec.Struct, frozen=True):
    """Messages of ``queue`` may be ready now, or at ``at``."""

    queue: QueueId
    at: Instant
