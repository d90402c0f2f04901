"""The cap on leased messages of a queue, kept without counting at each receive.

An upper bound of the leased messages is carried along: every claim adds what it took, nothing is taken off. Only when
the bound reaches the cap are the leases counted, and the bound set right.
"""

from collections.abc import Awaitable, Callable

from encola.engine.message import QueueId
from encola.engine.queue import LEASED_MAX

CountLeased = Callable[[QueueId], Awaitable[int]]


class LeaseCap:
    """See the module. ``count_leased`` counts the leases of a queue, at a cost that grows with them."""

    def __init__(self, count_leased: CountLeased, leased_max: int = LEASED_MAX) -> None:
        self._count_leased = count_leased
        self._leased_max = leased_max
        self._bound: dict[QueueId, int] = {}

    def took(self, queue: QueueId, count: int) -> None:
        self._bound[queue] = self._bound.get(queue, self._leased_max) + count

    def forget(self, queue: QueueId) -> None:
        self._bound.pop(queue, None)

    def fits(self, queue: QueueId, wanted: int) -> bool:
        """Whether ``wanted`` more are surely within the cap (if not: ask ``room``)."""
        return self._bound.get(queue, self._leased_max) + wanted <= self._leased_max

    async def room(self, queue: QueueId) -> int:
        """Counts the leases; answers how many more there may be (0: none)."""
        leased = await self._count_leased(queue)
        self._bound[queue] = leased
        return max(0, self._leased_max - leased)
