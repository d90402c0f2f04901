"""Who races for a record, who comes too late, and what a job does when its store fails in the middle."""

import asyncio
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import encola
from encola.consumers.jobstore import JobStore, JobStoreError
from encola.consumers.stores.dynamodb import DynamoDbJobStore
from encola.consumers.stores.memory import MemoryJobStore
from encola.consumers.stores.sqlite import SqliteJobStore
from encola.engine import records

from ...process import clean_environment
from ..bench import KEYS, ROOT, Queues, until, working
from .test_stores import MINUTE, claim, new_key, one

SECONDS_MAX = 30.0


@pytest.fixture(params=["sqlite", "postgres", "server", "dynamodb"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A kind of store, and where other processes find it."""
    kind = request.param
    if kind == "sqlite":
        return kind, str(tmp_path / "jobs.db")
    if kind == "postgres":
        return kind, request.getfixturevalue("postgres").new_database()
    if kind == "server":
        return kind, request.getfixturevalue("encola").url
    table, endpoint = f"jobs-{uuid.uuid4().hex[:8]}", request.getfixturevalue("dynamodb")
    first = DynamoDbJobStore(table, endpoint=endpoint, region="us-east-1")
    await first.create_table()
    await first.close()
    return kind, f"{table}@{endpoint}"


def test_of_two_processes_that_race_for_a_key_one_runs(place: tuple[str, str]) -> None:
    keys = [new_key() for _ in range(25)]
    environment = clean_environment({name.upper(): value for name, value in KEYS.items()})
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.consumers.stores.claimer", *place, name, *keys],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "other")
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    won = [process.communicate(timeout=SECONDS_MAX * 2)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(won[0] + won[1]) == sorted(f"{key} 1" for key in keys)


async def test_a_new_file_that_another_worker_makes_at_this_moment_is_waited_for(tmp_path: Path) -> None:
    """SQLite does not wait where the mode of a file changes: the second worker heard that it is locked, and ended."""
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE other (number INTEGER)")
    store = SqliteJobStore(tmp_path / "jobs.db")
    opening = asyncio.create_task(store.open())
    await asyncio.wait([opening], timeout=0.2)
    assert not opening.done()
    other.execute("COMMIT")
    await asyncio.wait_for(opening, SECONDS_MAX)
    await store.close()
    other.close()


async def test_a_heartbeat_with_an_old_fence_renews_nothing(store: JobStore) -> None:
    key = new_key()
    first = await one(store, claim(key))
    assert isinstance(first, records.Run)
    await one(store, records.Release(key, "w1", first.fence))
    second = await one(store, claim(key, "w2", lease=2 * MINUTE))
    assert isinstance(second, records.Run)
    assert second.fence > first.fence
    (before,) = await store.get([key])
    assert await one(store, records.Renew(key, "w1", first.fence, MINUTE, 0.9, "late")) == records.Lost()
    assert await one(store, records.Renew(key, "w2", first.fence, MINUTE, 0.9, "late")) == records.Lost()
    assert await one(store, records.Renew(key, "w1", second.fence, MINUTE, 0.9, "late")) == records.Lost()
    assert await store.get([key]) == [before]
    assert await one(store, records.Renew(key, "w2", second.fence, MINUTE, 0.5, "in time")) == records.Held()


class Failing(MemoryJobStore):
    """A store that fails as often as it is told to, at a kind of command: before it has done it, or after."""

    def __init__(self, kind: type[Any], *, after: bool) -> None:
        super().__init__()
        self._kind = kind
        self._after = after
        self.failures = 2

    async def apply(self, commands: Sequence[records.Command]) -> Sequence[records.Reply]:
        fails = self.failures > 0 and any(isinstance(command, self._kind) for command in commands)
        if not fails:
            return await super().apply(commands)
        self.failures -= 1
        if self._after:
            await super().apply(commands)
        raise JobStoreError("the store went away")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", [records.Claim, records.Complete, records.Fail])
async def test_when_its_store_fails_in_the_middle_a_message_comes_again(
    make_app: Callable[..., encola.App], queue: str, queues: Queues, kind: type[Any], *, after: bool
) -> None:
    """The effect may be there twice then, as without a record. The job ends; what was completed is not run again."""
    store = Failing(kind, after=after)
    app = make_app(jobs=lambda: store, lease=1.0)
    ran: list[int] = []

    @app.task(queue=queue, backoff=encola.Backoff(base=0.0))
    async def flaky() -> str:
        ran.append(1)
        await asyncio.sleep(0)
        if kind is records.Fail and len(ran) <= 1:
            raise RuntimeError("not yet")
        return "done"

    async with working(app):
        job = await flaky.asend()
        assert await job.aresult(SECONDS_MAX) == "done"
        await until(lambda: queues.held(queue) == 0, "an empty queue")
    if kind is records.Claim:
        assert len(ran) == 1
    if kind is records.Complete and after:
        assert len(ran) == 1
