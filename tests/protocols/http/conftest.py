"""A real server with short patience and small limits, shared by the tests that abuse it."""

from collections.abc import Iterator

import pytest

from ...process import ServerProcess

LIMITS = {
    "HEADER_SECONDS_MAX": "0.6",
    "BODY_SECONDS_MAX": "0.6",
    "BODY_BYTES_PER_SECOND_MIN": "1000",
    "IDLE_SECONDS_MAX": "2",
    "WRITE_SECONDS_MAX": "1",
    "LINGER_SECONDS_MAX": "0.5",
    "SWEEP_SECONDS": "0.1",
    "BODY_BYTES_MAX": "2000000",
}


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """After the tests it must still be well, and must have logged no failure."""
    variables = {f"ENCOLA_LIMITS__{name}": value for name, value in LIMITS.items()}
    variables["ENCOLA_QUEUES"] = '[{"name": "work"}]'
    flags = ("--store", "memory", "--relaxed")  # so that tests can purge as often as they like
    with ServerProcess(tmp_path_factory.mktemp("impatient"), *flags, environment=variables) as server:
        yield server
        assert server.stop() == 0
        for word in ("Traceback", "error", "critical", "Exception"):
            assert word not in server.logged()


@pytest.fixture
def port(impatient: ServerProcess) -> int:
    return impatient.port
