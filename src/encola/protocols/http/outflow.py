"""A body that goes on: pieces from a stream to a connection, as fast as the client reads.

The stream is driven by one task. Whatever ends it (its own end, an error, a client that left, a server that stops),
the stream is closed, so that what it holds is let go.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

from encola.protocols.http.codec import LAST_CHUNK, chunk


class Outflow:
    """``done(error)`` is called once, when the stream is closed: with None if it came to its own end, or was told to
    end by ``cancel``."""

    def __init__(
        self,
        stream: AsyncGenerator[bytes, None],
        transport: asyncio.Transport,
        done: Callable[[BaseException | None], None],
    ) -> None:
        self._stream = stream
        self._transport = transport
        self._done = done
        self._open = asyncio.Event()
        self._open.set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to send."""
        self._task = asyncio.ensure_future(self._flow())
        self._task.add_done_callback(self._ended)

    def pause(self) -> None:
        """The client does not read: no further piece until ``resume``."""
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def cancel(self) -> None:
        """Ends it now."""
        if self._task is None:  # never started
            self._task = asyncio.ensure_future(self._stream.aclose())
            self._task.add_done_callback(self._ended)
        else:
            self._task.cancel()

    async def _flow(self) -> None:
        try:
            async for piece in self._stream:
                if self._transport.is_closing():
                    return
                self._transport.write(chunk(piece))
                await self._open.wait()
            self._transport.write(LAST_CHUNK)
        finally:
            await self._stream.aclose()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._done(None if task.cancelled() else task.exception())
