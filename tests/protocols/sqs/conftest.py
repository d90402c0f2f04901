"""An SQS endpoint on a clock that the test turns, and callers of it.

It stands over a memory store; a module whose stories are about messages names both stores in ``STORES``.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from encola.broker.broker import Broker
from encola.engine.store import Store
from encola.protocols.aws.identity import Authenticator
from encola.protocols.sqs.desk import SqsOptions
from encola.protocols.sqs.endpoint import SqsEndpoint
from encola.stores.memory import MemoryStore
from encola.stores.sqlite import SqliteStore

from ...broker.conftest import TestClock
from .client import OTHER_ACCOUNT, Client


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store" in metafunc.fixturenames:
        metafunc.parametrize("store", getattr(metafunc.module, "STORES", ("memory",)), indirect=True)


@pytest.fixture
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
def endpoint(broker: Broker) -> SqsEndpoint:
    """Everybody is let in; the access key names the account."""
    return SqsEndpoint(broker, Authenticator([]), SqsOptions())


@pytest.fixture
def sqs(endpoint: SqsEndpoint) -> Client:
    return Client(endpoint)


@pytest.fixture
def stranger(endpoint: SqsEndpoint) -> Client:
    """Somebody of another account."""
    return Client(endpoint, account=OTHER_ACCOUNT)


@pytest.fixture
def caller(endpoint: SqsEndpoint) -> Callable[..., Client]:
    def make(**more: object) -> Client:
        return Client(endpoint, **more)  # type: ignore[arg-type]

    return make


@pytest.fixture(params=["json", "query"])
def either(request: pytest.FixtureRequest, endpoint: SqsEndpoint) -> Client:
    """A caller in each of the two wire protocols."""
    return Client(endpoint, protocol=request.param)
