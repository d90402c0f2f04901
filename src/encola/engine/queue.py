"""What a queue is: its address, its kind and its settings, in the engine's words and units."""

import msgspec

from encola.engine.message import Duration, Instant, QueueId

SECOND: Duration = 1_000
MINUTE: Duration = 60 * SECOND
HOUR: Duration = 60 * MINUTE
DAY: Duration = 24 * HOUR

DEDUPLICATION_WINDOW: Duration = 5 * MINUTE
LEASE_TOTAL_MAX: Duration = 12 * HOUR
LONG_DELAY: Duration = 15 * MINUTE
"""The retention of a message that is put off for longer counts from when it comes due: it must not end before."""

LEASED_MAX = 120_000
"""Messages of one queue that may be leased at once."""


class Address(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Names a queue for people and protocols: a name within an account."""

    account: str
    name: str

    def __str__(self) -> str:
        return f"{self.account}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Reads ``account/name``. Raises ValueError when there is no slash."""
        account, slash, name = text.partition("/")
        if not slash:
            raise ValueError(f"not a queue address: {text!r}")
        return cls(account, name)


class DeadLetterRule(msgspec.Struct, frozen=True):
    """After ``max_receives`` receives without a delete, the next one moves the message to ``target``."""

    target: Address
    max_receives: int


class Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The settings that a rule of the engine reads; times in milliseconds.

    ``group_deduplication`` limits deduplication to a message group (otherwise: the whole queue).
    ``attributes`` keeps what a protocol must give back and enforces by itself (a policy, a key's name).
    """

    delay: Duration = 0
    lease: Duration = 30 * SECOND
    retention: Duration = 4 * DAY
    wait: Duration = 0
    message_bytes_max: int = 1_048_576
    content_deduplication: bool = False
    group_deduplication: bool = False
    dead_letter: DeadLetterRule | None = None
    attributes: dict[str, str] = {}


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as the catalog knows it.

    ``ordered`` is fixed at creation: messages of one group come strictly in order, one batch at a time. While it is
    ``paused`` nobody receives anything from it; all else goes on.
    """

    id: QueueId
    address: Address
    ordered: bool = False
    settings: Settings = Settings()
    tags: dict[str, str] = {}
    created_at: Instant
    modified_at: Instant
    paused: bool = False
