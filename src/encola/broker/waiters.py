"""Parked receives: who waits for messages of which queue, and what wakes them.

A waiter is woken by a commit that made a message ready (``Store.watch``), by a timer when the queue's next
delayed or leased message comes due, or by the end of its own patience. The first to come is the first to be
woken. One wake-up wakes one waiter, and a waiter that found something wakes two more, since there may be more
where that came from: a lone message disturbs one poll, not a thousand, and a burst wakes all within a few commits.
"""

import asyncio
from collections import deque

from encola.broker.clock import Clock
from encola.engine.changes import Wakeup
from encola.engine.message import Instant, QueueId

WOKEN_BY_SUCCESS = 2


class Waiter:
    """One parked receive; ``woken`` is done as soon as it should look again."""

    __slots__ = ("queue", "woken")

    def __init__(self, queue: QueueId, woken: "asyncio.Future[None]") -> None:
        self.queue = queue
        self.woken = woken


class Waiters:
    """See the module. Belongs to one event loop, as all of the broker does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parked: dict[QueueId, deque[Waiter]] = {}
        self._timers: dict[QueueId, tuple[Instant, asyncio.TimerHandle]] = {}
        self.closed = False

    def __len__(self) -> int:
        return sum(map(len, self._parked.values()))

    def by_queue(self) -> dict[QueueId, int]:
        """How many wait, for each queue for which somebody does."""
        return {queue: len(parked) for queue, parked in self._parked.items()}

    def park(self, queue: QueueId) -> Waiter:
        """Registers a waiter. It must look once more after this call and before it waits, or it may miss a commit."""
        waiter = Waiter(queue, asyncio.get_running_loop().create_future())
        if self.closed:
            waiter.woken.set_result(None)
        self._parked.setdefault(queue, deque()).append(waiter)
        return waiter

    def again(self, waiter: Waiter) -> None:
        """Makes a woken waiter wait anew, at its old place if nobody else took it."""
        if waiter.woken.done() and not self.closed:
            waiter.woken = asyncio.get_running_loop().create_future()

    def leave(self, waiter: Waiter) -> None:
        """Forgets a waiter; a wake-up that it received but did not use is passed on."""
        parked = self._parked.get(waiter.queue)
        if parked is None:
            return
        try:
            parked.remove(waiter)
        except ValueError:
            return
        if parked:
            if waiter.woken.done():
                self.wake(waiter.queue, 1)
            return
        del self._parked[waiter.queue]
        timer = self._timers.pop(waiter.queue, None)
        if timer is not None:
            timer[1].cancel()

    def wake(self, queue: QueueId, count: int = 1) -> None:
        """Wakes the ``count`` waiters of a queue that came first and still sleep."""
        for waiter in self._parked.get(queue, ()):
            if count <= 0:
                return
            if not waiter.woken.done():
                waiter.woken.set_result(None)
                count -= 1

    def wake_all(self, queue: QueueId) -> None:
        self.wake(queue, len(self._parked.get(queue, ())))

    def on_wakeup(self, wakeup: Wakeup) -> None:
        """A commit made messages of a queue ready now, or at ``wakeup.at``."""
        if wakeup.queue not in self._parked:
            return
        if wakeup.at <= self._clock.now():
            self.wake(wakeup.queue)
        else:
            self.wake_at(wakeup.queue, wakeup.at)

    def wake_at(self, queue: QueueId, at: Instant) -> None:
        """Sees to it that a waiter of ``queue`` is woken at ``at``, or before by another cause."""
        if queue not in self._parked:
            return
        timer = self._timers.get(queue)
        if timer is not None:
            if timer[0] <= at:
                return
            timer[1].cancel()
        # One millisecond late rather than early: a claim just before the moment would find nothing.
        seconds = max(0, at - self._clock.now() + 1) / 1000
        handle = asyncio.get_running_loop().call_later(seconds, self._due, queue)
        self._timers[queue] = (at, handle)

    def _due(self, queue: QueueId) -> None:
        self._timers.pop(queue, None)
        self.wake(queue)

    def close(self) -> None:
        """Wakes everybody for good."""
        self.closed = True
        for queue in list(self._parked):
            self.wake_all(queue)
        for _, handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
