"""Fetching: long polls for one queue, for as many messages as there are free slots.

One poll is enough while messages are few. While polls come back full and slots are free, there are more of them at a
time, up to ``POLLS_MAX``; a poll that was not full is the last of its kind.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence

from encola.consumers.queues import QueueOptions
from encola.consumers.slots import Slots
from encola.consumers.transport import BATCH_MAX, Incoming, NoQueueError, Transport, TransportError

WAIT_SECONDS = 20.0
"""Of a long poll (Amazon SQS: at most 20 seconds)."""

LANE_WAIT_SECONDS = 1.0
POLLS_MAX = 8
PAUSE_SECONDS_MIN = 0.1
PAUSE_SECONDS_MAX = 5.0
TURN_OF_LOW = 10
"""Each so many fetches the lanes are asked in reverse, so that the low ones are not forgotten."""

SETTLE_SECONDS = 0.002
"""Where jobs are short, a poll for a few messages waits so long for more slots: fewer requests, same rate."""

_log = logging.getLogger("encola.worker")


class Fetcher:
    """Fetches from one queue with all its lanes, and hands what it got to ``deliver`` with its slots taken.

    Where a worker has several ``queues``, the long poll of each keeps its part of the slots for itself, and no more.
    """

    def __init__(
        self,
        queue: QueueOptions,
        transport: Transport,
        slots: Slots,
        lease: float,
        deliver: Callable[[Sequence[Incoming]], None],
        polled: Callable[[], None],
        queues: int = 1,
    ) -> None:
        self._queue = queue
        self._transport = transport
        self._slots = slots
        self._lease = lease
        self._deliver = deliver
        self._polled = polled
        self._share = max(1, min(transport.batch_max, slots.concurrency // queues))
        self._worthwhile = max(1, min(BATCH_MAX, slots.concurrency // 4))
        self._wait = WAIT_SECONDS if slots.concurrency >= queues else LANE_WAIT_SECONDS
        self._polls: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._rounds = 0
        self._stopped = False

    def start(self) -> None:
        self._spawn(first=True)

    async def stop(self) -> None:
        """Ends the polls that are under way; what they had been about to get goes back to the queue."""
        self._stopped = True
        polls = list(self._polls)
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)

    def _spawn(self, *, first: bool) -> None:
        task = asyncio.get_running_loop().create_task(self._poll_on(first))
        self._polls.add(task)
        task.add_done_callback(self._polls.discard)

    async def _poll_on(self, first: bool) -> None:
        """Polls again and again: the first for ever, another as long as its polls come back full."""
        while not self._stopped:
            count = await self._slots.take(self._share if first else self._transport.batch_max)
            if count < self._worthwhile and self._slots.ahead:
                self._slots.give_back(count)
                await asyncio.sleep(SETTLE_SECONDS)
                count = await self._slots.take(self._share if first else self._transport.batch_max)
            messages: Sequence[Incoming] = ()
            failed: Exception | None = None
            try:
                messages = await self._receive(count, self._wait if first else 0)
                self._failures = 0
                self._polled()
            except Exception as error:  # whatever it is: a worker that stopped to poll would look alive
                failed = error
            finally:
                self._slots.give_back(count - len(messages))
            if failed is not None:
                await self._pause(failed)
            if messages:
                self._deliver(messages)
            full = len(messages) >= count
            if full and len(self._polls) < POLLS_MAX and self._slots.free > 0:
                self._spawn(first=False)
            if not first and not full:
                return

    async def _receive(self, count: int, wait: float) -> Sequence[Incoming]:
        lanes = self._queue.lanes
        if len(lanes) == 1:
            return await self._transport.receive(lanes[0], count, wait, self._lease)
        self._rounds += 1
        for lane in reversed(lanes) if self._rounds % TURN_OF_LOW == 0 else lanes:
            messages = await self._transport.receive(lane, count, 0, self._lease)
            if messages:
                return messages
        return await self._wait_on_lanes(lanes, count, wait) if wait else ()

    async def _wait_on_lanes(self, lanes: Sequence[str], count: int, wait: float) -> Sequence[Incoming]:
        """All lanes at once, each for its part of the slots; with fewer slots than lanes one after the other."""
        share = count // len(lanes)
        if share == 0:
            return await self._transport.receive(
                lanes[self._rounds % len(lanes)], count, LANE_WAIT_SECONDS, self._lease
            )
        polls = [asyncio.ensure_future(self._transport.receive(lane, share, wait, self._lease)) for lane in lanes]
        ended = False
        try:
            await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            ended = True
        for poll in polls:
            poll.cancel()  # what is not done yet gives back what it was about to get
        answers = await asyncio.gather(*polls, return_exceptions=True)
        messages = [message for answer in answers if not isinstance(answer, BaseException) for message in answer]
        if ended:
            if messages:
                with contextlib.suppress(TransportError):
                    await self._transport.release([(message, 0.0) for message in messages])
            raise asyncio.CancelledError
        if not messages:
            for answer in answers:
                if isinstance(answer, TransportError):
                    raise answer
        return messages

    async def _pause(self, error: Exception) -> None:
        """After a failure: longer and longer, with jitter, and one line in the log for the first and each tenth."""
        self._failures += 1
        if self._failures == 1 or self._failures % 10 == 0:
            what = "is missing" if isinstance(error, NoQueueError) else "could not be polled"
            unforeseen = None if isinstance(error, TransportError) else error
            _log.warning("the queue %s %s, trying again: %s", self._queue.name, what, error, exc_info=unforeseen)
        longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2 ** min(self._failures, 10))
        await asyncio.sleep(random.uniform(PAUSE_SECONDS_MIN, longest))  # noqa: S311 - to spread, not to be secret


class Liveness:
    """When a poll last succeeded: what tells a worker that lives from one that only runs."""

    def __init__(self) -> None:
        self._polled_at = time.monotonic()
        self.polls = 0

    def polled(self) -> None:
        self._polled_at = time.monotonic()
        self.polls += 1

    @property
    def seconds(self) -> float:
        """Since the last successful poll."""
        return time.monotonic() - self._polled_at
