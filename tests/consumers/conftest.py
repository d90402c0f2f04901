"""What the tests of the runtime share: a server, applications on it, workers in the test's loop or as processes."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import encola
from encola.testing import EncolaServer

from ..postgres import PostgresServer, programs
from .bench import Queues, WorkProcess

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _keys_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own; the keys of ``EncolaServer``."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "ENCOLA_", "BOTO")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    keys = EncolaServer().environment
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, keys[name])


@pytest.fixture(scope="session")
def house() -> Iterator[EncolaServer]:
    """One server for all tests: each has queues and applications of its own."""
    with EncolaServer() as server:
        yield server


@pytest.fixture
def queue() -> str:
    """The name of a queue that no other test has."""
    return f"jobs{next(_numbers)}"


@pytest.fixture
def make_app(house: EncolaServer, queue: str) -> Iterator[Callable[..., encola.App]]:
    """Makes applications on the server; several of one name are several processes' view of one application."""
    made: list[encola.App] = []

    def make(name: str = "", **options: Any) -> encola.App:
        app = encola.App(name or f"app-{queue}", **{"server": house.url, **options})
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


@pytest.fixture
def app(make_app: Callable[..., encola.App]) -> encola.App:
    return make_app()


@pytest.fixture
def queues(house: EncolaServer) -> Queues:
    """The server's queues, as any SQS client sees them."""
    return Queues(house.url)


@pytest.fixture
def work(house: EncolaServer, tmp_path: Path) -> Iterator[Callable[..., WorkProcess]]:
    """Starts ``encola work`` with arguments; whatever still runs at the end of the test is killed."""
    started: list[WorkProcess] = []

    def start(*arguments: str, url: str = "", **environment: str) -> WorkProcess:
        process = WorkProcess(tmp_path, url or house.url, arguments, environment, number=len(started))
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if programs() is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed, and this is CI")
        pytest.skip("PostgreSQL is not installed")
    server = PostgresServer().start()
    yield server
    server.stop()
    server.remove()
