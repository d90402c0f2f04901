"""Batch tasks: a function that gets many items at once, which smooths writes into a database."""

import inspect
import typing
from collections import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from encola.consumers.errors import ConfigurationError
from encola.consumers.options import TaskOptions, is_number, is_whole
from encola.consumers.payload import Payload
from encola.consumers.task import Task

if TYPE_CHECKING:
    from encola.consumers.app import App

SIZE_MAX = 10_000
WINDOW_MAX = 300.0
ITEM = "item"
LISTS = (Any, list, abc.Sequence, abc.Collection, abc.Iterable)
"""What the parameter may be said to be: it gets a list."""


class BatchTask(Task[Any, Any]):
    """Made by ``App.batch``: ``send(item)`` asks for one; the function gets a list of them."""

    def __init__(
        self, app: "App", function: Callable[..., Any], options: TaskOptions, size: int, window: float
    ) -> None:
        """Raises ConfigurationError."""
        if not (is_whole(size) and 1 <= size <= SIZE_MAX):
            raise ConfigurationError(f"batch task {options.name}: the size is between 1 and {SIZE_MAX}, a whole number")
        if not (is_number(window) and 0 <= window <= WINDOW_MAX):
            raise ConfigurationError(f"batch task {options.name}: the window is between 0 and {WINDOW_MAX:.0f} s")
        super().__init__(app, function, options)
        self.size = size
        self.window = window
        whole = self.payload
        if len(whole.names) != 1:
            raise ConfigurationError(f"batch task {options.name}: the function takes one list of items")
        self.payload = _of_item(options.name, function, whole.names[0])
        self.payload.uses = whole.uses
        self.list_name = whole.names[0]


def _of_item(name: str, function: Callable[..., Any], parameter: str) -> Payload:
    """The payload of one message: what the list's annotation says of its items."""
    hint = typing.get_type_hints(function, include_extras=True).get(parameter, list[Any])
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if (typing.get_origin(hint) or hint) not in LISTS:
        raise ConfigurationError(f"batch task {name}: {parameter} is a list of items, not {hint!r}")
    arguments = typing.get_args(hint)

    def one(item: Any) -> None: ...

    one.__annotations__ = {ITEM: arguments[0] if arguments else Any}
    one.__qualname__ = function.__qualname__
    one.__signature__ = inspect.signature(one)  # type: ignore[attr-defined]
    return Payload(one)
