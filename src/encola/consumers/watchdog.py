"""Tells when a task blocks the event loop: nothing else runs meanwhile, no lease is renewed, no message fetched.

A thread looks whether the loop still turns. If not, it logs where the loop's thread stands.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback

BLOCKED_SECONDS = 2.0
LOOK_SECONDS = 0.5
FRAMES_MAX = 12

_log = logging.getLogger("encola.worker")


class Watchdog:
    """Watches the running event loop between ``start`` and ``stop``."""

    def __init__(self, blocked: float = BLOCKED_SECONDS) -> None:
        self._blocked = blocked
        self._turned_at = time.monotonic()
        self._stopped = threading.Event()
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Call it in the loop that is to be watched."""
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._turn()
        threading.Thread(target=self._watch, name="encola-watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        if self._handle is not None:
            self._handle.cancel()

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        self._handle = self._loop.call_later(LOOK_SECONDS, self._turn)

    def _watch(self) -> None:
        told_of = 0.0
        while not self._stopped.wait(LOOK_SECONDS):
            turned_at = self._turned_at
            late = time.monotonic() - turned_at - LOOK_SECONDS
            if late > self._blocked and told_of != turned_at:
                told_of = turned_at
                frame = sys._current_frames().get(self._ident)
                where = "".join(traceback.format_stack(frame)[-FRAMES_MAX:]) if frame else ""
                _log.error(
                    "the event loop has been blocked for %.1f s: leases are not renewed. An async task must not block;"
                    " a plain function runs in a thread. It stands here:\n%s",
                    late,
                    where,
                )
