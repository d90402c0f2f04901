"""How many messages a worker may have: as many as it can run, and a few more only where they are over in no time.

A worker that fetches ahead keeps messages from others that are idle. Yet between the end of one job and the start of
the next lies a way to the server and back; where jobs take milliseconds, a worker without a next message at hand would
be idle half of its time. So it has at most as many waiting as it will have begun within ``AHEAD_SECONDS``.
"""

import asyncio
import time
from typing import Protocol

AHEAD_SECONDS = 0.05
SMOOTHING = 0.05


class Turn(Protocol):
    """When the function of one message may run."""

    async def begin(self) -> None:
        """Returns when it may."""
        ...

    def end(self) -> None:
        """It has ended, or will not run: somebody else may. To be called again does nothing."""
        ...


class Slots:
    """``concurrency`` jobs run at a time. ``take`` is for those who fetch; each message then has its ``SlotTurn``."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self._taken = 0
        self._seconds = 1.0  # that a job takes: a moving average, pessimistic at the start
        self._line = asyncio.Lock()
        self._first: asyncio.Future[None] | None = None  # of the line: wakes up when there may be a slot
        self.runs = asyncio.Semaphore(concurrency)
        self.busy = 0

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
        """Waits until at least one more message may be had; answers how many, which are then taken.

        Who waits stands in a line: a queue whose poll was in vain, and asks again at once, comes after the others.
        """
        async with self._line:
            while self.free <= 0:
                self._first = asyncio.get_running_loop().create_future()
                await self._first
            count = min(most, self.free)
            self._taken += count
            return count

    def give_back(self, count: int) -> None:
        """Of those that were taken: there were not so many messages, or their jobs are over."""
        self._taken -= count
        if self._first is not None and not self._first.done() and self.free > 0:
            self._first.set_result(None)

    def ran(self, seconds: float) -> None:
        """A job took so long."""
        self._seconds += SMOOTHING * (seconds - self._seconds)


class SlotTurn:
    """The turn of a message that was fetched with a slot. It waits for one of those that run as late as it can.

    So what comes before the function, such as the claim of the job's record, is done while others run.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._taken = True
        self._began: float | None = None

    async def begin(self) -> None:
        await self._slots.runs.acquire()
        self._began = time.monotonic()
        self._slots.busy += 1

    def end(self) -> None:
        if self._began is not None:
            self._slots.ran(time.monotonic() - self._began)
            self._slots.runs.release()
            self._slots.busy -= 1
            self._began = None
        if self._taken:
            self._taken = False
            self._slots.give_back(1)


class FreeTurn:
    """For those who hand over no more than may run."""

    async def begin(self) -> None:
        """At once."""

    def end(self) -> None:
        """There is nothing to let go."""
