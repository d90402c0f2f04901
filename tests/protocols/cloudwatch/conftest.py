"""A CloudWatch endpoint over queues of two accounts, at a moment that the test knows, with points that it makes up."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.broker.clock import Clock
from encola.engine.queue import DAY, MINUTE, Address, Queue, Settings
from encola.protocols.aws.identity import Authenticator
from encola.protocols.cloudwatch.endpoint import CloudWatchEndpoint
from encola.protocols.http.message import Request
from encola.stores.memory import MemoryStore

from .source import MadeUp

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
NOW_SECONDS = 1_767_323_045  # 2026-01-02T03:04:05Z
NOW = NOW_SECONDS * 1000
LAST_MINUTE = NOW - NOW % MINUTE - MINUTE
"""The last whole one."""


class StoppedClock(Clock):
    """It stands at ``at``."""

    def __init__(self) -> None:
        self.at = NOW
        super().__init__()

    def now(self) -> int:
        return self.at


class Caller:
    """Speaks JSON, for one account."""

    def __init__(self, endpoint: CloudWatchEndpoint, account: str = ACCOUNT) -> None:
        self.endpoint = endpoint
        self._scope = f"{account}/20260102/us-east-1/monitoring/aws4_request"

    async def ask(self, operation: str, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        headers = {
            "x-amz-target": f"GraniteServiceVersion20100801.{operation}",
            "authorization": f"AWS4-HMAC-SHA256 Credential={self._scope}, SignedHeaders=host, Signature=0",
        }
        response = await self.endpoint.handle(Request("POST", "/", headers, json.dumps(given).encode()))
        return response.status, json.loads(response.body)

    async def __call__(self, operation: str, **given: Any) -> dict[str, Any]:
        status, answer = await self.ask(operation, given)
        assert status == 200, answer
        return answer

    async def refusal(self, operation: str, **given: Any) -> tuple[str, str]:
        """The code, and what is said."""
        status, answer = await self.ask(operation, given)
        assert status >= 400, answer
        return answer["__type"].partition("#")[2], answer["message"]

    async def data(self, *queries: dict[str, Any], minutes: float = 5, **more: Any) -> dict[str, list[dict[str, Any]]]:
        """The results of GetMetricData for the last minutes, by Id."""
        given = {
            "StartTime": NOW_SECONDS - minutes * 60,
            "EndTime": NOW_SECONDS,
            "ScanBy": "TimestampAscending",
            **more,
        }
        results = (await self("GetMetricData", MetricDataQueries=list(queries), **given))["MetricDataResults"]
        found: dict[str, list[dict[str, Any]]] = {}
        for result in results:
            found.setdefault(result["Id"], []).append(result)
        return found

    async def values(self, *queries: dict[str, Any], **more: Any) -> dict[str, list[float]]:
        """As ``data``, the values only; each Id must have one result."""
        return {name: one["Values"] for name, (one,) in (await self.data(*queries, **more)).items()}


def metric(
    name: str = "NumberOfMessagesSent", queue: str | None = "work", namespace: str = "AWS/SQS"
) -> dict[str, Any]:
    dimensions = [{"Name": "QueueName", "Value": queue}] if queue is not None else []
    return {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}


def stat(
    query_id: str, name: str = "NumberOfMessagesSent", statistic: str = "Sum", period: int = 60, **more: Any
) -> dict[str, Any]:
    """A query for a metric of the queue ``work``; ``queue`` and ``namespace`` say otherwise."""
    of = {key: more.pop(key) for key in ("queue", "namespace") if key in more}
    inner = {"Metric": metric(name, **of), "Period": period, "Stat": statistic}
    if "unit" in more:
        inner["Unit"] = more.pop("unit")
    return {"Id": query_id, "MetricStat": inner, **more}


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def broker(clock: StoppedClock) -> AsyncIterator[Broker]:
    """Its queues were made 30 days ago."""
    store = MemoryStore()
    await store.open()
    broker = Broker(store, clock)
    await broker.open()
    clock.at -= 30 * DAY
    for account, name in ((ACCOUNT, "work"), (ACCOUNT, "other"), (OTHER_ACCOUNT, "work")):
        await broker.create(Address(account, name), ordered=False, settings=Settings(), tags={})
    clock.at = NOW
    yield broker
    await broker.close()
    await store.close()


@pytest.fixture
def work(broker: Broker) -> Queue:
    found = broker.find(Address(ACCOUNT, "work"))
    assert found is not None
    return found


@pytest.fixture
def source() -> MadeUp:
    return MadeUp()


@pytest.fixture
def endpoint(broker: Broker, source: MadeUp) -> CloudWatchEndpoint:
    """Everybody is let in; the access key names the account."""
    return CloudWatchEndpoint(broker, source, Authenticator([], service="monitoring"))


@pytest.fixture
def call(endpoint: CloudWatchEndpoint) -> Caller:
    return Caller(endpoint)


@pytest.fixture
def stranger(endpoint: CloudWatchEndpoint) -> Caller:
    """Somebody of another account."""
    return Caller(endpoint, OTHER_ACCOUNT)
