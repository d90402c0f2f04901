"""The endpoint of records over each store, on a clock that the test turns, and callers of it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.engine.store import Store
from encola.protocols.aws.identity import Authenticator
from encola.protocols.http.message import Request
from encola.protocols.jobs.endpoint import JobsEndpoint
from encola.stores.memory import MemoryStore
from encola.stores.sqlite import SqliteStore

from ...broker.conftest import TestClock

ACCOUNT = "111122223333"


class Answer:
    """``body`` is what the JSON says."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    @property
    def told(self) -> tuple[int, str]:
        return self.status, self.body["__type"].partition("#")[2]


class Jobs:
    """A caller of one account."""

    def __init__(self, endpoint: JobsEndpoint, account: str = ACCOUNT) -> None:
        self.endpoint = endpoint
        self.account = account

    async def ask(self, operation: str, body: bytes, method: str = "POST") -> Answer:
        scope = f"{self.account}/20260101/us-east-1/sqs/aws4_request"
        headers = {
            "x-amz-target": f"EncolaJobs.{operation}",
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        response = await self.endpoint.handle(Request(method, "/", headers, body))
        told = {name.lower(): value for name, value in response.headers}
        return Answer(response.status, json.loads(response.body), told)

    async def __call__(self, operation: str, **given: Any) -> dict[str, Any]:
        answer = await self.ask(operation, json.dumps(given).encode())
        assert answer.status == 200, answer.body
        return answer.body

    async def apply(self, *commands: dict[str, Any]) -> list[dict[str, Any]]:
        return list((await self("Apply", Commands=commands))["Replies"])

    async def refusal(self, operation: str, **given: Any) -> Answer:
        answer = await self.ask(operation, json.dumps(given).encode())
        assert answer.status >= 400, answer.body
        return answer


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def broker(store: Store, clock: TestClock) -> AsyncIterator[Broker]:
    broker = Broker(store, clock)
    await broker.open()
    yield broker
    await broker.close()


@pytest.fixture
def jobs(broker: Broker) -> Jobs:
    """Everybody is let in; the access key names the account."""
    return Jobs(JobsEndpoint(broker.records, Authenticator([])))
