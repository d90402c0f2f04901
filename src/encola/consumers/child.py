"""The child's side of ``processes``: the channel to the parent, and the end with it.

    child   {"ready": true}  or  {"error": {...}} if it is of no use
    parent  {"id", ...} + what the call is about
    child   {"id", "started": true}  or  {"id", "error": {...}} if it cannot begin with it
            from here on the call may have had effects
    child   {"id", "progress": [0.4, "rendering"]}  as often as it likes
    child   {"id"} + result  or  {"id", "error": {...}};  with "ends" it is of no use for another call

A frame is four bytes of length and that many bytes; a message is a header in JSON and, with calls and results, a
payload in a second frame. They go over a socket, not over the standard streams, which belong to whoever is called.

When the parent closes the channel, an idle child ends in order, and one with a call at once, with all that it has
started. When the parent dies, Linux kills the child; elsewhere the channel is closed by that.
"""

import contextlib
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
from typing import Any

ORDERLY_SECONDS_MAX = 2.0
PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""

Frames = tuple[dict[str, Any], bytes]


class Channel:
    """The socket to the parent. A thread reads it, so that its end is seen while a call runs."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._arrived: queue.SimpleQueue[Frames | None] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._owner = os.getpid()
        self._busy = True

    @property
    def is_own(self) -> bool:
        """False in a process that a call has forked."""
        return os.getpid() == self._owner

    def start(self) -> None:
        """From now on this process ends with its parent."""
        # Whoever stops a whole service signals all its processes; when this one ends is the parent's decision. A
        # handler, since to ignore the signal would be inherited by whatever the call starts.
        signal.signal(signal.SIGTERM, lambda *_: None)
        os.register_at_fork(before=_hold_back, after_in_parent=_let_through, after_in_child=self._forked)
        _end_with_parent()
        threading.Thread(target=self._read_forever, name="encola-parent", daemon=True).start()

    def next(self) -> Frames | None:
        """The next call; None when there will be none. Call it when the one before is answered."""
        self._busy = False
        found = self._arrived.get()
        self._busy = found is not None
        return found

    def send(self, header: dict[str, Any], payload: bytes | None = None) -> None:
        """Sends a message, from any thread. A process that a call forked, and that came back from it, ends here."""
        if not self.is_own:
            os._exit(0)
        # Texts of errors may hold what is no Unicode; replaced, since the parent would not take it for JSON.
        parts = [_frame(json.dumps(header, ensure_ascii=False).encode("utf-8", "replace"))]
        if payload is not None:
            parts.append(_frame(payload))
        if payload is not None or "error" in header:  # the answer: who has it may close the channel at once
            self._busy = False
        with self._sending:
            self._socket.sendall(b"".join(parts))

    def _forked(self) -> None:
        """What a call forks has no part in the channel, and can be ended as any process can."""
        with contextlib.suppress(OSError):
            os.close(self._socket.detach())
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _let_through()

    def _read_forever(self) -> None:
        try:
            with self._socket.makefile("rb") as stream:
                while True:
                    header = json.loads(_read_frame(stream))
                    self._arrived.put((header, _read_frame(stream)))
        finally:
            self._arrived.put(None)
            if not self._busy:
                time.sleep(ORDERLY_SECONDS_MAX)
            end()


def end(status: int = 0) -> None:
    """Ends this process at once; where it leads a group, with all that it has started."""
    if os.getpgrp() == os.getpid():
        with contextlib.suppress(OSError):
            os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(status)


def _end_with_parent() -> None:
    """Also when code that never comes back to Python keeps the thread from reading. Linux only."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _hold_back() -> None:
    """A SIGTERM that comes right after a fork waits until it is clear whom it ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _read_frame(stream: Any) -> bytes:
    size = int.from_bytes(_read_exactly(stream, 4), "big")
    return _read_exactly(stream, size)


def _read_exactly(stream: Any, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return bytes(data)
