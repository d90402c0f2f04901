"""The interface of a store of records: where jobs, slots, rates and joins are kept.

Implementations: the encola server (``stores/server.py``), PostgreSQL, DynamoDB, a SQLite file and, for tests, memory.
All pass one suite, ``tests/consumers/stores``. The rules are not theirs: each loads a record, asks
``engine.record_rules.decide``, and saves what it answers, in one atomic step.
"""

from collections.abc import Sequence
from typing import Protocol

from encola.engine.records import COMMANDS_MAX, FOUND_MAX, Command, Job, JobSearch, Reply

__all__ = ["COMMANDS_MAX", "FOUND_MAX", "JobQuery", "JobStore", "JobStoreError"]


class JobStoreError(Exception):
    """The store could not do it now. Some of the commands may have been carried out: they can be repeated."""


JobQuery = JobSearch
"""Which jobs; see ``engine.records``."""


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
