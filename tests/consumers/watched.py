"""A transport that keeps what it was asked to do, and can be made to fail."""

from collections.abc import Callable, Sequence
from typing import Any

from encola.consumers.sqs.transport import SqsTransport
from encola.consumers.transport import Incoming, Outgoing, TransportError

Outcomes = Sequence[TransportError | None]


class Watched(SqsTransport):
    """``calls`` has, for each message, the verb and what was asked; verbs in ``broken`` fail as if nothing was reached.

    ``hurry`` takes the pauses before retries and returns other ones, for tests that need not wait.
    """

    def __init__(self, endpoint: str, hurry: Callable[[float], float] = lambda seconds: seconds) -> None:
        super().__init__(endpoint)
        self.calls: list[tuple[str, Any]] = []
        self.broken: set[str] = set()
        self._hurry = hurry

    def asked(self, verb: str) -> list[Any]:
        return [what for one, what in self.calls if one == verb]

    def _note(self, verb: str, what: Sequence[Any]) -> None:
        if verb in self.broken:
            raise TransportError("the line is cut")
        self.calls += [(verb, one) for one in what]

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> Sequence[str | TransportError]:
        self._note("send", messages)
        return await super().send(queue, messages)

    async def receive(self, queue: str, limit: int, wait: float, lease: float) -> Sequence[Incoming]:
        self._note("receive", [])
        messages = await super().receive(queue, limit, wait, lease)
        self._note("received", [message.message_id for message in messages])
        return messages

    async def delete(self, messages: Sequence[Incoming]) -> Outcomes:
        self._note("delete", messages)
        return await super().delete(messages)

    async def extend(self, messages: Sequence[Incoming], lease: float) -> Outcomes:
        self._note("extend", [message.message_id for message in messages])
        return await super().extend(messages, lease)

    async def retry(self, messages: Sequence[tuple[Incoming, float]]) -> Outcomes:
        self._note("retry", [(message.message_id, seconds) for message, seconds in messages])
        return await super().retry([(message, self._hurry(seconds)) for message, seconds in messages])

    async def release(self, messages: Sequence[tuple[Incoming, float]]) -> Outcomes:
        self._note("release", [(message.message_id, seconds) for message, seconds in messages])
        return await super().release(messages)

    async def reject(self, messages: Sequence[tuple[Incoming, str, str]]) -> Outcomes:
        self._note("reject", [(message.message_id, reason) for message, reason, _ in messages])
        return await super().reject(messages)
