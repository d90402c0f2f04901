"""The processes of the example: the queue's server, the office, the consumers; and what the consumers wrote down."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS_MAX = 60
STOP_SECONDS_MAX = 10


def wait_for(condition: Callable[[], bool], what: str, seconds: float = SECONDS_MAX) -> None:
    """Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)


class Staff:
    """Starts processes, and ends at the end of the ``with`` block those that still run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = _free_port()
        os.environ |= {  # ours, and that of all whom we start
            "AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "example",
            "AWS_SECRET_ACCESS_KEY": "example",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self._diary = directory / "diary.jsonl"
        self._diary.touch()

    def __enter__(self) -> "Staff":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(self._processes)

    def stop(self, processes: list[subprocess.Popen[bytes]]) -> None:
        """Ends those that still run, the last first."""
        for process in reversed(processes):
            if process.poll() is None:
                process.terminate()
        for process in reversed(processes):
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{module.rpartition('.')[2]}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", module, *arguments], stderr=log, stdout=log)
        self._processes.append(process)
        return process

    def start_server(self) -> subprocess.Popen[bytes]:
        """encola, with its data in the directory: started anew, it goes on where it was."""
        ready = self.directory / "ready"
        ready.unlink(missing_ok=True)
        arguments = ["--port", str(self.port), "--data", str(self.directory / "data"), "--ready-file", str(ready)]
        process = self._start("encola", "serve", *arguments)
        wait_for(lambda: ready.exists() or process.poll() is not None, "the server")
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        return process

    def start_office(self, shelf: Path) -> int:
        """Answers its port."""
        place = self.directory / "office.port"
        self._start("examples.back_office.office", str(place), str(shelf))
        wait_for(lambda: place.exists() and place.read_text() != "", "the office")
        return int(place.read_text())

    def start_consumers(self, count: int, shelf: Path, version: int) -> list[subprocess.Popen[bytes]]:
        """Returns when they are ready."""
        arguments = (str(shelf), str(self._diary), str(version))
        started = [self._start("examples.back_office.consumer", *arguments) for _ in range(count)]
        pids = {process.pid for process in started}
        wait_for(lambda: pids <= {line["pid"] for line in self.diary("ready")}, "the consumers")
        return started

    def diary(self, *events: str) -> list[dict[str, Any]]:
        """What the consumers wrote down, in order; only these events, if any are named."""
        lines = [json.loads(line) for line in self._diary.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if not events or line["event"] in events]

    def kill_at_work(self, consumers: list[subprocess.Popen[bytes]]) -> str:
        """Kills (-9) a consumer while it works on a request; answers the request's id."""
        while True:
            for process in consumers:
                last = next((line for line in reversed(self.diary()) if line["pid"] == process.pid), None)
                if last is None or last["event"] != "began":
                    continue
                process.send_signal(signal.SIGSTOP)  # nothing more is written while we look again
                last = next(line for line in reversed(self.diary()) if line["pid"] == process.pid)
                if last["event"] == "began":
                    process.kill()
                    process.wait()
                    return str(last["id"])
                process.send_signal(signal.SIGCONT)
            time.sleep(0.01)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
