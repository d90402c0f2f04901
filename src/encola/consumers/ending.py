"""The end of a process that runs what others wrote: it comes, whatever a thread does.

At its end Python waits for every thread that is no daemon, for ever: also for one that a task left behind, and with no
signal handler left that could cut it short. So a process that has done its work has some seconds to end by itself, as
any program does; then the handlers of ``atexit`` are given theirs, and the process is ended.
"""

import atexit
import contextlib
import faulthandler
import logging
import os
import sys
import threading

THREADS_SECONDS_MAX = 2.0
"""For threads that are no daemons to end."""

HANDLERS_SECONDS_MAX = 3.0
"""For what the application left to ``atexit``, and for output that is not written yet."""

_log = logging.getLogger("encola.worker")


def end_in_time(status: int) -> None:
    """From now on this process ends by itself within some seconds, or is ended with ``status``. Once."""
    if any(thread.name == _End.NAME for thread in threading.enumerate()):
        return
    _End(status).start()


def end_after(seconds: float) -> None:
    """A process that still runs after so long ends with status 1 and the stacks of its threads.

    Needs nothing of the interpreter, which a loop or a lock may have for itself for ever.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)


class _End(threading.Thread):
    NAME = "encola-end"

    def __init__(self, status: int) -> None:
        super().__init__(name=self.NAME, daemon=True)
        self._status = status
        self._threads_ended = threading.Event()
        self._out_of_time = threading.Event()
        # Made now: an interpreter that ends starts no threads.
        self._last_words = threading.Thread(target=self._say_last_words, name=f"{self.NAME}-words", daemon=True)

    def start(self) -> None:
        atexit.register(self._threads_ended.set)  # the last that was registered is called first
        self._last_words.start()
        super().start()

    def run(self) -> None:
        if not self._threads_ended.wait(THREADS_SECONDS_MAX):
            self._out_of_time.set()
        self._last_words.join(HANDLERS_SECONDS_MAX)
        os._exit(self._status)

    def _say_last_words(self) -> None:
        """In a thread of its own: a thread that does not end may hold the lock of a log or a stream."""
        self._out_of_time.wait()
        main = threading.main_thread()
        left = [one.name for one in threading.enumerate() if not one.daemon and one is not main]
        _log.warning("threads do not end, and are left: %s", ", ".join(left))
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
