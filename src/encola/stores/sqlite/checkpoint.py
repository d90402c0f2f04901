"""Checkpoints: the log is copied into the database file, nearly all of it while transactions go on.

A log of ``LOG_PAGES`` is copied in two goes. The first runs beside everything else, in a thread and on a connection of
its own. What was appended meanwhile is little: the second go copies that between two transactions, after which the
next one writes from the beginning of the log. Where a long read (a backup) holds the log, it grows until that ends.
"""

import queue
import threading
from collections.abc import Callable

import apsw

LOG_PAGES = 4096
"""The log is copied when it is this long (32 MiB), and again after as many pages if it could not begin anew."""

LOG_PAGES_AHEAD_MAX = 3 * LOG_PAGES
"""Transactions that are so far ahead of the first go wait for it."""

RETRY_PAGES = 256  # after a failure, as that of a full disk


class Checkpointer:
    """Belongs to the thread that commits; ``on_error`` is called in either thread."""

    def __init__(
        self, writer: apsw.Connection, connection: apsw.Connection, on_error: Callable[[Exception], None]
    ) -> None:
        self._writer = writer
        self._connection = connection
        self._on_error = on_error
        self._pages = 0
        self._due = LOG_PAGES
        self._copied = 0  # pages, by a first go that is over
        self._resting = threading.Event()
        self._resting.set()
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        writer.set_wal_hook(self._note)
        self._thread = threading.Thread(target=self._copy_forever, name="encola-checkpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Waits for a copy under way."""
        self._wanted.put(False)
        self._thread.join()

    def _note(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def wants_rest(self) -> bool:
        """Asked after each COMMIT: is ``copy_rest`` to be called before the next transaction?"""
        pages = self._pages
        if pages < LOG_PAGES:
            self._due, self._copied = LOG_PAGES, 0  # the log has begun anew
            return False
        if pages < self._due:
            return False
        if self._copied:
            return True
        if self._resting.is_set():
            self._resting.clear()
            self._wanted.put(True)
        return pages >= self._due + LOG_PAGES_AHEAD_MAX

    def copy_rest(self) -> None:
        """The second go, in the thread that commits."""
        self._resting.wait()
        self._copied = 0
        self._due = self._pages + (LOG_PAGES if self._copy(self._writer) else RETRY_PAGES)

    def _copy_forever(self) -> None:
        while self._wanted.get():
            copied = self._copy(self._connection)
            if copied:
                self._copied = copied
            else:
                self._due = self._pages + RETRY_PAGES
            self._resting.set()

    def _copy(self, connection: apsw.Connection) -> int:
        """How many pages of the log are in the database file now; 0 when it failed."""
        try:
            return max(1, connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)[1])
        except Exception as error:
            self._on_error(error)
            return 0
