"""Writes to the history behind the sampler's back, so that a slow disk delays no tick; and reads after what it wrote.

What the history cannot take is dropped: it is a help for people. Each cause is logged once, until it works again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from encola.engine.history import Documents, History, Resolution
from encola.engine.message import Instant
from encola.engine.store import StoreError

WAITING_MAX = 120
"""Writes that wait for the history; of more, the oldest are dropped."""

READ_PATIENCE_SECONDS = 1.0
"""A read waits no longer for the writes that were before it."""

_log = logging.getLogger("encola.history")


class Keeper:
    """See the module."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._waiting: deque[Callable[[], Awaitable[None]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._told = ""
        self.dropped = 0

    async def open(self) -> None:
        """A history that cannot be opened is tried again at each write."""
        await self._attempt(self._history.open)

    async def close(self, seconds: float) -> None:
        """Waits no longer than that for what is to be written."""
        await self.flush(seconds)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._attempt(self._history.close)

    def append(self, resolution: Resolution, at: Instant, documents: Mapping[int, bytes]) -> None:
        """Is written soon, in this order."""
        if documents:
            self._soon(lambda: self._history.append(resolution, at, documents))

    def forget(self, series: Sequence[int]) -> None:
        """As ``append``."""
        self._soon(lambda: self._history.forget(series))

    async def read(
        self, resolution: Resolution, series: Sequence[int], since: Instant, until: Instant
    ) -> Mapping[int, Documents]:
        """What was written before is in it, unless the disk is slow. Without a history: nothing."""
        await self.flush(READ_PATIENCE_SECONDS)
        try:
            return await self._history.read(resolution, series, since, until)
        except StoreError as error:
            self._tell(str(error))
            return {}

    async def flush(self, seconds: float) -> None:
        """Waits for what is to be written, but no longer than that."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)

    def _soon(self, write: Callable[[], Awaitable[None]]) -> None:
        self._waiting.append(write)
        while len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1
            self._tell("it is too slow: something of it was dropped")
        if self._task is None:
            self._task = asyncio.create_task(self._write(), name="history")

    async def _write(self) -> None:
        try:
            while self._waiting:
                if await self._attempt(self._waiting.popleft()):
                    self._told = ""
        finally:
            self._task = None

    async def _attempt(self, call: Callable[[], Awaitable[None]]) -> bool:
        try:
            await call()
        except StoreError as error:
            self._tell(str(error))
            return False
        return True

    def _tell(self, cause: str) -> None:
        if cause != self._told:
            self._told = cause
            _log.warning("the history cannot be kept or read just now: %s", cause)
