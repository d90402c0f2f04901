"""The queues that exist, in memory: small, whatever they hold. The store has the same, durably."""

from collections.abc import Sequence

from encola.engine.message import Instant, QueueId
from encola.engine.queue import MINUTE, Address, Queue

DELETED_RECENTLY = MINUTE
"""How long an address may not be used again after its queue was deleted (CreateQueue's 60 seconds)."""


class Registry:
    """Queues by address and by id, and the addresses that were deleted a moment ago."""

    def __init__(self) -> None:
        self._by_address: dict[Address, Queue] = {}
        self.find = self._by_address.get  # (address: Address) -> Queue | None, for every request
        self._by_id: dict[QueueId, Queue] = {}
        self._deleted_at: dict[Address, Instant] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def by_id(self, queue: QueueId) -> Queue | None:
        return self._by_id.get(queue)

    def is_paused(self, queue: QueueId) -> bool:
        found = self._by_id.get(queue)
        return found is not None and found.paused

    def all(self, account: str | None = None) -> list[Queue]:
        queues = self._by_id.values()
        chosen = queues if account is None else [q for q in queues if q.address.account == account]
        return sorted(chosen, key=lambda queue: queue.address)

    def sources_of(self, target: Address) -> Sequence[Queue]:
        return [q for q in self.all() if q.settings.dead_letter and q.settings.dead_letter.target == target]

    def dead_letters(self, queue: Queue) -> Queue | None:
        """Where the queue's dead letters go; None if it has no rule, or one that leads nowhere (any more)."""
        rule = queue.settings.dead_letter
        target = self._by_address.get(rule.target) if rule else None
        return target if target is not None and target.ordered is queue.ordered else None

    def put(self, queue: Queue) -> None:
        self._by_address[queue.address] = queue
        self._by_id[queue.id] = queue

    def remove(self, queue: Queue, now: Instant) -> None:
        """Forgets a queue, and remembers for a minute that its address was used."""
        self._by_address.pop(queue.address, None)
        self._by_id.pop(queue.id, None)
        self._deleted_at = {a: at for a, at in self._deleted_at.items() if now - at < DELETED_RECENTLY}
        self._deleted_at[queue.address] = now

    def deleted_recently(self, address: Address, now: Instant) -> bool:
        at = self._deleted_at.get(address)
        return at is not None and now - at < DELETED_RECENTLY

    def new_id(self, now: Instant) -> QueueId:
        """An id that no queue had before: the clock never goes back, so the moment of creation will do."""
        candidate = QueueId(now)
        while candidate in self._by_id:
            candidate = QueueId(candidate + 1)
        return candidate
