"""Every store of records, open and empty, one test after the other."""

import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from encola.consumers.jobstore import JobStore
from encola.consumers.stores.dynamodb import DynamoDbJobStore
from encola.consumers.stores.memory import MemoryJobStore
from encola.consumers.stores.postgres import PostgresJobStore
from encola.consumers.stores.sqlite import SqliteJobStore
from encola.testing import EncolaServer

KINDS = ("memory", "sqlite", "server", "postgres", "dynamodb")

Make = Callable[[], JobStore]
"""Makes another store over the same records, as another process would."""


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[str]:
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            break
    yield found.group() if found else ""
    process.terminate()
    process.wait()
    process.stderr.close()


@pytest.fixture(scope="session")
def encola() -> Iterator[EncolaServer]:
    with EncolaServer() as server:
        yield server


@pytest.fixture(params=KINDS)
async def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    kind = request.param
    if kind == "memory":
        store = MemoryJobStore()
        return lambda: store
    if kind == "sqlite":
        return lambda: SqliteJobStore(tmp_path / "jobs.db")
    if kind == "postgres":
        conninfo = request.getfixturevalue("postgres").new_database()
        return lambda: PostgresJobStore(conninfo)
    if kind == "server":
        server: EncolaServer = request.getfixturevalue("encola")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        from encola.consumers.sqs.client import ServiceClient
        from encola.consumers.stores.server import ServerJobStore

        return lambda: ServerJobStore(ServiceClient(server.url))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    table = f"jobs-{uuid.uuid4().hex[:8]}"
    endpoint = request.getfixturevalue("dynamodb")
    first = DynamoDbJobStore(table, endpoint=endpoint, region="us-east-1")
    await first.create_table()
    await first.close()
    return lambda: DynamoDbJobStore(table, endpoint=endpoint, region="us-east-1")


@pytest.fixture
async def store(make: Make) -> AsyncIterator[JobStore]:
    one = make()
    await one.open()
    yield one
    await one.close()
