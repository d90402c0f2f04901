"""Both kinds of service: ours, and a foreign one. Tests share them; each has queues of its own."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from encola.consumers.sqs.transport import SqsTransport
from encola.testing import EncolaServer

from .services import moto

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def encola_url() -> Iterator[str]:
    with EncolaServer() as server:
        yield server.url


@pytest.fixture(scope="session")
def moto_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("moto") / "log") as url:
        yield url


@pytest.fixture(params=["encola", "moto"])
def url(request: pytest.FixtureRequest) -> str:
    """Of each of the two."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
async def transport(url: str) -> AsyncIterator[SqsTransport]:
    """An open one to each of the two."""
    transport = SqsTransport(url)
    await transport.open()
    yield transport
    await transport.close()


@pytest.fixture
async def encola(encola_url: str) -> AsyncIterator[SqsTransport]:
    transport = SqsTransport(encola_url)
    await transport.open()
    yield transport
    await transport.close()


@pytest.fixture
async def foreign(moto_url: str) -> AsyncIterator[SqsTransport]:
    transport = SqsTransport(moto_url)
    await transport.open()
    yield transport
    await transport.close()


@pytest.fixture
def new_name() -> Callable[..., str]:
    """Names of queues that no other test has."""
    return lambda suffix="": f"q{next(_numbers)}{suffix}"
