"""The brokers of the task benchmarks: Redis, RabbitMQ and encola, all durable, each on all cores and on loopback.

Redis and RabbitMQ come from the system's packages (``redis-server``, ``rabbitmq-server``). Their data is on the disk
that the benchmarks use, and every answer leaves after an fsync:

- Redis: ``appendonly yes``, ``appendfsync always``;
- RabbitMQ: durable queues, persistent messages, publishers that wait for confirms (which the clients are told);
- encola: as it is.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from benchmarks.fetch import UnavailableError
from benchmarks.servers import HOST, NotReadyError, Running, encola, free_port, listening
from benchmarks.signing import ACCESS_KEY, REGION, SECRET_KEY

RABBITMQ_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The server's own script: the one on the path changes the user and detaches."""

Environment = dict[str, str]
"""What a worker or producer is told of its server, as environment variables."""

SERVER_URL = "BENCH_SERVER"


@contextmanager
def _redis(scratch: Path) -> Iterator[Environment]:
    program, port, data = _program("redis-server"), free_port(), scratch / "redis"
    data.mkdir()
    settings = {"bind": HOST, "port": port, "dir": data, "save": "", "appendonly": "yes", "appendfsync": "always"}
    command = [program, *(part for name, value in settings.items() for part in (f"--{name}", str(value)))]
    with listening(command, port, scratch / "redis.log", core=None):
        yield {SERVER_URL: f"redis://{HOST}:{port}/0"}


@contextmanager
def _rabbitmq(scratch: Path) -> Iterator[Environment]:
    mapper, port, mapper_port, data = _program("epmd"), free_port(), free_port(), scratch / "rabbitmq"
    if not RABBITMQ_PROGRAM.exists():
        raise UnavailableError(f"needs rabbitmq-server, and there is no {RABBITMQ_PROGRAM}")
    data.mkdir()
    (data / "plugins").write_text("[].")
    environment = {
        "HOME": str(data),  # where Erlang keeps its cookie
        "ERL_EPMD_PORT": str(mapper_port),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_NODENAME": "benchmark@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_MNESIA_BASE": str(data),
        "RABBITMQ_LOG_BASE": str(data),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(data / "none"),
        "RABBITMQ_CONF_ENV_FILE": str(data / "none.sh"),
    }
    with ExitStack() as stack:
        stack.enter_context(listening([mapper], mapper_port, scratch / "epmd.log", environment, core=None))
        command = [str(RABBITMQ_PROGRAM)]
        stack.enter_context(listening(command, port, scratch / "rabbitmq.log", environment, core=None))
        yield {SERVER_URL: f"amqp://guest:guest@{HOST}:{port}/"}


@contextmanager
def _encola(scratch: Path) -> Iterator[Environment]:
    with encola(scratch / "encola", core=None) as running:
        yield encola_environment(running)


def encola_environment(running: Running) -> Environment:
    """What encola's workers and producers are told of a server that verifies signatures."""
    return {
        SERVER_URL: f"http://{HOST}:{running.port}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
    }


@contextmanager
def _none(scratch: Path) -> Iterator[Environment]:
    """For a framework that is its own broker: a file."""
    yield {SERVER_URL: str(scratch)}


SERVERS: dict[str, Callable[[Path], AbstractContextManager[Environment]]] = {
    "encola": _encola,
    "Redis": _redis,
    "RabbitMQ": _rabbitmq,
    "SQLite": _none,
}


class Servers:
    """Starts each server when it is first asked for; all end with the block."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="servers-", dir=scratch))
        self._stack = ExitStack()
        self._started: dict[str, Environment | str] = {}

    def __enter__(self) -> "Servers":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def environment(self, name: str) -> Environment:
        """Raises UnavailableError, each time for the reason of the first."""
        if name not in self._started:
            try:
                self._started[name] = self._stack.enter_context(SERVERS[name](self._scratch))
            except (UnavailableError, NotReadyError) as error:
                self._started[name] = str(error)
        started = self._started[name]
        if isinstance(started, str):
            raise UnavailableError(started)
        return started


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UnavailableError(f"needs {name}, which is not installed")
    return found
