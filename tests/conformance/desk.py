"""Short words for stories about a store, and a clock that only the story turns.

A ``Desk`` holds one store. Its verbs send one Change each, at the desk's own ``now``, and answer what the store did.
"""

from collections.abc import Callable, Sequence

from encola.engine.changes import (
    Amend,
    Applied,
    Claim,
    Declare,
    Deduplication,
    Delete,
    Extend,
    Move,
    Put,
    Refused,
    Reject,
    Release,
    Resend,
    Stored,
    Sweep,
    Swept,
    Wakeup,
)
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts, Delivery, Envelope, Header, Instant, QueueId
from encola.engine.queue import HOUR, LEASE_TOTAL_MAX, SECOND, Address, Queue, Settings
from encola.engine.records import Command, FoundJobs, Job, JobSearch, Reply
from encola.engine.store import Store

ACCOUNT = "111122223333"
START: Instant = 1_700_000_000_000


WORK = QueueId(1)
DEAD = QueueId(2)


def a_queue(number: QueueId = WORK, *, ordered: bool = False, delay: int = 0, name: str | None = None) -> Queue:
    return Queue(
        id=number,
        address=Address(ACCOUNT, name or f"queue-{number}"),
        ordered=ordered,
        settings=Settings(delay=delay),
        created_at=START,
        modified_at=START,
    )


