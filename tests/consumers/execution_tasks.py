"""Tasks that come in three kinds: ``name-loop``, ``name-thread``, ``name-process``."""

import functools
import os
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import encola
from encola.consumers.context import current as current

app = encola.App("execution")
left: ContextVar[str] = ContextVar("left", default="clean")


def each(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Declares all three."""

    @functools.wraps(function)
    async def on_loop(**arguments: Any) -> Any:
        return function(**arguments)

    name = function.__name__
    app.task(queue="q", name=f"{name}-loop", **options)(on_loop)
    app.task(queue="q", name=f"{name}-thread", **options)(function)
    app.task(queue="q", name=f"{name}-process", run="process", **options)(function)
    return function


@each
def where(number: int) -> list[int]:
    return [os.getpid(), threading.get_ident(), number]


@each
def fails() -> None:
    raise ValueError("no such month")


@each
def exits() -> None:
    sys.exit(7)


@each
def interrupts() -> None:
    raise KeyboardInterrupt


@each
def knows() -> list[Any]:
    encola.progress(0.5, "half")
    job = encola.current_job()
    return [job.id, job.attempt]


@each
def leaves() -> str:
    found = left.get()
    left.set("something")
    return found


@each
def slow() -> None:
    raise TimeoutError("the database is slow")


@each
def forks() -> int:
    return os.fork()


def _beat(path: str) -> None:
    with open(path, "ab", buffering=0) as beat:
        beat.write(b".")


async def endless_on_loop(path: str) -> None:
    import asyncio

    while True:
        _beat(path)
        await asyncio.sleep(0.001)


def endless(path: str) -> None:
    """Writes a sign of life again and again."""
    while True:
        _beat(path)
        time.sleep(0.001)


app.task(queue="q", name="endless-loop", timeout=0.3)(endless_on_loop)
app.task(queue="q", name="endless-thread", timeout=0.3)(endless)
app.task(queue="q", name="endless-process", timeout=0.3, run="process")(endless)
