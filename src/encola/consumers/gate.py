"""What a job must pass before it may run: the rate of its task, and the slots of its key."""

import contextlib
import random
from typing import TYPE_CHECKING, Any

from encola.consumers.connection import Connection
from encola.consumers.jobstore import JobStoreError
from encola.consumers.limits import RateLimit, SlotLimit

if TYPE_CHECKING:
    from encola.consumers.attempt import Attempt
    from encola.consumers.task import Task

SLOT_SECONDS_MIN = 0.2
SLOT_SECONDS_MAX = 5.0


class Gate:
    """``prefix`` begins the keys of the application's records."""

    def __init__(self, connection: Connection, prefix: str, lease: float) -> None:
        self._connection = connection
        self._prefix = prefix
        self._rates: dict[str, RateLimit] = {}
        self._slots = SlotLimit(connection, lease)

    async def pass_(self, attempt: "Attempt") -> float | None:
        """None: it may run now. Otherwise it is to be given back for so many seconds. Raises JobStoreError."""
        settings = attempt.task.settings
        if settings.limit_per_key is not None:
            key = f"{self._prefix}slots/{settings.name}/{attempt.limit_key}"
            free_in = await self._slots.enter(key, attempt.owner, settings.limit_per_key)
            if free_in is not None:
                longest = min(SLOT_SECONDS_MAX, max(SLOT_SECONDS_MIN, free_in))
                return random.uniform(SLOT_SECONDS_MIN, longest)  # noqa: S311 - to spread them, not to be secret
            attempt.slot = key
            attempt.hold.slot = self._slots.command(key, attempt.owner, settings.limit_per_key)
        if settings.rate is not None:
            wait = await self._rate(attempt.task).wait()
            if wait > 0:
                await self.leave(attempt)
                return wait
        return None

    async def pace(self, task: "Task[Any, Any]", count: int) -> None:
        """Returns when ``count`` items may start, according to the task's rate. Raises JobStoreError."""
        if task.settings.rate is not None:
            await self._rate(task).wait_for(count)

    def _rate(self, task: "Task[Any, Any]") -> RateLimit:
        settings = task.settings
        limit = self._rates.get(settings.name)
        if limit is None:
            assert settings.rate is not None  # noqa: S101 - the caller has checked
            key = f"{self._prefix}rate/{settings.name}"
            limit = self._rates[settings.name] = RateLimit(self._connection, key, settings.rate)
        return limit

    async def leave(self, attempt: "Attempt") -> None:
        """Gives the slot back, if there is one. If that cannot be told, it ends with its lease."""
        if attempt.slot:
            slot, attempt.slot, attempt.hold.slot = attempt.slot, "", None
            with contextlib.suppress(JobStoreError):
                await self._slots.leave(slot, attempt.owner)
