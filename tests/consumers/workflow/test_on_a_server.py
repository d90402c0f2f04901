"""Chains and groups over several workers of a real server: each has a part of them, none has them all."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

import encola

from ..bench import Queues, until, working

MakeApp = Callable[..., encola.App]
WORKERS = 3


class Part:
    """One process's view of the application."""

    def __init__(self, app: encola.App, queue: str, ran: list[Any]) -> None:
        self.app = app

        @app.task(queue=queue, retries=1, backoff=encola.Backoff(cap=0.0))
        async def double(number: int) -> int:
            ran.append(number)
            if number < 0:
                raise ValueError("a negative number")
            return 2 * number

        @app.task(queue=f"{queue}-totals")
        async def total(numbers: list[int]) -> int:
            ran.append(tuple(numbers))
            return sum(numbers)

        self.double, self.total = double, total


@pytest.fixture
def ran() -> list[Any]:
    return []


@pytest.fixture
def parts(make_app: MakeApp, queue: str, ran: list[Any]) -> list[Part]:
    return [Part(make_app(), queue, ran) for _ in range(WORKERS)]


async def test_a_group_over_several_workers_joins_once(parts: list[Part], ran: list[Any]) -> None:
    async with AsyncExitStack() as stack:
        for part in parts:
            await stack.enter_async_context(working(part.app, concurrency=4))
        part = parts[0]
        jobs = await encola.group(part.double.s(n) for n in range(200)).then(part.total.s()).asend()
        assert await jobs.aresult(timeout=60) == sum(range(0, 400, 2))
    assert ran.count(tuple(range(0, 400, 2))) == 1
    assert len(ran) == 201


async def test_many_groups_at_a_time_do_not_mix(parts: list[Part], ran: list[Any]) -> None:
    async with AsyncExitStack() as stack:
        for part in parts:
            await stack.enter_async_context(working(part.app))
        part = parts[0]
        groups = [encola.group(part.double.s(n + m) for m in range(5)).then(part.total.s()) for n in range(20)]
        sent = [await group.asend() for group in groups]
        found = [await jobs.aresult(timeout=60) for jobs in sent]
    assert found == [sum(2 * (n + m) for m in range(5)) for n in range(20)]
    assert len(ran) == 20 * 6


async def test_steps_may_be_done_by_workers_that_have_different_queues(
    parts: list[Part], ran: list[Any], queue: str, queues: Queues
) -> None:
    first, second, sender = parts
    async with (
        working(first.app, queues=[queue]),
        working(second.app, queues=[f"{queue}-totals"]),
    ):
        group = encola.group([sender.double.s(1), sender.double.s(-1)]).then(sender.total.s())
        jobs = await group.asend()
        with pytest.raises(encola.JobDeadError, match="1 of 2 members of the group failed"):
            await jobs.aresult(timeout=60)
        last = await encola.chain(sender.double.s(3), sender.double.s(), sender.double.s()).asend()
        assert await last.aresult(timeout=60) == 24
        await until(lambda: queues.held(queue) == 0, "all messages to be done")
    assert queues.counts(f"{queue}-totals") == (0, 0, 1)  # what would have ended the group in a day
