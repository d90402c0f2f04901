"""A Lambda endpoint over a memory store, with two queues and some functions that nobody reaches."""

from collections.abc import AsyncIterator

import pytest

from encola.broker.broker import Broker
from encola.broker.clock import Clock
from encola.engine.queue import SECOND, Address, Settings
from encola.engine.store import Store
from encola.mappings.event import Words
from encola.mappings.functions import DeclaredFunction, Functions
from encola.mappings.manager import Mappings
from encola.protocols.aws.identity import Authenticator
from encola.protocols.lambda_api.endpoint import LambdaEndpoint
from encola.protocols.sqs.checksums import md5_of_attributes
from encola.protocols.sqs.receipts import handle_of
from encola.stores.memory import MemoryStore

from .client import ACCOUNT, OTHER_ACCOUNT, Client

FUNCTIONS = (
    DeclaredFunction(name="f", target="http://127.0.0.1:1/", account=ACCOUNT),
    DeclaredFunction(name="g", target="http://127.0.0.1:1/", account=ACCOUNT),
    DeclaredFunction(name="slow", target="http://127.0.0.1:1/", account=ACCOUNT, timeout=60),
    DeclaredFunction(name="f", target="http://127.0.0.1:1/", account=OTHER_ACCOUNT),
)
URL_PREFIXES = ("http://127.0.0.1:1/open",)


def mappings_over(broker: Broker, functions: tuple[DeclaredFunction, ...] = FUNCTIONS) -> Mappings:
    return Mappings(broker, Functions(functions, URL_PREFIXES), Words(handle_of, md5_of_attributes))


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = MemoryStore()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def broker(store: Store) -> AsyncIterator[Broker]:
    broker = Broker(store, Clock())
    await broker.open()
    for account, name in ((ACCOUNT, "work"), (ACCOUNT, "other"), (ACCOUNT, "work.fifo"), (OTHER_ACCOUNT, "work")):
        settings = Settings(lease=30 * SECOND)
        await broker.create(Address(account, name), ordered=name.endswith(".fifo"), settings=settings, tags={})
    yield broker
    await broker.close()


@pytest.fixture
async def mappings(broker: Broker) -> AsyncIterator[Mappings]:
    mappings = mappings_over(broker)
    await mappings.open([])
    yield mappings
    await mappings.stop(0)


@pytest.fixture
def endpoint(mappings: Mappings) -> LambdaEndpoint:
    """Everybody is let in; the access key names the account."""
    return LambdaEndpoint(mappings, Authenticator([], service="lambda"))


@pytest.fixture
def call(endpoint: LambdaEndpoint) -> Client:
    return Client(endpoint)


@pytest.fixture
def stranger(endpoint: LambdaEndpoint) -> Client:
    """Somebody of another account."""
    return Client(endpoint, OTHER_ACCOUNT)
