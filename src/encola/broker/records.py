"""The records of jobs, as a protocol calls them: by account, on the broker's clock."""

from collections.abc import Sequence

from encola.broker.clock import Clock
from encola.engine.changes import Amend, Refused
from encola.engine.records import Command, FoundJobs, Job, JobSearch, Reply
from encola.engine.store import Store


class Records:
    """See the module. What commands mean is decided by ``engine.record_rules``, in the store's transaction."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def apply(self, account: str, commands: Sequence[Command]) -> Sequence[Reply | Refused]:
        """Carries out commands in order, durable on return. One that is refused does not undo the others."""
        now = self._clock.now()
        return await self._store.apply([Amend(account, command, now) for command in commands])  # type: ignore[return-value]

    async def get(self, account: str, keys: Sequence[str]) -> Sequence[Job | None]:
        """The jobs under these keys; None where there is none, or it is past its time."""
        return await self._store.jobs(account, keys, self._clock.now())

    async def find(self, account: str, search: JobSearch) -> FoundJobs:
        """A page of the account's jobs, the newest change first."""
        return await self._store.find_jobs(account, search, self._clock.now())
