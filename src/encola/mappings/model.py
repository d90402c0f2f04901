"""What a mapping is: a queue, a function, and how the one is brought to the other. Values only.

Times that users set are in seconds, as in Lambda's API; instants and leases are in milliseconds, as in the engine.
"""

import enum

import msgspec

from encola.engine.message import Instant
from encola.engine.queue import Address

BATCH_SIZE_DEFAULT = 10
USER_INITIATED = "USER_INITIATED"
DECLARED = "declared in the configuration"


class State(enum.Enum):
    """Where a mapping stands, in Lambda's words."""

    CREATING = "Creating"
    ENABLING = "Enabling"
    ENABLED = "Enabled"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    UPDATING = "Updating"
    DELETING = "Deleting"


SETTLED = (State.ENABLED, State.DISABLED)
"""In these a mapping may be changed or deleted; in the others it is in use."""


class Pollers(msgspec.Struct, frozen=True):
    """Provisioned mode: between how many pollers, of ten concurrent invocations each."""

    minimum: int = 2
    maximum: int = 200


class Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an update may change. ``filters`` are patterns; ``metrics`` and ``kms_key`` are kept and have no effect."""

    function: str
    enabled: bool = True
    batch_size: int = BATCH_SIZE_DEFAULT
    window: int = 0
    maximum_concurrency: int | None = None
    reports_failures: bool = False
    filters: tuple[str, ...] = ()
    pollers: Pollers | None = None
    metrics: tuple[str, ...] | None = None
    kms_key: str | None = None


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """One event source mapping. ``source`` is the queue's ARN as it was given; its region is shown in events.

    ``settings.function`` is the name of a declared function, or a URL.
    """

    uuid: str
    account: str
    region: str
    source: str
    queue: Address
    settings: Settings
    modified_at: Instant
    reason: str = USER_INITIATED
    tags: dict[str, str] = {}

    @property
    def declared(self) -> bool:
        return self.reason == DECLARED


class MappingError(Exception):
    """What is refused, by the name of the error in Lambda's API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> MappingError:
    return MappingError("InvalidParameterValueException", message)


def conflict(message: str) -> MappingError:
    return MappingError("ResourceConflictException", message)


def not_found(message: str) -> MappingError:
    return MappingError("ResourceNotFoundException", message)


def in_use(verb: str) -> MappingError:
    return MappingError("ResourceInUseException", f"Cannot {verb} the event source mapping because it is in use.")
