"""Move tasks: redrive in the background, from a dead-letter queue to where its messages came from, or elsewhere.

Source: Amazon SQS API reference, StartMessageMoveTask. A task is a note in the store. Each step claims a few messages
from the source and replaces each by a new one on its target, together with the task's counter, in one transaction;
so a crash neither loses nor doubles a message, and the task goes on at the next start. Messages that were claimed
when the process died come back when their lease is over, and the resumed task waits for them.
"""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from encola.broker.clock import Clock
from encola.broker.errors import MoveTaskNotFoundError, MoveTaskRunningError, TooManyMoveTasksError
from encola.broker.message_ids import MessageIds
from encola.broker.registry import Registry
from encola.engine.changes import Change, Claim, Extend, Note, Resend
from encola.engine.message import Delivery, Instant
from encola.engine.queue import LEASE_TOTAL_MAX, SECOND, Address, Queue
from encola.engine.store import Store, StoreError

RATE_MAX = 500  # messages a second
STEP_MAX = 50  # messages moved in one transaction
STEP_LEASE = 20 * SECOND
ACTIVE_MAX = 100  # running tasks of one account
KEPT_OF_A_SOURCE = 10  # ended tasks that are remembered
RETRY_SECONDS = 1.0  # pause after a store error

RUNNING, COMPLETED, CANCELLING, CANCELLED, FAILED = "RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED"
ACTIVE = (RUNNING, CANCELLING)
TARGET_GONE = "AWS.SimpleQueueService.NonExistentQueue"
SOURCE_UNKNOWN = "CouldNotDetermineMessageSource"

_NOTE = "move"
_log = logging.getLogger("encola.moves")


class MoveTask(msgspec.Struct):
    """A redrive. ``target`` None: each message goes back to the queue it was dead-lettered from.

    ``rate`` is in messages a second (None: as fast as allowed). ``moved`` and ``to_move`` count messages;
    ``failure`` says why a FAILED task ended.
    """

    id: str
    source: Address
    target: Address | None
    rate: int | None
    status: str
    moved: int
    to_move: int
    started_at: Instant
    failure: str = ""

    @property
    def active(self) -> bool:
        return self.status in ACTIVE


