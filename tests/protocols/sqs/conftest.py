"""An SQS endpoint over a memory store, on a clock that the test turns, and callers of it."""

from collections.abc import AsyncIterator, Callable

import pytest

from encola.broker.broker import Broker
from encola.protocols.aws.identity import Authenticator
from encola.protocols.sqs.desk import SqsOptions
from encola.protocols.sqs.endpoint import SqsEndpoint
from encola.stores.memory import MemoryStore

from ...broker.conftest import TestClock
from .client import OTHER_ACCOUNT, Client


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
async def broker(clock: TestClock) -> AsyncIterator[Broker]:
    broker = Broker(MemoryStore(), clock)
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
