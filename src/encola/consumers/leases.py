"""The heartbeat: keeps leases alive, of messages that run and of those that wait for their turn, and of job records.

Nothing is timed per message. A loop looks at all holds some times within a lease and renews those that are due, in
batches; a short job is never touched. When a lease is lost (somebody else has the message, the record is another's, or
the service could not be reached until the lease was over), the hold says so and its handler is stopped.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Literal

from encola.consumers.connection import Connection
from encola.consumers.context import CurrentJob
from encola.consumers.jobstore import JobStoreError
from encola.consumers.transport import BATCH_MAX, Incoming, RefusedError, TransportError
from encola.engine import records

RENEWED_AFTER = 1 / 3
"""Part of a lease after which it is renewed: two more tries fit in before it ends."""

LOOKS_PER_LEASE = 12
LOOK_SECONDS_MAX = 1.0
PROGRESS_SECONDS = 1.0
"""Progress is stored no more often than this."""

Stop = Literal["lost", "cancelled", "shutdown"]

_log = logging.getLogger("encola.worker")


class Hold:
    """One message under our lease, from its receive until it is settled, and the job record that goes with it."""

    __slots__ = (
        "deadline", "job", "lease", "message", "owner_fence", "progress_at", "progressed",
        "record_key", "renewed_at", "renewing", "running", "slot", "stopped",
    )  # fmt: skip

    def __init__(self, message: Incoming, lease: float) -> None:
        self.message = message
        self.lease = lease
        # The lease began somewhere between the beginning of the poll and now. After a long poll the message is due for
        # its first renewal at once, which tells.
        now = time.monotonic()
        self.renewed_at = message.received_at
        self.deadline = now + lease - min(now - message.received_at, lease * RENEWED_AFTER)
        self.renewing = False
        self.record_key = ""
        self.owner_fence: tuple[str, int] | None = None
        self.slot: records.Enter | None = None
        self.job: CurrentJob | None = None
        self.progressed = False
        self.progress_at = 0.0
        self.running: asyncio.Task[object] | None = None
        self.stopped: Stop | None = None

    def stop(self, why: Stop) -> None:
        """Its handler shall end: at once if it runs, else it does not begin."""
        if self.stopped is not None:
            return
        self.stopped = why
        if self.job is not None:
            self.job.stop_requested = True
        if self.running is not None:
            self.running.cancel()


class LeaseKeeper:
    """See the module. Without ``messages`` somebody else keeps their leases, and only those of records are kept."""

    def __init__(self, connection: Connection, lease: float, *, messages: bool = True) -> None:
        self._connection = connection
        self._lease = lease
        self._messages = messages
        self._holds: set[Hold] = set()
        self._task: asyncio.Task[None] | None = None
        self._rounds: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Ends the loop; leases run out by themselves."""
        for task in (self._task, *self._rounds):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._task = None

    def hold(self, message: Incoming) -> Hold:
        """From now on the message's lease is kept."""
        hold = Hold(message, self._lease)
        self._holds.add(hold)
        return hold

    def let_go(self, hold: Hold) -> None:
        """It is settled, or lost."""
        self._holds.discard(hold)

    @property
    def holds(self) -> Sequence[Hold]:
        return tuple(self._holds)

    async def _keep(self) -> None:
        pause = min(LOOK_SECONDS_MAX, self._lease / LOOKS_PER_LEASE)
        while True:
            await asyncio.sleep(pause)
            now = time.monotonic()
            for hold in self.holds:
                if self._messages and now >= hold.deadline and hold.stopped is None:
                    _log.warning("the lease of message %s ended: the service was not reached", hold.message.message_id)
                    hold.stop("lost")
            due = [hold for hold in self._holds if self._is_due(hold, now)]
            by_queue: dict[str, list[Hold]] = {}
            for hold in due:
                by_queue.setdefault(hold.message.queue, []).append(hold)
            for holds in by_queue.values():
                for start in range(0, len(holds), BATCH_MAX):
                    self._begin(self._extend(holds[start : start + BATCH_MAX]))
            for hold in self._holds:
                if hold.progressed and hold.owner_fence and now - hold.progress_at >= PROGRESS_SECONDS:
                    hold.progressed, hold.progress_at = False, now
                    self._begin(self._renew_record(hold))

    def _is_due(self, hold: Hold, now: float) -> bool:
        kept = hold.stopped in (None, "shutdown")  # what will be given back is ours until then
        return kept and not hold.renewing and now - hold.renewed_at >= hold.lease * RENEWED_AFTER

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._rounds.add(task)
        task.add_done_callback(self._rounds.discard)

    async def _extend(self, holds: Sequence[Hold]) -> None:
        """One round for up to ten messages of a queue. What could not be reached is tried at the next look."""
        for hold in holds:
            hold.renewing = True
        asked_at = time.monotonic()
        try:
            answers: Sequence[TransportError | None] = [None] * len(holds)
            if self._messages:
                answers = await self._connection.transport.extend([hold.message for hold in holds], self._lease)
            for hold, answer in zip(holds, answers, strict=True):
                if answer is None:
                    hold.renewed_at, hold.deadline = asked_at, asked_at + hold.lease
                elif isinstance(answer, RefusedError) and hold in self._holds:
                    _log.warning("the lease of message %s was lost: %s", hold.message.message_id, answer)
                    hold.stop("lost")
            await asyncio.gather(*(self._renew_record(hold) for hold in holds if hold.owner_fence or hold.slot))
        except TransportError as error:
            _log.warning("leases could not be renewed, trying again: %s", error)
        finally:
            for hold in holds:
                hold.renewing = False

    async def _renew_record(self, hold: Hold) -> None:
        if hold.stopped is not None:
            return
        try:
            if hold.slot is not None:
                await self._connection.command(hold.slot)
            if hold.owner_fence is None:
                return
            owner, fence = hold.owner_fence
            share, note = (hold.job.share, hold.job.note) if hold.job else (None, None)
            reply = await self._connection.command(
                records.Renew(hold.record_key, owner, fence, int(self._lease * 1000), share, note)
            )
        except JobStoreError as error:
            _log.warning("the record of a job could not be renewed, trying again: %s", error)
            return
        if hold.owner_fence != (owner, fence):  # settled meanwhile
            return
        if isinstance(reply, records.Lost):
            _log.warning("the job %s belongs to another worker now", hold.record_key)
            hold.stop("lost")
        elif isinstance(reply, records.Held) and reply.cancelled:
            hold.stop("cancelled")