class Moves:
    """All move tasks of a broker, newest last."""

    def __init__(self, store: Store, clock: Clock, registry: Registry, message_ids: MessageIds) -> None:
        self._store = store
        self._clock = clock
        self._registry = registry
        self._message_ids = message_ids
        self._tasks: dict[str, MoveTask] = {}
        self._runners: dict[str, asyncio.Task[None]] = {}

    def open(self, notes: dict[tuple[str, str], bytes]) -> None:
        """Takes up the tasks that the store remembers and goes on with the active ones."""
        tasks = [msgspec.msgpack.decode(value, type=MoveTask) for (kind, _), value in notes.items() if kind == _NOTE]
        for task in sorted(tasks, key=lambda task: task.started_at):
            self._tasks[task.id] = task
            if task.active:
                self._run(task, resumed=True)

    async def close(self) -> None:
        runners = list(self._runners.values())
        for runner in runners:
            runner.cancel()
        await asyncio.gather(*runners, return_exceptions=True)

    def of_source(self, source: Address) -> Sequence[MoveTask]:
        """The newest first."""
        return [task for task in reversed(self._tasks.values()) if task.source == source][:KEPT_OF_A_SOURCE]

    async def start(self, source: Queue, target: Address | None, rate: int | None, to_move: int) -> MoveTask:
        """Raises MoveTaskRunningError, TooManyMoveTasksError. ``to_move`` is only told, not a limit."""
        active = [task for task in self._tasks.values() if task.active]
        if any(task.source == source.address for task in active):
            raise MoveTaskRunningError
        if sum(task.source.account == source.address.account for task in active) >= ACTIVE_MAX:
            raise TooManyMoveTasksError
        task = MoveTask(
            id=self._message_ids.new(),
            source=source.address,
            target=target,
            rate=rate,
            status=RUNNING,
            moved=0,
            to_move=to_move,
            started_at=self._clock.now(),
        )
        self._tasks[task.id] = task  # before the first await, so that a second start of this source is refused
        try:
            await self._store.apply([_note(task), *self._forget_old(source.address)])
        except BaseException:
            del self._tasks[task.id]
            raise
        self._run(task, resumed=False)
        return task

    async def cancel(self, task_id: str) -> MoveTask:
        """What is under way still ends. Raises MoveTaskNotFoundError."""
        task = self._tasks.get(task_id)
        if task is None or task.status != RUNNING:
            raise MoveTaskNotFoundError
        task.status = CANCELLING
        await self._store.apply([_note(task)])
        return task

    def _forget_old(self, source: Address) -> list[Change]:
        old = [task for task in reversed(self._tasks.values()) if task.source == source and not task.active]
        forgotten = old[KEPT_OF_A_SOURCE - 1 :]
        for task in forgotten:
            del self._tasks[task.id]
        return [Note(_NOTE, task.id, None) for task in forgotten]

    def _run(self, task: MoveTask, *, resumed: bool) -> None:
        runner = asyncio.create_task(self._work(task, resumed=resumed), name=f"move {task.id}")
        self._runners[task.id] = runner
        runner.add_done_callback(lambda _: self._runners.pop(task.id, None))

    async def _work(self, task: MoveTask, *, resumed: bool) -> None:
        # What a dead predecessor had claimed comes back at the latest when this is over.
        patience_until = self._clock.now() + STEP_LEASE if resumed else 0
        rate = min(task.rate or RATE_MAX, RATE_MAX)
        while task.status == RUNNING:
            try:
                moved = await self._step(task, min(rate, STEP_MAX))
            except StoreError:
                _log.warning("move task %s waits: the store is not available", task.id)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if moved:
                await asyncio.sleep(moved / rate)
            elif task.status == RUNNING and self._clock.now() < patience_until and await self._anything_leased(task):
                await asyncio.sleep(1)
            elif task.status == RUNNING:
                task.status = COMPLETED
        if task.status == CANCELLING:
            task.status = CANCELLED
        await self._end(task)

    async def _anything_leased(self, task: MoveTask) -> bool:
        source = self._registry.find(task.source)
        if source is None:
            return False
        try:
            counts = await self._store.counts([source.id], self._clock.now())
        except StoreError:
            return True
        return source.id in counts and counts[source.id].leased > 0

    async def _end(self, task: MoveTask) -> None:
        while True:
            try:
                await self._store.apply([_note(task)])
            except StoreError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _step(self, task: MoveTask, limit: int) -> int:
        """Moves up to ``limit`` messages; 0 when there are none or the task has failed."""
        registry = self._registry
        source = registry.find(task.source)
        if source is None:
            task.status, task.failure = FAILED, TARGET_GONE
            return 0
        now = self._clock.now()
        sent_after = now - source.settings.retention
        deliveries = await self._store.claim(Claim(source.id, limit, now, now + STEP_LEASE, sent_after))
        if not deliveries:
            return 0
        now = self._clock.now()
        changes: list[Change] = []
        moved = 0
        after = msgspec.structs.replace(task)
        for delivery in deliveries:
            target, failure = _target_of(task, delivery, registry)
            if target is None:
                after.status, after.failure = FAILED, failure
                changes.append(_give_back(source, delivery, now))
                continue
            changes.append(self._resend(source, delivery, target, now))
            moved += 1
        after.moved += moved
        await self._store.apply([*changes, _note(after)])
        task.moved = after.moved
        if after.status == FAILED:  # told when what could not be moved is back, and not before
            task.status, task.failure = after.status, after.failure
        return moved

    def _resend(self, source: Queue, delivery: Delivery, target: Queue, now: Instant) -> Resend:
        envelope = msgspec.structs.replace(
            delivery.envelope, message_id=self._message_ids.new(), dead_letter_source="", sent_at=0
        )
        return Resend(source.id, delivery.id, delivery.lease, target.id, envelope, now)


def _target_of(task: MoveTask, delivery: Delivery, registry: Registry) -> tuple[Queue | None, str]:
    """Where a message goes, or why the task must fail."""
    if task.target is not None:
        return registry.find(task.target), TARGET_GONE
    if not delivery.envelope.dead_letter_source:
        return None, SOURCE_UNKNOWN
    return registry.find(Address.parse(delivery.envelope.dead_letter_source)), TARGET_GONE


def _give_back(source: Queue, delivery: Delivery, now: Instant) -> Extend:
    return Extend(source.id, delivery.id, delivery.lease, now, now, LEASE_TOTAL_MAX, uncounted=True)


def _note(task: MoveTask) -> Note:
    return Note(_NOTE, task.id, msgspec.msgpack.encode(task))
