"""Server processes to measure: started on the servers' core (or all), ready on return, ended after the block."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.proc import SERVER_CORE, pin
from benchmarks.signing import ACCESS_KEY, SECRET_KEY
from benchmarks.wire import Control

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
LOOK_AGAIN_SECONDS = 0.001
HOST = "127.0.0.1"
CONFIG = f"""
[[credentials]]
access_key = "{ACCESS_KEY}"
secret_key = "{SECRET_KEY}"
"""


class NotReadyError(Exception):
    """A server did not start, or not in time."""


class Running(NamedTuple):
    """A server that answers. ``ready_seconds`` is from its start as a process until then."""

    port: int
    pid: int
    ready_seconds: float

    def control(self) -> Control:
        return Control(HOST, self.port)

    def queue(self, name: str, **attributes: str) -> str:
        """Creates a queue; answers its URL."""
        control = self.control()
        try:
            fields = {"Attributes": attributes} if attributes else {}
            return str(control.call("CreateQueue", QueueName=name, **fields)["QueueUrl"])
        finally:
            control.close()


@contextmanager
def process(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, core: int | None = SERVER_CORE
) -> Iterator[subprocess.Popen[bytes]]:
    """A child on one core (None: on all), its output in ``log``; terminated at the end, then killed if need be."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        if core is not None:
            pin(core, child.pid)  # before it has threads
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextmanager
def encola(data: Path, core: int | None = SERVER_CORE) -> Iterator[Running]:
    """Encola on its SQLite store in ``data``: an fsync a commit; credentials declared, so signatures are verified."""
    config, ready, log = data.with_suffix(".toml"), data.with_suffix(".ready"), data.with_suffix(".log")
    config.write_text(CONFIG)
    ready.unlink(missing_ok=True)
    command = [str(Path(sys.executable).with_name("encola")), "serve", "--data", str(data), "--port", "0"]
    begun = time.perf_counter()
    with process([*command, "--config", str(config), "--ready-file", str(ready)], log, core=core) as child:
        deadline = begun + READY_SECONDS_MAX
        while not ready.exists():
            _give_up_if_dead(child, log, deadline)
            time.sleep(LOOK_AGAIN_SECONDS)
        seconds = time.perf_counter() - begun
        yield Running(int(ready.read_text().rpartition(":")[2]), child.pid, seconds)


@contextmanager
def ceiling(scratch: Path) -> Iterator[Running]:
    """The bare server whose rate is C."""
    port = free_port()
    with listening([sys.executable, "-m", "benchmarks.ceiling", str(port)], port, scratch / "ceiling.log") as running:
        yield running


@contextmanager
def listening(
    command: Sequence[str],
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    core: int | None = SERVER_CORE,
) -> Iterator[Running]:
    """A server that is ready when its port takes connections."""
    begun = time.perf_counter()
    with process(command, log, environment, core) as child:
        deadline = begun + READY_SECONDS_MAX
        while not _accepts(port):
            _give_up_if_dead(child, log, deadline)
            time.sleep(LOOK_AGAIN_SECONDS)
        yield Running(port, child.pid, time.perf_counter() - begun)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def remove(data: Path) -> None:
    """Deletes a server's data and the files beside it."""
    shutil.rmtree(data, ignore_errors=True)
    for suffix in (".toml", ".ready", ".log"):
        data.with_suffix(suffix).unlink(missing_ok=True)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 0.5).close()
    except OSError:
        return False
    return True


def _give_up_if_dead(child: "subprocess.Popen[bytes]", log: Path, deadline: float) -> None:
    if child.poll() is not None or time.perf_counter() > deadline:
        tail = log.read_text(errors="replace")[-2000:]
        raise NotReadyError(f"{child.args!r} is not ready (exit status {child.returncode}): {tail}")
