"""Runs a coroutine without a task: its first step at once, each further one when what it waits for is done.

Most requests wait exactly once, for their commit. A task would start them one turn of the loop later and cost a third
of what parsing the request costs. This driver does what a task does for a coroutine that awaits futures, and no more:
there is no ``current_task()``, so a handler that needs one (``asyncio.timeout``, ``TaskGroup``) starts a task itself.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Errand(Generic[Result]):
    """``done(result, error)`` is called once: with the result, or with the exception that ended the coroutine."""

    __slots__ = ("_cancelled", "_coroutine", "_done", "_future")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Result],
        done: Callable[[Result | None, BaseException | None], None],
    ) -> None:
        self._coroutine = coroutine
        self._done = done
        self._future: asyncio.Future[Any] | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """Raises CancelledError in the coroutine, at what it waits for."""
        self._cancelled = True
        if self._future is not None:
            self._future.cancel()

    def step(self, future: "asyncio.Future[Any] | None" = None) -> None:
        """Goes on with the coroutine: called once to start it, then by what it waits for."""
        self._future = None
        try:
            if self._cancelled:
                self._cancelled = False  # once is enough: what it awaits while it cleans up is left alone
                by_future = future is not None and future.cancelled()
                waits_for = self._coroutine.send(None) if by_future else self._coroutine.throw(asyncio.CancelledError())
            else:
                waits_for = self._coroutine.send(None)
        except StopIteration as stop:
            self._done(stop.value, None)
        except (Exception, asyncio.CancelledError) as error:
            self._done(None, error)
        else:
            if waits_for is None:  # asyncio.sleep(0): just another turn
                asyncio.get_running_loop().call_soon(self.step, None)
                return
            waits_for._asyncio_future_blocking = False  # the handshake of Future.__await__ with its driver
            self._future = waits_for
            waits_for.add_done_callback(self.step)