class Desk:
    """``make_store`` answers a store over the same storage each time."""

    def __init__(self, make_store: Callable[[], Store]) -> None:
        self._make_store = make_store
        self.store = make_store()
        self.now: Instant = START
        self.wakeups: list[Wakeup] = []
        self.store.watch(self.wakeups.append)

    async def reopen(self) -> None:
        """A restart: the store is closed, and a new one opened over the same storage."""
        await self.store.close()
        self.store = self._make_store()
        await self.store.open()

    def turn(self, milliseconds: int) -> None:
        self.now += milliseconds

    async def declare(self, number: QueueId = WORK, *, ordered: bool = False, delay: int = 0) -> Queue:
        queue = a_queue(number, ordered=ordered, delay=delay)
        assert list(await self.store.apply([Declare(queue)])) == [Outcome.DONE]
        return queue

    def a_put(
        self,
        body: str,
        *,
        queue: QueueId = WORK,
        group: str = "",
        delay: int = 0,
        key: str | None = None,
        window: int = 300 * SECOND,
    ) -> Put:
        deduplication = None if key is None else Deduplication(key, self.now + window)
        envelope = Envelope(f"id of {body}", group=group)
        return Put(queue, envelope, body.encode(), self.now, self.now + delay, deduplication)

    async def put(self, body: str, **how: object) -> Stored:
        (stored,) = await self.store.apply([self.a_put(body, **how)])  # type: ignore[arg-type]
        assert isinstance(stored, Stored)
        return stored

    async def put_all(self, *bodies: str, **how: object) -> list[Stored]:
        """Each a millisecond after the other, so that nothing hangs on ties."""
        stored = []
        for body in bodies:
            stored.append(await self.put(body, **how))
            self.turn(1)
        return stored

    async def claim(
        self,
        limit: int = 10,
        *,
        queue: QueueId = WORK,
        lease: int = 30 * SECOND,
        retention: int | None = None,
        noisy: tuple[str, ...] = (),
    ) -> Sequence[Delivery]:
        sent_after = 0 if retention is None else self.now - retention
        return await self.store.claim(Claim(queue, limit, self.now, self.now + lease, sent_after, noisy))

    async def claim_one(self, **how: object) -> Delivery:
        (delivery,) = await self.claim(1, **how)  # type: ignore[arg-type]
        return delivery

    async def one(self, change: object) -> Applied:
        (applied,) = await self.store.apply([change])  # type: ignore[list-item]
        return applied

    async def delete(self, delivery: Delivery, *, queue: QueueId = WORK, live_lease: bool = False) -> Applied:
        return await self.one(Delete(queue, delivery.id, delivery.lease, self.now, live_lease))

    async def extend(
        self, delivery: Delivery, milliseconds: int, *, queue: QueueId = WORK, uncounted: bool = False
    ) -> Applied:
        until = self.now + milliseconds
        return await self.one(Extend(queue, delivery.id, delivery.lease, until, self.now, LEASE_TOTAL_MAX, uncounted))

    async def release(self, delivery: Delivery, **how: object) -> Applied:
        return await self.extend(delivery, 0, **how)  # type: ignore[arg-type]

    def a_put_off(self, delivery: Delivery, milliseconds: int, *, queue: QueueId = WORK) -> Release:
        return Release(queue, delivery.id, delivery.lease, self.now + milliseconds, self.now)

    async def put_off(self, delivery: Delivery, milliseconds: int = 0, *, queue: QueueId = WORK) -> Applied:
        return await self.one(self.a_put_off(delivery, milliseconds, queue=queue))

    def a_reject(
        self, delivery: Delivery, target: QueueId = DEAD, *, queue: QueueId = WORK, live_lease: bool = False, why: str
    ) -> Reject:
        headers = {"why": Header("String", why.encode())}
        return Reject(queue, delivery.id, delivery.lease, target, headers, self.now, live_lease)

    async def reject(
        self, delivery: Delivery, target: QueueId = DEAD, *, live_lease: bool = False, why: str = "bad"
    ) -> Applied:
        return await self.one(self.a_reject(delivery, target, live_lease=live_lease, why=why))

    async def do(self, *commands: Command, account: str = ACCOUNT) -> Reply | Refused:
        """Carries out commands in one transaction; the last one's reply."""
        replies = await self.store.apply([Amend(account, command, self.now) for command in commands])
        reply = replies[-1]
        assert isinstance(reply, Reply | Refused)
        return reply

    async def job(self, key: str, account: str = ACCOUNT) -> Job | None:
        (job,) = await self.store.jobs(account, [key], self.now)
        return job

    async def find(self, *, account: str = ACCOUNT, **search: object) -> FoundJobs:
        return await self.store.find_jobs(account, JobSearch(**search), self.now)  # type: ignore[arg-type]

    async def all_found(self, **search: object) -> list[str]:
        """The keys of all pages."""
        found = await self.find(**search)
        keys = [job.key for job in found.jobs]
        while found.next is not None:
            found = await self.find(**{**search, "before": found.next})
            keys += [job.key for job in found.jobs]
        return keys

    def a_move(
        self, delivery: Delivery, target: QueueId = DEAD, *, queue: QueueId = WORK, envelope: Envelope | None = None
    ) -> Move:
        return Move(
            queue, delivery.id, delivery.lease, target, envelope or delivery.envelope, delivery.sent_at, self.now
        )

    async def move(self, delivery: Delivery, target: QueueId = DEAD, *, queue: QueueId = WORK) -> Applied:
        return await self.one(self.a_move(delivery, target, queue=queue))

    async def resend(
        self, delivery: Delivery, target: QueueId, *, queue: QueueId = WORK, envelope: Envelope | None = None
    ) -> Applied:
        envelope = envelope or delivery.envelope
        return await self.one(Resend(queue, delivery.id, delivery.lease, target, envelope, self.now))

    def a_sweep(self, retention: int | None = None, limit: int = 1_000, queue: QueueId = WORK) -> Sweep:
        return Sweep(self.now, {} if retention is None else {queue: self.now - retention}, limit)

    async def sweep(self, retention: int | None = None, limit: int = 1_000, queue: QueueId = WORK) -> Swept:
        swept = await self.one(self.a_sweep(retention, limit, queue))
        assert isinstance(swept, Swept)
        return swept

    async def counts(self, queue: QueueId = WORK) -> Counts | None:
        return (await self.store.counts([queue], self.now)).get(queue)

    async def bodies(self, queue: QueueId = WORK) -> list[str]:
        """What the queue holds, ready or not, in order of ids."""
        return [peek.body.decode() for peek in await self.store.browse(queue, None, 10_000)]

    async def drain(self, queue: QueueId = WORK) -> list[str]:
        """Claims and deletes all that is ready; the bodies in the order in which they came."""
        drained: list[str] = []
        while deliveries := await self.claim(queue=queue, lease=HOUR):
            drained += bodies(deliveries)
            for delivery in deliveries:
                assert await self.delete(delivery, queue=queue) is Outcome.DONE
        return drained


def bodies(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.body.decode() for delivery in deliveries]
