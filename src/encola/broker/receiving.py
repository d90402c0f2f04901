"""The way of a receive: claim, dead-letter what was received too often, wait, claim again."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import msgspec

from encola.broker.attempts import Attempts
from encola.broker.clock import Clock
from encola.broker.errors import QueueGoneError, TooManyLeasedError
from encola.broker.lease_cap import LeaseCap
from encola.broker.registry import Registry
from encola.broker.tallies import Tallies
from encola.broker.tenants import Tenants
from encola.broker.waiters import WOKEN_BY_SUCCESS, Waiters
from encola.engine.changes import Claim, Extend, Move
from encola.engine.lifecycle import Outcome, dead_lettered
from encola.engine.message import Delivery, Duration, Instant, QueueId
from encola.engine.queue import LEASE_TOTAL_MAX, Queue
from encola.engine.store import Store, StoreError

LOOK_AGAIN_MIN: Duration = 20
"""A message that is due but could not be had (past its retention, over the cap) must not make a poll spin."""


Wanted = Callable[[], bool]
"""Asked of a receive before it waits, and after: may it still have messages?

Its caller may have left, or lost its right.
"""


def always() -> bool:
    return True


class Receiving:
    """All that a receive needs besides the store: who waits, the cap on leases, noisy tenants, repeated attempts."""

    def __init__(self, store: Store, clock: Clock, registry: Registry, attempts: Attempts, tallies: Tallies) -> None:
        self._store = store
        self._clock = clock
        self._registry = registry
        self._attempts = attempts
        self._tallies = tallies
        self._cap = LeaseCap(self._count_leased)
        self._abandoned: set[asyncio.Task[None]] = set()
        self.tenants = Tenants(store.leased_by_group)
        self.waiters = Waiters(clock)

    def close(self) -> None:
        self.waiters.close()

    def forget(self, queue: QueueId) -> None:
        """The queue was dropped: its waiters end."""
        self._cap.forget(queue)
        self.tenants.forget(queue)
        self.waiters.wake_all(queue)

    async def receive(
        self, queue: Queue, limit: int, lease: Duration, wait: Duration, wanted: Wanted = always
    ) -> Sequence[Delivery]:
        """Answers at once what is there; waits only when there is nothing, and only while it is ``wanted``."""
        deliveries, found = await self._take(queue, limit, lease)
        if deliveries or wait <= 0 or self.waiters.closed:
            if not deliveries and found is Outcome.TOO_LONG and not queue.ordered:
                raise TooManyLeasedError(queue.address.name)
            return deliveries
        return await self.park(queue, limit, lease, self._clock.now() + wait, wanted) if wanted() else ()

    async def attempt(
        self, queue: Queue, attempt_id: str, limit: int, lease: Duration, wait: Duration, wanted: Wanted = always
    ) -> Sequence[Delivery]:
        """A receive that a client may repeat under the same ``attempt_id``."""
        key, now = (queue.id, attempt_id), self._clock.now()
        earlier = () if self._registry.is_paused(queue.id) else self._attempts.recall(key, now)
        if earlier and (renewed := await self._renew(queue, earlier, lease)):
            return renewed
        deliveries = await self.receive(queue, limit, lease, wait, wanted)
        if deliveries:
            self._attempts.remember(key, deliveries, self._clock.now())
        return deliveries

    async def _renew(self, queue: Queue, deliveries: Sequence[Delivery], lease: Duration) -> Sequence[Delivery]:
        """The same deliveries with a fresh lease, or nothing when any of them is no longer held."""
        now = self._clock.now()
        outcomes = await self._store.apply(
            [Extend(queue.id, d.id, d.lease, now + lease, now, LEASE_TOTAL_MAX) for d in deliveries]
        )
        if any(outcome is not Outcome.DONE for outcome in outcomes):
            self._attempts.void(deliveries[0].id)
            return ()
        return [msgspec.structs.replace(d, lease_until=now + lease) for d in deliveries]

    async def _take(self, queue: Queue, limit: int, lease: Duration) -> tuple[Sequence[Delivery], Outcome]:
        """One look at the queue. Without deliveries the Outcome says why: GONE (nothing ready) or TOO_LONG (cap)."""
        while True:
            if not self._cap.fits(queue.id, limit):
                limit = min(limit, await self._cap.room(queue.id))
                if limit == 0:
                    return (), Outcome.TOO_LONG
            now = self._clock.now()
            noisy = await self.tenants.noisy(queue.id, now) if self.tenants.watched(queue.id) else ()
            if self._registry.is_paused(queue.id):  # asked last: what has been claimed by then comes before the pause
                return (), Outcome.GONE
            claim = Claim(queue.id, limit, now, now + lease, now - queue.settings.retention, noisy)
            deliveries = await self._store.claim(claim)
            if not deliveries:
                return (), Outcome.GONE
            self._cap.took(queue.id, len(deliveries))
            if not queue.ordered and any(delivery.envelope.group for delivery in deliveries):
                self.tenants.seen(queue.id)
            deliveries = await self._dead_letter(queue, deliveries)
            if deliveries:
                return deliveries, Outcome.DONE

    async def _dead_letter(self, queue: Queue, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Moves what was received too often; answers what is left to deliver.

        A rule whose target does not exist (any more) moves nothing: the message is delivered rather than lost.
        """
        rule = queue.settings.dead_letter
        if rule is None or all(delivery.receives <= rule.max_receives for delivery in deliveries):
            return deliveries
        target = self._registry.dead_letters(queue)
        if target is None:
            return deliveries
        now = self._clock.now()
        over = [delivery for delivery in deliveries if delivery.receives > rule.max_receives]
        outcomes = await self._store.apply([_move(queue, delivery, target, now) for delivery in over])
        self._tallies.dead_lettered(queue.id, outcomes)
        return [delivery for delivery in deliveries if delivery.receives <= rule.max_receives]

    async def park(
        self, queue: Queue, limit: int, lease: Duration, deadline: Instant, wanted: Wanted
    ) -> Sequence[Delivery]:
        """Waits for the first message until ``deadline``. Who is not wanted any more leaves it to the next."""
        waiter = self.waiters.park(queue.id)
        deliveries: Sequence[Delivery] = ()
        try:
            while True:
                # A commit between the last look and park() would go unseen: hence look first, then wait.
                deliveries = await self._take_or_give_back(queue, limit, lease)
                if deliveries and not wanted():
                    unwanted, deliveries = deliveries, ()
                    await self._give_back(queue, unwanted)
                    return ()
                if deliveries or self.waiters.closed:
                    return deliveries
                self._current(queue)  # if it was dropped before this receive had its place, nobody would wake it
                await self._sleep(waiter.queue, waiter.woken, deadline)
                queue = self._current(queue)
                if not wanted() or (self._clock.now() >= deadline and not waiter.woken.done()):
                    return ()
                self.waiters.again(waiter)
        finally:
            self.waiters.leave(waiter)
            if deliveries:
                self.waiters.wake(queue.id, WOKEN_BY_SUCCESS)

    def _current(self, queue: Queue) -> Queue:
        current = self._registry.by_id(queue.id)
        if current is None:
            raise QueueGoneError(str(queue.address))
        return current

    async def _sleep(self, queue: QueueId, woken: "asyncio.Future[None]", deadline: Instant) -> None:
        """Until woken, or the deadline. Who waits at a paused queue is woken by its end, and not by what is ready."""
        now = self._clock.now()
        due = None if self._registry.is_paused(queue) else await self._store.next_ready(queue, now)
        if due is not None:
            self.waiters.wake_at(queue, max(due, now + LOOK_AGAIN_MIN))
        if not woken.done():
            await asyncio.wait([woken], timeout=max(0, deadline - now) / 1000)

    async def _take_or_give_back(self, queue: Queue, limit: int, lease: Duration) -> Sequence[Delivery]:
        """As ``_take``, but if the caller goes away meanwhile its messages are given back at once, uncounted."""
        taking = asyncio.ensure_future(self._take(queue, limit, lease))
        try:
            return (await asyncio.shield(taking))[0]
        except asyncio.CancelledError:
            task = asyncio.ensure_future(self._give_back_taken(queue, taking))
            self._abandoned.add(task)
            task.add_done_callback(self._abandoned.discard)
            raise

    async def _give_back_taken(
        self, queue: Queue, taking: "asyncio.Future[tuple[Sequence[Delivery], Outcome]]"
    ) -> None:
        with contextlib.suppress(StoreError):
            deliveries, _ = await taking
            if deliveries:
                await self._give_back(queue, deliveries)

    async def _give_back(self, queue: Queue, deliveries: Sequence[Delivery]) -> None:
        now = self._clock.now()
        with contextlib.suppress(StoreError):  # the leases run out by themselves
            await self._store.apply(
                [Extend(queue.id, d.id, d.lease, now, now, LEASE_TOTAL_MAX, uncounted=True) for d in deliveries]
            )

    async def _count_leased(self, queue: QueueId) -> int:
        counts = await self._store.counts([queue], self._clock.now())
        return counts[queue].leased if queue in counts else 0


def _move(queue: Queue, delivery: Delivery, target: Queue, now: Instant) -> Move:
    """A dead-letter move. Source: Amazon SQS developer guide, "dead-letter queues".

    Retention on a standard dead-letter queue counts from the first send; on an ordered one from the move.
    """
    envelope = dead_lettered(delivery.envelope, queue, target)
    sent_at = now if target.ordered else delivery.sent_at
    return Move(queue.id, delivery.id, delivery.lease, target.id, envelope, sent_at, now)
