"""Resources: what a task needs besides its arguments, opened once per process and closed at its end.

    def open_database() -> Iterator[Database]:
        with connect(...) as database:
            yield database

    @app.task(queue="reports")
    def report(month: str, database: Annotated[Database, Use(open_database)] = USE) -> str: ...

A provider is a function that answers the resource, a generator that yields it once and closes it after, a function that
answers a context manager; or any of these as ``async``. It is called without arguments.
"""

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import msgspec

USE: Any = None
"""The default of a parameter with ``Use``: producers leave it out."""


class Use(msgspec.Struct, frozen=True):
    """Marks a parameter, in ``Annotated``: the runtime passes what ``provider`` opened."""

    provider: Callable[[], Any]


class Resources:
    """Opens each provider at its first use, in the event loop; later uses get the same object."""

    def __init__(self) -> None:
        self._opened: dict[Callable[[], Any], asyncio.Future[Any]] = {}
        self._stack = contextlib.AsyncExitStack()

    async def get(self, provider: Callable[[], Any]) -> Any:
        """Raises what the provider raises; the next use tries again."""
        opened = self._opened.get(provider)
        if opened is None:
            opened = self._opened[provider] = asyncio.ensure_future(self._open(provider))
        try:
            return await asyncio.shield(opened)
        except BaseException:
            if opened.done() and not opened.cancelled() and opened.exception() is not None:
                self._opened.pop(provider, None)
            raise

    async def _open(self, provider: Callable[[], Any]) -> Any:
        if inspect.isasyncgenfunction(provider):
            return await self._stack.enter_async_context(contextlib.asynccontextmanager(provider)())
        if inspect.isgeneratorfunction(provider):
            return self._stack.enter_context(contextlib.contextmanager(provider)())
        made = provider()
        if inspect.isawaitable(made):
            made = await made
        if hasattr(made, "__aenter__"):
            return await self._stack.enter_async_context(made)
        if hasattr(made, "__enter__") and hasattr(made, "__exit__"):
            return self._stack.enter_context(made)
        return made

    async def close(self) -> None:
        """Closes what was opened, the last first."""
        self._opened.clear()
        await self._stack.aclose()
