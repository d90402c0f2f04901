"""Takes messages off a queue, drops what the filters do not want, and forms batches of the rest.

It may be cancelled at any moment: what it holds is given back, uncounted. Only what can be invoked is taken: a place in
the function's gate comes first. Nobody keeps one while he waits for messages, or a quiet queue would block a busy one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec

from encola.broker.broker import Broker
from encola.broker.errors import BrokerError
from encola.engine.message import Delivery, Duration, Instant
from encola.engine.queue import SECOND, Queue
from encola.engine.store import StoreError
from encola.mappings.batching import Gathering, effective_visibility, payload_of
from encola.mappings.event import Words, encode, record_of
from encola.mappings.filters import Filters
from encola.mappings.functions import DeclaredFunction
from encola.mappings.gate import Gate
from encola.mappings.model import Mapping
from encola.mappings.status import Status

LONG_POLL: Duration = 20 * SECOND

_log = logging.getLogger("encola.mappings")


class Batch(msgspec.Struct):
    """Messages that are leased for one invocation, with their records. It holds a place in the gate."""

    queue: Queue
    deliveries: list[Delivery] = []
    records: list[bytes] = []

    @property
    def payload(self) -> bytes:
        return payload_of(self.records)

    @property
    def ids(self) -> list[str]:
        return [delivery.envelope.message_id for delivery in self.deliveries]

    @property
    def groups(self) -> list[str] | None:
        """The groups of its messages, where their order counts."""
        return [delivery.envelope.group for delivery in self.deliveries] if self.queue.ordered else None

    @property
    def leased_until(self) -> Instant:
        return min(delivery.lease_until for delivery in self.deliveries)


class Gatherer:
    """See the module; made anew when a mapping's settings change."""

    def __init__(
        self, broker: Broker, words: Words, mapping: Mapping, function: DeclaredFunction, gate: Gate, status: Status
    ) -> None:
        self._broker = broker
        self._words = words
        self._mapping = mapping
        self._filters = Filters(mapping.settings.filters)
        self._timeout = function.timeout
        self._gate = gate
        self._status = status
        self._errands: set[asyncio.Task[Any]] = set()

    async def gather(self, queue: Queue) -> Batch | None:
        """The next batch, which has entered the gate; None when there was nothing for a while.

        Raises QueueGoneError, StoreError.
        """
        batch = Batch(queue)
        entered = False
        try:
            entered = await self._fill(batch)
        finally:
            if not entered and batch.deliveries:  # cancelled, failed, or no place in time
                self.surely(self.give_back(queue, batch.deliveries))
        return batch if entered else None

    async def _fill(self, batch: Batch) -> bool:
        """Gathers into ``batch``; answers whether it may go: it is not empty and has entered the gate."""
        settings = self._mapping.settings
        lease = effective_visibility(batch.queue.settings.lease, settings.window, self._timeout)
        gathering = Gathering(settings.batch_size, settings.window, self._broker.clock.now())
        entered = await self._first(batch, gathering, lease)
        if not settings.window:
            return entered
        if entered:
            self._gate.leave()
        if not batch.deliveries:
            return False
        await self._more(batch, gathering, lease)
        patience = batch.leased_until - self._timeout * SECOND - self._broker.clock.now()
        return await self._gate.enter_within(patience / SECOND)

    async def _first(self, batch: Batch, gathering: Gathering, lease: Duration) -> bool:
        """The first messages; answers whether a place in the gate is held."""
        limit = gathering.next_claim()
        if self._gate.limit is not None:
            await self._gate.enter()
            try:
                await self._take(batch, gathering, limit, lease, 0)
            except BaseException:
                self._gate.leave()
                raise
            if batch.deliveries:
                return True
            self._gate.leave()
        await self._take(batch, gathering, limit, lease, LONG_POLL)
        return bool(batch.deliveries) and self._gate.enter_at_once()

    async def _more(self, batch: Batch, gathering: Gathering, lease: Duration) -> None:
        """Goes on until the batch is full or its window, which begins with its first message, has ended."""
        while not gathering.is_over(now := self._broker.clock.now()):
            await self._take(batch, gathering, gathering.next_claim(), lease, gathering.ends_at - now)

    async def _take(self, batch: Batch, gathering: Gathering, limit: int, lease: Duration, wait: Duration) -> None:
        """Leases some messages; sorts them into wanted, unwanted, and those for which there is no room."""
        deliveries = await self._broker.collect(batch.queue, limit=limit, lease=lease, wait=wait)
        if deliveries and not gathering.count:
            gathering.begin(self._broker.clock.now())
        unwanted: list[Delivery] = []
        surplus: list[Delivery] = []
        for delivery in deliveries:
            record = record_of(delivery, batch.queue, self._mapping.source, self._words)
            if not self._filters.matches(record):
                unwanted.append(delivery)
                continue
            encoded = encode(record)
            if surplus or not gathering.add(len(encoded)):
                surplus.append(delivery)
                continue
            batch.deliveries.append(delivery)
            batch.records.append(encoded)
        if unwanted:
            self._status.filtered += len(unwanted)
            await self.surely(self._drop(batch.queue, unwanted))
        if surplus:
            await self.surely(self.give_back(batch.queue, surplus))

    async def _drop(self, queue: Queue, deliveries: Sequence[Delivery]) -> None:
        with contextlib.suppress(StoreError, BrokerError):  # they come again, and go then
            await self._broker.delete(queue, [delivery.receipt for delivery in deliveries])

    async def give_back(self, queue: Queue, deliveries: Sequence[Delivery]) -> None:
        """As if they had never been received."""
        self._status.returned += len(deliveries)
        try:
            await self._broker.release(queue, [(delivery.receipt, 0) for delivery in deliveries])
        except (StoreError, BrokerError) as error:
            _log.warning("messages could not be given back, their leases run out: %s", type(error).__name__)

    def surely(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Future[None]":
        """Runs to its end even if the caller is cancelled while it waits for the answer."""
        errand = asyncio.ensure_future(coroutine)
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)
        return asyncio.shield(errand)

    async def finish(self) -> None:
        """Waits for what must still be settled."""
        await asyncio.gather(*self._errands)
