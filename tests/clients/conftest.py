"""Real servers for real clients: one without credentials, one with. Tests share them; each has queues of its own."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from ..process import CREDENTIALS, KEY, SECRET, ServerProcess, client

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """It has no credentials and takes any key."""
    with ServerProcess(tmp_path_factory.mktemp("open")) as server:
        yield server


@pytest.fixture(scope="session")
def keyed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """It knows one key and verifies signatures."""
    directory = tmp_path_factory.mktemp("keyed")
    with ServerProcess(directory, environment={"ENCOLA_CREDENTIALS": CREDENTIALS}) as server:
        yield server


@pytest.fixture(params=["open", "keyed"])
def server(request: pytest.FixtureRequest) -> ServerProcess:
    """Each of the two."""
    found: ServerProcess = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def new_name() -> Callable[..., str]:
    """Names of queues that no other test has."""
    return lambda suffix="": f"q{next(_numbers)}{suffix}"


@pytest.fixture
def sqs(server: ServerProcess) -> Any:
    """A boto3 client, which fails at once where others try again."""
    return client(server.url)


@pytest.fixture
def resource(server: ServerProcess) -> Any:
    return boto3.resource(
        "sqs",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )


@pytest.fixture
def queue(sqs: Any, new_name: Callable[..., str]) -> str:
    """The URL of a fresh standard queue."""
    return str(sqs.create_queue(QueueName=new_name())["QueueUrl"])


@pytest.fixture
def fifo(sqs: Any, new_name: Callable[..., str]) -> str:
    """The URL of a fresh FIFO queue with content deduplication."""
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    return str(sqs.create_queue(QueueName=new_name(".fifo"), Attributes=attributes)["QueueUrl"])
