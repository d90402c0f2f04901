"""A transport without a network: a broker in this process, on the memory store. What a test of tasks runs on."""

import time
from collections.abc import Callable, Sequence

import msgspec

from encola.broker.broker import Broker, Draft
from encola.broker.clock import Clock
from encola.broker.errors import QueueGoneError
from encola.consumers.jobstore import JobStore
from encola.consumers.transport import (
    Incoming,
    NoQueueError,
    Outgoing,
    QueueFacts,
    QueueWish,
    RefusedError,
    TransportError,
)
from encola.engine.changes import Extend, Move
from encola.engine.lifecycle import Outcome
from encola.engine.message import Delivery, Header, Instant, Receipt
from encola.engine.queue import LEASE_TOTAL_MAX, Address, DeadLetterRule, Queue, Settings
from encola.stores.memory import MemoryStore

ACCOUNT = "000000000000"
DELIVERED_MAX = 10
LATER_MAX = 14 * 86_400_000


class LocalTransport:
    """See the module. ``clock`` is the broker's; ``jobs`` the store of records that it offers."""

    def __init__(self, clock: Clock, jobs: JobStore | None = None) -> None:
        self.clock = clock
        self.store = MemoryStore()
        self.broker = Broker(self.store, clock, relaxed=True)
        self._jobs = jobs
        self._open = False

    async def open(self) -> None:
        if not self._open:
            await self.broker.open()
            self._open = True

    async def close(self) -> None:
        """Nothing: several connections share it. See ``shut``."""

    async def shut(self) -> None:
        """Ends the broker."""
        if self._open:
            self._open = False
            await self.broker.close()

    @property
    def is_encola(self) -> bool:
        return True

    @property
    def batch_max(self) -> int:
        return DELIVERED_MAX

    def records(self) -> JobStore | None:
        return self._jobs

    def desk(self) -> None:
        return None

    async def describe(self, queue: str) -> QueueFacts:
        found = self.queue(queue)
        rule, settings = found.settings.dead_letter, found.settings
        return QueueFacts(
            name=queue,
            fifo=found.ordered,
            lease=settings.lease / 1000,
            retention=settings.retention / 1000,
            dead_letters=rule.target.name if rule else None,
            receives_max=rule.max_receives if rule else None,
        )

    async def create(self, wish: QueueWish) -> None:
        rule = None
        if wish.dead_letters is not None:
            target = Address(ACCOUNT, wish.dead_letters)
            await self._create(target, Settings(retention=LATER_MAX))
            rule = DeadLetterRule(target, wish.receives_max)
        settings = Settings(lease=_ms(wish.lease), retention=_ms(wish.retention), dead_letter=rule)
        await self._create(Address(ACCOUNT, wish.name), settings)

    async def _create(self, address: Address, settings: Settings) -> None:
        if self.broker.find(address) is None:
            await self.broker.create(address, ordered=address.name.endswith(".fifo"), settings=settings, tags={})

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> Sequence[str | TransportError]:
        drafts = [
            Draft(
                body=message.body.encode(),
                group=message.group or "",
                deduplication_id=message.deduplication_id,
                delay=_ms(message.delay),
                headers={name: Header("String", text.encode()) for name, text in message.attributes.items()},
            )
            for message in messages
        ]
        return [stored.message_id for stored in await self.broker.send(self.queue(queue), drafts)]

    async def receive(self, queue: str, limit: int, wait: float, lease: float) -> Sequence[Incoming]:
        received_at = time.monotonic()
        found = self.queue(queue)
        deliveries = await self.broker.receive(found, limit=min(limit, DELIVERED_MAX), lease=_ms(lease), wait=_ms(wait))
        return [_incoming(queue, delivery, received_at) for delivery in deliveries]

    async def delete(self, messages: Sequence[Incoming]) -> Sequence[TransportError | None]:
        return await self._each(messages, self.broker.delete)

    async def extend(self, messages: Sequence[Incoming], lease: float) -> Sequence[TransportError | None]:
        return await self._extend([(message, lease) for message in messages], uncounted=False)

    async def retry(self, messages: Sequence[tuple[Incoming, float]]) -> Sequence[TransportError | None]:
        return await self._extend(messages, uncounted=False)

    async def release(self, messages: Sequence[tuple[Incoming, float]]) -> Sequence[TransportError | None]:
        return await self._extend(messages, uncounted=True)

    async def reject(self, messages: Sequence[tuple[Incoming, str, str]]) -> Sequence[TransportError | None]:
        answers: list[TransportError | None] = []
        for message, reason, error in messages:
            source = self.queue(message.queue)
            rule = source.settings.dead_letter
            if rule is None:
                answers.append(RefusedError("NoDeadLetterQueue", f"{message.queue} has no dead-letter queue"))
                continue
            receipt = _receipt(message)
            peeked = next(p for p in await self.broker.browse(source, limit=LATER_MAX) if p.state.id == receipt.message)
            told = {"encola.reason": reason, "encola.error": error}
            headers = peeked.envelope.headers | {name: Header("String", text.encode()) for name, text in told.items()}
            envelope = msgspec.structs.replace(peeked.envelope, headers=headers, dead_letter_source=str(source.address))
            now = self.clock.now()
            target = self.queue(rule.target.name)
            move = Move(source.id, receipt.message, receipt.lease, target.id, envelope, peeked.state.sent_at, now)
            answers.append(_refusal((await self.store.apply([move]))[0]))
        return answers

    # Helpers ------------------------------------------------------------------------------------------

    def queue(self, name: str) -> Queue:
        """Raises NoQueueError."""
        found = self.broker.find(Address(ACCOUNT, name))
        if found is None:
            raise NoQueueError("QueueDoesNotExist", f"there is no queue {name}")
        return found

    async def _extend(
        self, leases: Sequence[tuple[Incoming, float]], *, uncounted: bool
    ) -> Sequence[TransportError | None]:
        now = self.clock.now()
        changes = []
        for message, seconds in leases:
            receipt, queue = _receipt(message), self.queue(message.queue)
            until = now + _ms(seconds)
            longest = LATER_MAX if uncounted else LEASE_TOTAL_MAX
            changes.append(Extend(queue.id, receipt.message, receipt.lease, until, now, longest, uncounted=uncounted))
        return [_refusal(outcome) for outcome in await self.store.apply(changes)]

    async def _each(self, messages: Sequence[Incoming], do: Callable[..., object]) -> Sequence[TransportError | None]:
        answers: list[TransportError | None] = []
        for message in messages:
            try:
                (outcome,) = await do(self.queue(message.queue), [_receipt(message)])  # type: ignore[misc]
            except QueueGoneError as error:
                raise NoQueueError("QueueDoesNotExist", str(error)) from error
            answers.append(_refusal(outcome))
        return answers


def _ms(seconds: float) -> Instant:
    return round(seconds * 1000)


def _receipt(message: Incoming) -> Receipt:
    number, lease = message.receipt.split("-")
    return Receipt(int(number), int(lease))  # type: ignore[arg-type]


def _incoming(queue: str, delivery: Delivery, received_at: float) -> Incoming:
    envelope = delivery.envelope
    return Incoming(
        queue=queue,
        message_id=envelope.message_id,
        receipt=f"{delivery.id}-{delivery.lease}",
        body=delivery.body.decode(),
        attributes={name: header.value.decode() for name, header in envelope.headers.items()},
        receives=delivery.receives,
        sent_at=delivery.sent_at,
        received_at=received_at,
        group=envelope.group or None,
        sequence=str(delivery.id),
    )


def _refusal(outcome: object) -> TransportError | None:
    return None if outcome is Outcome.DONE else RefusedError("ReceiptHandleIsInvalid", f"the lease is {outcome}")
