"""pytest fixtures for code that uses SQS: there as soon as encola is installed.

    def test_it(encola_url): ...            # a fresh, empty server for this test
    def test_it(encola_server): ...         # the same, with keys and helpers (encola.testing.EncolaServer)
    def test_it(encola_environment): ...    # the same, and AWS SDKs without any argument talk to it

``@pytest.mark.encola(queues=["orders", "orders.fifo"])`` makes queues first.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # every pytest run imports this file: what it costs, all pay
    from encola.testing import EncolaServer


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "encola(queues, strict): how the encola_server of this test is to be")


@pytest.fixture
def encola_server(request: pytest.FixtureRequest) -> Iterator["EncolaServer"]:
    """A server for this test alone."""
    from encola.testing import EncolaServer

    marker = request.node.get_closest_marker("encola")
    try:
        server = EncolaServer(**(marker.kwargs if marker else {})).start()
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"@pytest.mark.encola of {request.node.nodeid}: {error}") from None
    yield server
    server.stop()


@pytest.fixture
def encola_url(encola_server: "EncolaServer") -> str:
    """The URL of a server for this test alone."""
    return encola_server.url


@pytest.fixture
def encola_environment(encola_server: "EncolaServer", monkeypatch: pytest.MonkeyPatch) -> "EncolaServer":
    """A server for this test alone, to which AWS SDKs and tools are led by environment variables."""
    for name, value in encola_server.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    return encola_server
