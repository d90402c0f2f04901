"""A connection for code that is not asynchronous: an event loop in a thread of its own, made at first use.

A process that forks (a pre-forking web server) gets a new one in each child.
"""

import asyncio
import concurrent.futures
import ctypes
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from encola.consumers.connection import Connection

Result = TypeVar("Result")

STOP_SECONDS_MAX = 10.0
ASYNC_HERE = "this code runs in the event loop that would have to do it: await asend(), aresult() ... instead"


class Bridge:
    """``connect`` makes a connection that is not open yet."""

    waits = True
    """May who waits for a result hope that somebody works meanwhile?"""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connection: asyncio.Task[Connection] | None = None
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        """The child has neither the thread nor a right to its connections; the lock may have been held at the fork."""
        self._lock = threading.Lock()
        for inherited in (self._loop, self._thread, self._connection):
            # For ever: were it collected, its sockets would be taken off the epoll object that the child shares with
            # its parent, whose own connections would hear nothing any more.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
        self._loop = self._thread = self._connection = None

    def now(self) -> datetime:
        """What time it is for who sends."""
        return datetime.now(UTC)

    def run(self, work: Coroutine[Any, Any, Result]) -> "concurrent.futures.Future[Result]":
        """Runs a coroutine in the bridge's loop. The future raises what it raises.

        Raises RuntimeError in that loop itself: who waits for the future there would wait for ever.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(ASYNC_HERE)
        return asyncio.run_coroutine_threadsafe(work, self._started())

    def is_running_in(self, loop: asyncio.AbstractEventLoop) -> bool:
        return loop is self._loop

    async def use(self, use: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Runs ``use`` with the open connection. Call it in the bridge's loop. Raises what ``use`` raises."""
        if self._connection is None:
            self._connection = asyncio.ensure_future(self._open())
        opening = self._connection
        try:
            connection = await asyncio.shield(opening)
        except Exception:
            if self._connection is opening:  # the next one tries again
                self._connection = None
            raise
        return await use(connection)

    async def _open(self) -> Connection:
        connection = self._connect()
        await connection.open()
        return connection

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name="encola-bridge", daemon=True)
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """Closes the connection and ends the thread. The bridge can be used again."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), loop).result(STOP_SECONDS_MAX)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_SECONDS_MAX)

    def _close(self) -> Coroutine[Any, Any, None]:
        opened, self._connection = self._connection, None

        async def close() -> None:
            if opened is not None and not opened.cancelled():
                await (await opened).close()

        return close()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
