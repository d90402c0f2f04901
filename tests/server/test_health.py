"""Health: alive is who answers, ready is who can make something durable."""

import asyncio
from collections.abc import Sequence
from http.client import HTTPConnection

import msgspec
import pytest

from encola.engine.changes import Applied, Change
from encola.engine.store import StoreFullError
from encola.protocols.http.message import Request
from encola.server import health
from encola.server.health import Health
from encola.stores.memory import MemoryStore
from encola.testing import EncolaServer


class Disk(MemoryStore):
    """A store whose writes wait for the test, and fail when it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.full = False
        self.free = asyncio.Event()
        self.free.set()

    async def apply(self, changes: Sequence[Change]) -> Sequence[Applied]:
        self.writes += 1
        await self.free.wait()
        if self.full:
            raise StoreFullError("/secret/path is full")
        return await super().apply(changes)


async def ask(health: Health, path: str = "/health") -> tuple[int, dict[str, object]]:
    response = await health.answer(Request("GET", path, {}, b""))
    return response.status, msgspec.json.decode(response.body)


async def test_each_look_writes_and_many_who_ask_share_one() -> None:
    disk = Disk()
    front = Health(disk, lambda: {"version": "1"})
    answers = await asyncio.gather(*(ask(front) for _ in range(100)))
    assert {(status, str(facts["status"])) for status, facts in answers} == {(200, "ready")}
    assert answers[0][1]["version"] == "1"
    assert disk.writes == 1


async def test_a_full_disk_is_not_ready_but_alive_and_ready_again_with_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOOK_AGAIN_SECONDS", 0.0)
    disk = Disk()
    front = Health(disk, dict)
    disk.full = True
    status, facts = await ask(front, "/health/ready")
    assert (status, facts["status"], facts["problem"]) == (503, "not ready", "the store cannot write (StoreFullError)")
    assert (await ask(front, "/health/live"))[0] == 200
    disk.full = False
    assert (await ask(front, "/health/ready"))[0] == 200


async def test_a_disk_that_hangs_is_not_ready_in_time_and_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOOK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(health, "LOOK_SECONDS_MAX", 0.01)
    disk = Disk()
    disk.free.clear()
    front = Health(disk, dict)
    for _ in range(3):
        status, facts = await ask(front)
        assert (status, facts["status"]) == (503, "not ready")
    assert (await ask(front, "/health/live"))[0] == 200
    assert disk.writes == 1
    disk.free.set()
    await asyncio.sleep(0)
    assert (await ask(front))[0] == 200


async def test_who_is_stopping_is_not_ready() -> None:
    front = Health(Disk(), dict)
    front.stopping = True
    status, facts = await ask(front)
    assert (status, facts["problem"]) == (503, "the server is stopping")


def test_a_real_server_tells_its_health_without_a_key() -> None:
    with EncolaServer() as server:
        connection = HTTPConnection(server.url.removeprefix("http://"), timeout=10)
        for path in ("/health", "/health/live", "/health/ready"):
            connection.request("GET", path)
            answer = connection.getresponse()
            facts = msgspec.json.decode(answer.read(), type=dict[str, object])
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            assert facts["connections"] == 1
        connection.request("HEAD", "/health")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        connection.close()
