"""What an application says of its queues, and what its workers make of it."""

import msgspec

from encola.consumers.errors import ConfigurationError
from encola.consumers.options import PRIORITIES, check_queue, is_number, lane_of
from encola.consumers.transport import QueueWish

DEAD_SUFFIX = "-dead"
LEASE_SECONDS_MIN, LEASE_SECONDS_MAX = 1, 43_200
RETENTION_SECONDS_MIN, RETENTION_SECONDS_MAX = 60, 14 * 86_400


class QueueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """See ``App.queue``. Times in seconds."""

    name: str
    lease: float
    retention: float = 14 * 86_400.0
    priorities: bool = False
    dead_letters: str | None = None

    def __post_init__(self) -> None:
        """Raises ConfigurationError."""
        where = f"queue {self.name}"
        for name in (*self.lanes, *([] if self.dead_letters is None else [self.dead_letters])):
            check_queue(name, where)
        if not (is_number(self.lease) and LEASE_SECONDS_MIN <= self.lease <= LEASE_SECONDS_MAX):
            raise ConfigurationError(f"{where}: a lease is between 1 and 43,200 seconds")
        if not (is_number(self.retention) and RETENTION_SECONDS_MIN <= self.retention <= RETENTION_SECONDS_MAX):
            raise ConfigurationError(f"{where}: a retention is between 60 seconds and 14 days")
        if self.dead_letters in self.lanes:
            raise ConfigurationError(f"{where}: it cannot be its own dead-letter queue")
        if self.dead_letters is not None and self.dead_letters.endswith(".fifo") != self.name.endswith(".fifo"):
            raise ConfigurationError(f"{where}: a FIFO queue has a FIFO queue for its dead letters, and no other has")

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
