"""kill -9 of a real server under load, again and again: what it acknowledged holds, and nothing else has changed."""

import asyncio
import random
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, HTTPClientError

from encola.stores.sqlite.check import check

from ..process import ServerProcess, client
from .server_load import Orders, Poison, Work
from .server_wire import LostError, Wire

pytestmark = [pytest.mark.crash, pytest.mark.slow]

ROUNDS = 25
SEED = 20240607


async def until_lost(port: int, story: Any, *arguments: Any) -> None:
    """Goes on with a story on a connection of its own until the server is gone."""
    with suppress(LostError):
        await story(await Wire.open(port), *arguments)


def boto_until_lost(url: str, work: Work) -> None:
    sqs = client(url)
    with suppress(HTTPClientError, EndpointConnectionError):
        work.boto(sqs)


async def one_round(server: ServerProcess, chance: random.Random, work: Work, orders: Orders, poison: Poison) -> None:
    port = server.port
    groups = range(orders.GROUPS)
    half = orders.GROUPS // 2
    stories: list[Coroutine[Any, Any, None]] = [
        *(until_lost(port, work.produce) for _ in range(3)),
        *(until_lost(port, work.consume) for _ in range(3)),
        until_lost(port, orders.produce, groups[:half]),
        until_lost(port, orders.produce, groups[half:]),
        *(until_lost(port, orders.consume) for _ in range(3)),
        *(until_lost(port, poison.suffer) for _ in range(2)),
        *(asyncio.to_thread(boto_until_lost, server.url, work) for _ in range(2)),
    ]
    tasks = [asyncio.create_task(story) for story in stories]
    await asyncio.sleep(chance.uniform(0.05, 0.7))
    server.kill()
    await asyncio.gather(*tasks)


async def story_of_kills(server: ServerProcess, chance: random.Random) -> tuple[Work, Orders, Poison]:
    work, orders, poison = Work(chance), Orders(chance), Poison(chance)
    wire = await Wire.open(server.port)
    for story in (work, orders, poison):
        await story.set_up(wire)
    for _ in range(ROUNDS):
        await one_round(server, chance, work, orders, poison)
        server.start()
        wire = await Wire.open(server.port)
        for story in (work, orders, poison):
            await story.check(wire)
        await wire.close()
    wire = await Wire.open(server.port)
    end = time.monotonic() + 40
    task: dict[str, Any] = {"Status": "RUNNING"}
    while task["Status"] != "COMPLETED":  # the task that was cut off so often ends after all
        assert time.monotonic() < end, task
        await asyncio.sleep(0.2)
        (task,) = (await wire.call("ListMessageMoveTasks", SourceArn=f"{poison.ARN}dead"))["Results"]
    await poison.check_at_rest(wire)
    return work, orders, poison


@pytest.mark.timeout(240)
def test_what_was_acknowledged_survives_kill_9_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with ServerProcess(tmp_path) as server:
        work, orders, poison = asyncio.run(story_of_kills(server, chance))
        assert server.stop() == 0
        assert "Traceback" not in server.logged()
    assert check(server.data) == []
    # Then there was something to lose.
    assert len(work.sent) > 20 * ROUNDS
    assert len(work.deleted) > 10 * ROUNDS
    assert len(orders.sent) > 5 * ROUNDS
    assert len(poison.sent) > 2 * ROUNDS
    told = f"{len(work.sent)} sends, {len(work.deleted)} deletes, {len(orders.sent)} in order, {len(poison.sent)} dead"
    print(f"{ROUNDS} kills; acknowledged: {told}")
