"""What an application says of its queues, and what its workers make of it."""

import msgspec

from encola.consumers.options import PRIORITIES, lane_of
from encola.consumers.transport import QueueWish

DEAD_SUFFIX = "-dead"


class QueueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """See ``App.queue``. Times in seconds."""

    name: str
    lease: float
    retention: float = 14 * 86_400.0
    priorities: bool = False
    dead_letters: str | None = None

    @property
    def lanes(self) -> tuple[str, ...]:
        """The queues behind it, the most urgent first."""
        return tuple(lane_of(self.name, one) for one in PRIORITIES) if self.priorities else (self.name,)

    def wish(self, lane: str) -> QueueWish:
        """The queue to be made if it is missing. All lanes have one dead-letter queue."""
        stem, fifo, _ = self.name.partition(".fifo")
        return QueueWish(
            name=lane,
            lease=self.lease,
            retention=self.retention,
            dead_letters=self.dead_letters or f"{stem}{DEAD_SUFFIX}{fifo}",
        )
