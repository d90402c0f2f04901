"""One open server for the tests of pages, and a browser without a screen."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from ..process import ServerProcess, client
from .web import Web

_numbers = count(1)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Without credentials; whatever the tests do, it must log no failure."""
    with ServerProcess(tmp_path_factory.mktemp("dashboard"), "--relaxed") as process:
        yield process
        assert process.stop() == 0
        assert "Traceback" not in process.logged()


@pytest.fixture
def web(server: ServerProcess) -> Web:
    return Web(server.url)


@pytest.fixture(scope="package")
def sqs(server: ServerProcess) -> Any:
    return client(server.url)


@pytest.fixture
def name() -> str:
    """Of a queue that no other test has."""
    return f"queue{next(_numbers)}"
