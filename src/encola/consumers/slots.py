"""How many messages a worker may have: as many as it can run, and a few more only where they are over in no time.

A worker that fetches ahead keeps messages from others that are idle. Yet between the end of one job and the start of
the next lies a way to the server and back; where jobs take milliseconds, a worker without a next message at hand would
be idle half of its time. So it has at most as many waiting as it will have begun within ``AHEAD_SECONDS``.
"""

import asyncio
from collections import deque

AHEAD_SECONDS = 0.05
SMOOTHING = 0.05


class Slots:
    """``concurrency`` jobs run at a time. ``take`` is for those who fetch, ``enter`` for those who run."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self._taken = 0
        self._seconds = 1.0  # that a job takes: a moving average, pessimistic at the start
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.runs = asyncio.Semaphore(concurrency)

    @property
    def ahead(self) -> int:
        """Messages that may wait for their turn."""
        if self._seconds > AHEAD_SECONDS:
            return 0
        return int(min(self.concurrency, self.concurrency * AHEAD_SECONDS / max(self._seconds, 0.001)))

    @property
    def free(self) -> int:
        return self.concurrency + self.ahead - self._taken

    async def take(self, most: int) -> int:
        """Waits until at least one more message may be had; answers how many, which are then taken."""
        while self.free <= 0:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        count = min(most, self.free)
        self._taken += count
        return count

    def give_back(self, count: int) -> None:
        """Of those that were taken: there were not so many messages, or their jobs are over."""
        self._taken -= count
        while self._waiting and self.free > 0:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    def ran(self, seconds: float) -> None:
        """A job took so long."""
        self._seconds += SMOOTHING * (seconds - self._seconds)
