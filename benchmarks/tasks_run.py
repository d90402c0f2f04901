"""One bout of a task benchmark: a producer process, a worker that comes and goes, and the ledger of what ran.

Server, worker and producer share all cores: nobody is pinned. Each bout has a queue of its own. When it ends, the
ledger must hold each task that was sent once; else the bout is void.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.proc import family, resident_mb
from benchmarks.run import VoidRunError
from benchmarks.servers import process
from benchmarks.tasks_contestants import Contestant, Setting
from benchmarks.tasks_producer import STAMP_BYTES, Order, Sent
from benchmarks.tasks_servers import SERVER_URL, Servers

LOOK_AGAIN_SECONDS = 0.005
SILENCE_SECONDS_MAX = 60.0
"""Without any task beginning, while some are due."""

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(sys.executable).parent
MEMORY = Path("/dev/shm")
"""The ledger is no part of what is measured: in memory where the system has such a place."""

NANO = 1e-9


class Resident(NamedTuple):
    """Of a worker: the largest process, and all together, in MB."""

    largest: float
    total: float
    processes: int


class Bout:
    """Made by ``bout``. Times are nanoseconds of the clock that all processes share."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str], producer: "Producer") -> None:
        self._command = command
        self._log = log
        self._environment = environment
        self._ledger = Path(environment["BENCH_LEDGER"])
        self._producer = producer
        self.sent = 0

    def send(self, sender: str, count: int, pause: float | None = None) -> Sent:
        """Has the producer send; answers when all are durable (with ``pause``: have begun)."""
        self.sent += count
        return self._producer.carry_out(Order(sender=sender, count=count, pause=pause))

    def begin(self, sender: str, count: int) -> None:
        """As ``send``, without waiting; ``finish`` has the answer."""
        self.sent += count
        self._producer.ask(Order(sender=sender, count=count))

    def finish(self) -> Sent:
        return self._producer.answer()

    @contextmanager
    def worker(self) -> Iterator[int]:
        """A worker's pid. It is told to end by SIGTERM when the block ends."""
        with process(self._command, self._log, self._environment, core=None) as child:
            try:
                yield child.pid
                if child.poll() is not None:
                    raise VoidRunError(f"the worker ended with status {child.returncode}: {_tail(self._log)}")
            finally:
                with suppress(ProcessLookupError):
                    child.terminate()
                    child.wait(SILENCE_SECONDS_MAX)
                    os.killpg(child.pid, signal.SIGKILL)  # what a master left behind, in the session that we made

    def wait(self) -> None:
        """Until every task that was sent has begun. Raises VoidRunError."""
        begun, changed = self.begun(), time.monotonic()
        while begun < self.sent:
            time.sleep(LOOK_AGAIN_SECONDS)
            now = self.begun()
            if now != begun:
                begun, changed = now, time.monotonic()
            elif time.monotonic() - changed > SILENCE_SECONDS_MAX:
                raise VoidRunError(f"{begun} of {self.sent} tasks began, then none: {_tail(self._log)}")

    def begun(self) -> int:
        return self._ledger.stat().st_size // STAMP_BYTES

    def stamps(self) -> "array[int]":
        """When each task began, in the order of the ledger."""
        found = array("q")
        found.frombytes(self._ledger.read_bytes())
        return found

    def check(self) -> None:
        """Each task ran once. Raises VoidRunError."""
        if (ran := self.begun()) != self.sent:
            raise VoidRunError(f"{ran} tasks ran, {self.sent} were sent")


class Producer:
    """A process of ``benchmarks.tasks_producer``."""

    def __init__(self, module: str, log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.tasks_producer", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **environment},
                cwd=ROOT,
            )

    def carry_out(self, order: Order) -> Sent:
        self.ask(order)
        return self.answer()

    def ask(self, order: Order) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(msgspec.json.encode(order) + b"\n")
        self._child.stdin.flush()

    def answer(self) -> Sent:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise VoidRunError(f"the producer ended with status {self._child.wait()}: {_tail(self._log)}")
        return msgspec.json.decode(line, type=Sent)

    def close(self) -> None:
        self._child.kill()
        self._child.wait()


class Arena:
    """Where bouts are held."""

    def __init__(self, scratch: Path, servers: Servers) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="bouts-", dir=scratch))
        self._servers = servers
        self._bouts = 0

    @contextmanager
    def bout(self, contestant: Contestant, setting: Setting) -> Iterator[Bout]:
        """Raises UnavailableError, VoidRunError."""
        self._bouts += 1
        queue = f"tasks-{self._bouts}"
        environment = {
            **self._servers.environment(contestant.server),
            **dict(setting.environment),
            "BENCH_QUEUE": queue,
        }
        server = environment[SERVER_URL]
        program, *arguments = (part.format(server=server, queue=queue) for part in setting.worker)
        with ExitStack() as stack:
            memory = MEMORY if MEMORY.is_dir() else self._scratch
            ledger = stack.enter_context(tempfile.NamedTemporaryFile(prefix="bench-ledger-", dir=memory))
            environment |= {
                "BENCH_LEDGER": ledger.name,
                "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            }
            producer = Producer(contestant.module, self._scratch / f"{queue}-producer.log", environment)
            stack.callback(producer.close)
            command = [str(PROGRAMS / program), *arguments]
            bout = Bout(command, self._scratch / f"{queue}.log", environment, producer)
            yield bout
            bout.check()


def titled(contestant: Contestant) -> str:
    """With its version."""
    return contestant.name.replace(" ", f" {version(contestant.package)} ", 1)


def resident(pid: int) -> Resident:
    """Of a worker with its children."""
    sizes = [resident_mb(member) for member in family(pid)]
    return Resident(max(sizes), sum(sizes), len(sizes))


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-1500:]
