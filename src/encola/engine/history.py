"""The history: small documents of many series, in rings of three resolutions. What a store of it offers.

A ring forgets by itself: a document leaves when it is older than its resolution keeps. A series is a queue, by its id,
or the server (``SERVER``). What a document says is its writer's business.

The history is a help for people, not part of the promise: it may lose its last seconds in a crash, and where it
cannot be written the queue goes on.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from encola.engine.message import Duration, Instant
from encola.engine.queue import DAY, HOUR, MINUTE, SECOND

SERVER = 0
"""The series of the server as a whole; queues have ids from 1."""


class Resolution(msgspec.Struct, frozen=True):
    """``length`` of an interval, and for how long its documents are ``kept``."""

    name: str
    length: Duration
    kept: Duration


SECONDS = Resolution("1s", SECOND, 15 * MINUTE)
MINUTES = Resolution("1m", MINUTE, 1 * DAY)
HOURS = Resolution("1h", HOUR, 90 * DAY)
RESOLUTIONS = (SECONDS, MINUTES, HOURS)

Documents = Sequence[tuple[Instant, bytes]]
"""In the order of time."""


class History(Protocol):
    """Calls may be made concurrently. Each raises StoreError when it could not do its work."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def append(self, resolution: Resolution, at: Instant, documents: Mapping[int, bytes]) -> None:
        """Keeps the documents of the interval that begins at ``at``, by series, and forgets what is too old.

        What was kept of the same interval before is replaced.
        """
        ...

    async def read(
        self, resolution: Resolution, series: Sequence[int], since: Instant, until: Instant
    ) -> Mapping[int, Documents]:
        """The documents with ``since <= at < until``, by series; a series without any is left out."""
        ...

    async def forget(self, series: Sequence[int]) -> None:
        """The queue is gone, and with it all that is known of it."""
        ...
