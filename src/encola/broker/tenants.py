"""Which groups of a standard queue are noisy just now (fair queues; rule: ``engine.fairness``).

The rule needs the leased messages of each group, which costs a walk over all leases of a queue. The answer is
therefore kept for a moment: at least a quarter of a second, and long enough that the walks take at most a
twentieth of the time.
"""

import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from encola.engine.fairness import noisy_tenants
from encola.engine.message import Instant, QueueId

REFRESH_MIN = 250  # milliseconds
COST_SHARE = 20

LeasedByGroup = Callable[[QueueId, Instant], Awaitable[Mapping[str, int]]]


class _Reading(msgspec.Struct):
    noisy: tuple[str, ...] = ()
    valid_until: Instant = 0


class Tenants:
    """See the module. Only queues that were seen to have message groups are watched."""

    def __init__(self, leased_by_group: LeasedByGroup) -> None:
        self._leased_by_group = leased_by_group
        self._readings: dict[QueueId, _Reading] = {}

    def seen(self, queue: QueueId) -> None:
        """A message of ``queue`` named a group: from now on its tenants are watched."""
        if queue not in self._readings:
            self._readings[queue] = _Reading()

    def forget(self, queue: QueueId) -> None:
        self._readings.pop(queue, None)

    def watched(self, queue: QueueId) -> bool:
        return queue in self._readings

    async def noisy(self, queue: QueueId, now: Instant) -> tuple[str, ...]:
        """The noisy groups, the quietest of them first."""
        reading = self._readings.get(queue)
        if reading is None:
            return ()
        if now >= reading.valid_until:
            reading.valid_until = now + REFRESH_MIN  # others go on with the old answer meanwhile
            started = time.perf_counter()
            leased = await self._leased_by_group(queue, now)
            cost = (time.perf_counter() - started) * 1000
            reading.noisy = noisy_tenants(leased, sum(leased.values()))
            reading.valid_until = now + max(REFRESH_MIN, int(cost * COST_SHARE))
        return reading.noisy
