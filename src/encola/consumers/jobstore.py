"""The interface of a store of records: where jobs, slots, rates and joins are kept.

Implementations: the encola server (``stores/server.py``), PostgreSQL, DynamoDB, a SQLite file and, for tests, memory.
All pass one suite, ``tests/consumers/stores``. The rules are not theirs: each loads a record, asks
``engine.record_rules.decide``, and saves what it answers, in one atomic step.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from encola.engine.message import Instant
from encola.engine.records import Command, Job, JobState, Reply

COMMANDS_MAX = 100
"""In one call of ``apply``."""

FOUND_MAX = 1000
"""Jobs in one answer of ``find``."""


class JobStoreError(Exception):
    """The store could not do it now. Some of the commands may have been carried out: they can be repeated."""


class JobQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which jobs: all that fit everything given. The newest change first; ``before`` goes on behind an earlier answer.

    ``prefix`` is of the key. ``before`` is the ``(updated_at, key)`` of the last job of the page before.
    """

    prefix: str = ""
    task: str | None = None
    queue: str | None = None
    states: tuple[JobState, ...] = ()
    before: tuple[Instant, str] | None = None
    limit: int = 100


class JobStore(Protocol):
    """See the module."""

    async def open(self) -> None:
        """Connects, and makes the tables that are missing. Raises JobStoreError."""
        ...

    async def close(self) -> None: ...

    async def apply(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """Each command is one atomic step, in order. Raises JobStoreError, WrongRecordError, ValueError (too many)."""
        ...

    async def get(self, keys: Sequence[str]) -> Sequence[Job | None]:
        """The jobs under these keys (None: no record, or past its time). Raises JobStoreError."""
        ...

    async def find(self, query: JobQuery) -> Sequence[Job]:
        """Raises JobStoreError."""
        ...
