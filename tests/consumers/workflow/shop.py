"""The application of the stories about chains and groups, and what they ask of it."""

import json
from typing import Any

import pytest

import encola
from encola.consumers.transport import Outgoing
from encola.testing import Inline

LONG = "x" * 250_000
"""A result that is just kept; five of them are more than a message may have."""


class Shop:
    """An application with the tasks that the stories need; ``ran`` is what ran, in order."""

    def __init__(self, **options: Any) -> None:
        self.app = encola.App("shop", **options)
        self.ran: list[Any] = []
        app, ran = self.app, self.ran

        @app.task(queue="numbers", retries=1)
        def add(number: int, more: int = 1) -> int:
            ran.append(f"add {number}")
            if number < 0:
                raise ValueError("a negative number")
            return number + more

        @app.task(queue="totals", retries=1)
        def total(numbers: list[int | None]) -> int:
            ran.append(numbers)
            return sum(number or 0 for number in numbers)

        @app.task(queue="texts")
        def write(letters: int) -> str:
            return LONG[:letters]

        @app.task(queue="texts")
        def read(text: Any, other: str = "") -> int:
            ran.append("read")
            return len(text) + len(other)

        self.add, self.total, self.write, self.read = add, total, write, read


def why(job: encola.Job[Any]) -> str:
    """Why the job is dead; it never ran."""
    with pytest.raises(encola.JobDeadError) as dead:
        job.result()
    assert dead.value.type == "NotRun"
    return str(dead.value)


def send_raw(run: Inline, queue: str, wish: dict[str, Any]) -> None:
    """A message that somebody else made."""
    run._loop.run_until_complete(run._transport.send(queue, [Outgoing(body=json.dumps(wish))]))
