"""A store of records in memory: for tests, and where a restart may forget everything."""

import time
from collections.abc import Callable, Sequence

from encola.consumers.jobstore import COMMANDS_MAX, FOUND_MAX, JobQuery
from encola.engine.message import Instant
from encola.engine.record_rules import decide
from encola.engine.records import Command, Job, Record, Reply


class MemoryJobStore:
    """``now`` answers milliseconds since 1970."""

    def __init__(self, now: Callable[[], Instant] = lambda: int(time.time() * 1000)) -> None:
        self._now = now
        self._records: dict[str, Record] = {}

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do: what was kept stays, as long as this object does."""

    async def apply(self, commands: Sequence[Command]) -> Sequence[Reply]:
        if len(commands) > COMMANDS_MAX:
            raise ValueError(f"at most {COMMANDS_MAX} commands at once")
        return [self._apply(command) for command in commands]

    def _apply(self, command: Command) -> Reply:
        record, reply = decide(self._records.get(command.key), command, self._now())
        if record is None:
            self._records.pop(command.key, None)
        else:
            self._records[command.key] = record
        return reply

    async def get(self, keys: Sequence[str]) -> Sequence[Job | None]:
        return [self._job(key) for key in keys]

    def _job(self, key: str) -> Job | None:
        record = self._records.get(key)
        return record if isinstance(record, Job) and record.expires_at > self._now() else None

    async def find(self, query: JobQuery) -> Sequence[Job]:
        jobs = [job for key in self._records if (job := self._job(key)) is not None and query.fits(job)]
        jobs.sort(key=lambda job: (job.updated_at, job.key), reverse=True)
        return jobs[: min(query.limit, FOUND_MAX)]
