"""Hooks around the sending and the running of tasks."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from encola.consumers.context import CurrentJob


class Middleware:
    """Override what you need. The application's list is nested: the first is the outermost."""

    def sending(self, task: str, job: str, attributes: dict[str, str]) -> None:
        """A message is about to be sent; ``attributes`` may be added to (text; ten in all at most)."""

    async def running(
        self, job: CurrentJob, attributes: Mapping[str, str], call_next: Callable[[], Awaitable[Any]]
    ) -> Any:
        """An attempt is about to run: ``return await call_next()``, and whatever is to be done before and after.

        What the task raises comes through here; what is raised here counts as raised by the task.
        """
        return await call_next()
