"""Several worker processes, started anew when they end: after a limit of jobs or memory, a crash, or a change of the
code.

Each child is ``encola work`` itself with one process. The supervisor runs no task, so nothing that a task does can hurt
it.
"""

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Sequence

from encola.consumers.process import EXIT_CONFIGURATION, EXIT_DISMISSED, EXIT_RENEW

PAUSE_SECONDS_MIN = 0.2
PAUSE_SECONDS_MAX = 10.0
HEALTHY_SECONDS = 30.0
"""A child that lived so long and then crashed is started anew at once."""

LOOK_SECONDS = 0.1
KILL_MARGIN_SECONDS = 25.0
"""After the grace period: a child that has not ended by then is killed. It ends itself before, if it can."""

_log = logging.getLogger("encola.worker")


class _Child:
    """One place for a process, and when the next one may take it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.start_at = 0.0
        self.pause = PAUSE_SECONDS_MIN
        self.dismissed = False  # an operator has stopped it: nobody comes in its place


class Supervisor:
    """``command`` starts one worker; ``watched`` are directories whose changes restart all of them."""

    def __init__(self, command: Sequence[str], processes: int, grace: float, watched: Sequence[str] = ()) -> None:
        self._command = list(command)
        self._grace = grace
        self._watched = watched
        self._children = [_Child() for _ in range(processes)]
        self._stopping = threading.Event()
        self._changed = threading.Event()
        self._status = 0

    def run(self) -> int:
        """Supervises until SIGTERM or SIGINT. Answers the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._on_signal())
        if self._watched:
            threading.Thread(target=self._watch, name="encola-reload", daemon=True).start()
        try:
            while not self._stopping.wait(LOOK_SECONDS):
                if self._changed.is_set():
                    self._changed.clear()
                    _log.info("the code has changed: the workers are started anew")
                    self._end_all()
                    for child in self._children:
                        child.start_at, child.pause = 0.0, PAUSE_SECONDS_MIN
                for child in self._children:
                    self._look_after(child)
                if all(child.dismissed for child in self._children):
                    _log.info("all workers were stopped: there is nothing left to do")
                    break
        finally:
            self._end_all()
        return self._status

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self._terminate()  # for them it is the second, too: they end at once
        self._stopping.set()

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        process = child.process
        if process is None:
            if now >= child.start_at and not child.dismissed:
                child.process = subprocess.Popen(self._command)  # noqa: S603 - our own command line
                child.started_at = now
            return
        status = process.poll()
        if status is None:
            return
        child.process = None
        if status == EXIT_RENEW:
            child.start_at, child.pause = now, PAUSE_SECONDS_MIN
        elif status == EXIT_DISMISSED:
            child.dismissed = True
        elif status == EXIT_CONFIGURATION and not self._watched:
            self._status = status
            self._stopping.set()
        elif status == 0 and not self._watched:
            _log.info("a worker ended by itself")
            child.start_at = now + PAUSE_SECONDS_MIN
        else:
            if now - child.started_at > HEALTHY_SECONDS:
                child.pause = PAUSE_SECONDS_MIN
            _log.error("a worker ended with status %d; the next starts in %.1f s", status, child.pause)
            child.start_at = now + child.pause
            child.pause = min(PAUSE_SECONDS_MAX, child.pause * 2)

    def _end_all(self) -> None:
        """Asks all to end; kills those that do not within their grace period."""
        living = [child for child in self._children if child.process is not None]
        self._terminate()
        deadline = time.monotonic() + self._grace + KILL_MARGIN_SECONDS
        for child in living:
            process = child.process
            if process is None:
                continue
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.error("a worker did not end in time and is killed")
                process.kill()
                process.wait()
            child.process = None

    def _terminate(self) -> None:
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.terminate()

    def _watch(self) -> None:
        from watchfiles import PythonFilter, watch

        for _ in watch(*self._watched, watch_filter=PythonFilter(), stop_event=self._stopping):
            self._changed.set()
