"""What is done while nobody waits for it: retention, ended deduplication windows, purged and dropped storage."""

import asyncio
import contextlib
import logging

from encola.broker.clock import Clock
from encola.broker.registry import Registry
from encola.engine.changes import Sweep, Swept
from encola.engine.store import Store, StoreError

PAUSE_SECONDS = 5.0
STEP_ROWS = 500
"""Rows freed in one transaction: small, so that nobody's message waits long behind a sweep."""

BUSY_PAUSE_SECONDS = 0.01

_log = logging.getLogger("encola.chores")


class Chores:
    """One task that sweeps: every ``PAUSE_SECONDS``, and without a pause while there is more to free."""

    def __init__(self, store: Store, clock: Clock, registry: Registry) -> None:
        self._store = store
        self._clock = clock
        self._registry = registry
        self._task: asyncio.Task[None] | None = None
        self._soon = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="chores")

    def soon(self) -> None:
        """There is something to free: do not wait for the next round."""
        self._soon.set()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._soon.clear()
            more = False
            try:
                more = await self.sweep()
            except StoreError as error:
                _log.warning("sweep put off: %s", type(error).__name__)
            # Not wait_for: before Python 3.12 it can swallow a cancellation that comes with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BUSY_PAUSE_SECONDS if more else PAUSE_SECONDS):
                    await self._soon.wait()

    async def sweep(self) -> bool:
        """One step; answers whether there is more to do now."""
        now = self._clock.now()
        sent_before = {queue.id: now - queue.settings.retention for queue in self._registry.all()}
        (swept,) = await self._store.apply([Sweep(now, sent_before, STEP_ROWS)])
        return isinstance(swept, Swept) and swept.more
