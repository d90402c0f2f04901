"""What a broker refuses, in its own words; each protocol maps them to its own errors."""

from encola.engine.queue import Address


class BrokerError(Exception):
    """A request that the broker refuses."""


class QueueGoneError(BrokerError):
    """The queue does not exist, or was deleted while the request waited."""


class QueueExistsError(BrokerError):
    """A queue with this address exists already."""


class QueueDeletedRecentlyError(BrokerError):
    """A queue with this address was deleted less than sixty seconds ago."""

    def __init__(self, address: Address) -> None:
        super().__init__(str(address))
        self.address = address


class PurgeInProgressError(BrokerError):
    """The queue was purged less than sixty seconds ago."""


class TooManyLeasedError(BrokerError):
    """The queue has as many leased messages as it may have."""


class MoveTaskRunningError(BrokerError):
    """The source queue has an active move task already."""


class TooManyMoveTasksError(BrokerError):
    """The account has as many active move tasks as it may have."""


class MoveTaskNotFoundError(BrokerError):
    """No such move task, or it is not running any more."""


class NotADeadLetterQueueError(BrokerError):
    """No queue names this one as its dead-letter queue."""
