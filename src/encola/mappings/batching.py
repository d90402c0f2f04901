"""How batches are gathered: how long, how many, how large, and for how long their messages are leased. Pure.

Source: AWS Lambda developer guide, "Using Lambda with Amazon SQS" (batching behavior) and "Lambda quotas" (6 MB).
"""

from collections.abc import Sequence

from encola.engine.message import Duration, Instant
from encola.engine.queue import SECOND

PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
"""Of a whole event as it is sent to a function, metadata included."""

VISIBILITY_MARGIN_SECONDS = 30
FIRST_CLAIM = 10
CLAIM_MAX = 500
"""Messages leased at once: a batch of ten thousand is gathered in steps, since nobody knows yet how large they are."""

_HEAD, _TAIL = b'{"Records":[', b"]}"
_FRAME_BYTES = len(_HEAD) + len(_TAIL)


def effective_visibility(visibility: Duration, window: int, timeout: int) -> Duration:
    """The lease of a batch's messages: long enough to gather and to run it.

    If window and timeout together exceed the queue's own visibility timeout, it is window + timeout + 30 seconds.
    Lambda applies that with a window only; without one it refuses a mapping whose queue has less than the timeout.
    A queue may be changed after that: then the same rule keeps its messages away while the function runs.
    """
    needed = (window + timeout) * SECOND
    return needed + VISIBILITY_MARGIN_SECONDS * SECOND if needed > visibility else visibility


def payload_of(records: Sequence[bytes]) -> bytes:
    """The event of encoded records."""
    return _HEAD + b",".join(records) + _TAIL


class Gathering:
    """A batch that grows. It is to be sent when it is full or when its window has ended; a window of 0 ends at once."""

    def __init__(self, size: int, window: int, started_at: Instant) -> None:
        self._size = size
        self._window = window
        self.ends_at = started_at + window * SECOND
        self.count = 0
        self.bytes = _FRAME_BYTES
        self.overflowed = False

    def begin(self, now: Instant) -> None:
        """The first message is there: the window counts from now."""
        self.ends_at = now + self._window * SECOND

    def add(self, record_bytes: int) -> bool:
        """Takes a record in, if the event stays within 6 MB. A batch takes its first record whatever its size."""
        grown = self.bytes + record_bytes + (1 if self.count else 0)
        if self.count and grown > PAYLOAD_BYTES_MAX:
            self.overflowed = True
            return False
        self.bytes = grown
        self.count += 1
        return True

    def is_over(self, now: Instant) -> bool:
        return self.overflowed or self.count >= self._size or now >= self.ends_at

    def next_claim(self) -> int:
        """How many messages to lease next, so that hardly any has to be given back for want of room."""
        room = self._size - self.count
        if not self.count:
            return min(room, FIRST_CLAIM)
        mean = self.bytes // self.count + 1
        fitting = (PAYLOAD_BYTES_MAX - self.bytes) // mean
        return max(1, min(room, fitting, CLAIM_MAX))
