"""Receive attempts on ordered queues: the same attempt, asked again, gets the same deliveries.

Source: Amazon SQS API reference, ReceiveMessage, ReceiveRequestAttemptId. A client whose answer got lost on the
way repeats the call with the same id within five minutes and need not wait until the leases run out. An attempt is
void as soon as one of its messages was deleted or had its lease changed. Attempts live in memory: after a restart
the repeated call is a new one, and the group stays locked until the first one's leases end.
"""

from collections.abc import Sequence

import msgspec

from encola.engine.message import Delivery, Instant, MessageId, QueueId
from encola.engine.queue import MINUTE

ATTEMPT_LIFETIME = 5 * MINUTE
ATTEMPTS_MAX = 20_000

Key = tuple[QueueId, str]


class _Attempt(msgspec.Struct):
    until: Instant
    deliveries: Sequence[Delivery]


class Attempts:
    """The newest attempts, at most ``ATTEMPTS_MAX``; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._attempts: dict[Key, _Attempt] = {}
        self._of_message: dict[MessageId, Key] = {}

    def remember(self, key: Key, deliveries: Sequence[Delivery], now: Instant) -> None:
        """Keeps the deliveries of an attempt; forgets those that are over, and the oldest of too many."""
        while self._attempts:
            oldest = next(iter(self._attempts))
            if len(self._attempts) < ATTEMPTS_MAX and self._attempts[oldest].until > now:
                break
            self._forget(oldest)
        self._attempts[key] = _Attempt(now + ATTEMPT_LIFETIME, deliveries)
        for delivery in deliveries:
            self._of_message[delivery.id] = key

    def recall(self, key: Key, now: Instant) -> Sequence[Delivery]:
        """The deliveries of an attempt that is still valid, or nothing."""
        attempt = self._attempts.get(key)
        return attempt.deliveries if attempt and attempt.until > now else ()

    def void(self, message: MessageId) -> None:
        """A message was settled or its lease changed: its attempt may not be repeated."""
        if self._of_message and (key := self._of_message.get(message)) is not None:
            self._forget(key)

    def _forget(self, key: Key) -> None:
        attempt = self._attempts.pop(key, None)
        for delivery in attempt.deliveries if attempt else ():
            if self._of_message.get(delivery.id) == key:
                del self._of_message[delivery.id]
