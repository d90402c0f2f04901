"""The interface that a durable store offers: what the broker is handed.

Three promises hold for every implementation and are proved by ``tests/conformance``:

* ``apply`` and ``claim`` return only after what they did is durable (fsynced, or committed on the server).
* One ``apply`` is one transaction: after a crash all of its Changes are there, or none.
* Calls may be made concurrently; a store commits what arrives together in one go (group commit).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from encola.engine.changes import Applied, Change, Claim, Wakeup
from encola.engine.message import Counts, Delivery, Instant, MessageId, Peek, QueueId
from encola.engine.metrics import Backlog, Vitals
from encola.engine.queue import Queue
from encola.engine.records import FoundJobs, Job, JobSearch


class StoreError(Exception):
    """The store could not do it now; nothing of the call happened."""


class StoreFullError(StoreError):
    """No space (or a read-only medium): nothing was stored; works again by itself when there is room."""


class StoreFailedError(StoreError):
    """The medium failed in a way after which nothing may be acknowledged until the process starts anew."""


class StoreInUseError(StoreError):
    """Another process has this store open."""


class Catalog(msgspec.Struct):
    """All that a broker must know of a store when it starts: small, whatever the backlog."""

    queues: list[Queue]
    notes: dict[tuple[str, str], bytes]
    last_instant: Instant
    """The latest ``now`` that was ever made durable: the queue's clock never runs behind it."""


class Store(Protocol):
    """See the module; the words of its arguments and answers are in ``engine.changes``."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    def apply(self, changes: Sequence[Change]) -> Awaitable[Sequence[Applied]]:
        """Carries out all changes in one transaction, durable on return. Raises StoreError."""
        ...

    def claim(self, claim: Claim) -> Awaitable[Sequence[Delivery]]:
        """Leases the oldest ready messages, durable on return; empty when there are none. Raises StoreError."""
        ...

    async def catalog(self) -> Catalog: ...

    async def next_ready(self, queue: QueueId, now: Instant) -> Instant | None:
        """When the queue can deliver next: at most ``now`` if it can at once, None when it is empty."""
        ...

    async def browse(
        self, queue: QueueId, after: MessageId | None, limit: int, *, newest_first: bool = False
    ) -> Sequence[Peek]:
        """Messages in the order of their ids, after ``after`` (those before it, backwards, with ``newest_first``).

        Leases nothing. A page costs about the same wherever it begins.
        """
        ...

    async def browse_from(self, queue: QueueId, sent_at: Instant) -> MessageId:
        """The id after which all messages of this queue were sent at ``sent_at`` or later.

        It is exact where ids and times of sending have the same order, and near it where messages were moved.
        """
        ...

    async def peek(self, queue: QueueId, messages: Sequence[MessageId]) -> Sequence[Peek | None]:
        """These messages, in this order; None for what is not in this queue (any more). Leases nothing."""
        ...

    async def counts(self, queues: Sequence[QueueId], now: Instant) -> Mapping[QueueId, Counts]: ...

    async def backlogs(self, queues: Sequence[QueueId], now: Instant) -> Mapping[QueueId, Backlog]:
        """How these queues stand; those that do not exist are left out. Made for many queues in one call."""
        ...

    def vitals(self) -> Vitals:
        """What was committed, how long it took, and how large it is. Asked by one only: see ``Vitals``."""
        ...

    async def leased_by_group(self, queue: QueueId, now: Instant) -> Mapping[str, int]:
        """Leased messages of a queue by message group ("" for those without)."""
        ...

    async def jobs(self, account: str, keys: Sequence[str], now: Instant) -> Sequence[Job | None]:
        """The jobs under these keys; None where there is none, or it is past its time."""
        ...

    async def find_jobs(self, account: str, search: JobSearch, now: Instant) -> FoundJobs:
        """A page of jobs. It may be shorter than was asked for, so that no search takes long: see ``FoundJobs``."""
        ...

    def watch(self, listener: Callable[[Wakeup], None]) -> None:
        """Calls ``listener`` after each commit that may have made messages of a queue ready (now or later)."""
        ...
