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
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from encola.consumers.errors import TaskExitError

USE: Any = None
"""The default of a parameter with ``Use``: producers leave it out."""


_log = logging.getLogger("encola.worker")


class Use(msgspec.Struct, frozen=True):
    """Marks a parameter, in ``Annotated``: the runtime passes what ``provider`` opened."""

    provider: Callable[[], Any]


class Resources:
    """Opens each provider at its first use, in the event loop; later uses get the same object."""

    def __init__(self) -> None:
        self._opened: dict[Callable[[], Any], asyncio.Future[Any]] = {}
        self._stacks: list[contextlib.AsyncExitStack] = []

    async def get(self, provider: Callable[[], Any]) -> Any:
        """Raises what the provider raises; the next use tries again."""
        opened = self._opened.get(provider)
        if opened is None:
            opened = self._opened[provider] = asyncio.ensure_future(self._open(provider))
        try:
            return await asyncio.shield(opened)
        except BaseException:
            failed = opened.done() and (opened.cancelled() or opened.exception() is not None)
            if failed and self._opened.get(provider) is opened:  # or another try has begun
                del self._opened[provider]
            raise

    async def _open(self, provider: Callable[[], Any]) -> Any:
        stack = contextlib.AsyncExitStack()
        try:
            resource = await self._enter(stack, provider)
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:  # sys.exit in a provider would end the worker
            raise TaskExitError(f"a resource could not be opened: {error!r}") from error
        self._stacks.append(stack)
        return resource

    async def _enter(self, stack: contextlib.AsyncExitStack, provider: Callable[[], Any]) -> Any:
        if inspect.isasyncgenfunction(provider):
            return await stack.enter_async_context(contextlib.asynccontextmanager(provider)())
        if inspect.isgeneratorfunction(provider):
            return stack.enter_context(contextlib.contextmanager(provider)())
        made = provider()
        if inspect.isawaitable(made):
            made = await made
        if hasattr(made, "__aenter__"):
            return await stack.enter_async_context(made)
        if hasattr(made, "__enter__") and hasattr(made, "__exit__"):
            return stack.enter_context(made)
        return made

    async def close(self) -> None:
        """Closes what was opened, the last first. An error of one is logged, and keeps none of the others open."""
        opening = [one for one in self._opened.values() if not one.done()]
        for one in opening:
            one.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        self._opened.clear()
        while self._stacks:
            try:
                await self._stacks.pop().aclose()
            except BaseException as error:  # such as SystemExit, of which the others know nothing
                own = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and own is not None and own.cancelling():
                    raise
                _log.exception("a resource could not be closed")
