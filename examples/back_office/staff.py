"""The processes of the example: the queue's server, the office, the workers; and what they wrote down."""

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
PUSHED_PROCESSES = 2

CONFIG = """
[[functions]]
name = "make-report"
target = "python:examples.back_office.tasks:handler"
timeout = 4
concurrency = {processes}
environment = {{ OFFICE_VERSION = "2" }}
"""
"""The server's configuration: a function that its event source mappings may call."""
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
        self.diary_path = directory / "diary.jsonl"
        self.diary_path.touch()
        url = f"http://127.0.0.1:{self.port}"
        self.config = directory / "encola.toml"
        self.config.write_text(CONFIG.format(processes=PUSHED_PROCESSES))
        os.environ |= {  # ours, and that of all whom we start
            "ENCOLA_ENDPOINT": url,
            "OFFICE_LEDGER": str(directory / "office.db"),
            "OFFICE_DIARY": str(self.diary_path),
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "example",
            "AWS_SECRET_ACCESS_KEY": "example",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

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

    def _start(self, log: str, module: str, *arguments: str, version: int = 1) -> subprocess.Popen[bytes]:
        with (self.directory / f"{log}.log").open("ab") as file:
            command = [sys.executable, "-m", module, *arguments]
            environment = {**os.environ, "OFFICE_VERSION": str(version)}
            process = subprocess.Popen(command, stderr=file, stdout=file, env=environment)
        self._processes.append(process)
        return process

    def start_server(self) -> subprocess.Popen[bytes]:
        """encola, with its data in the directory: started anew, it goes on where it was."""
        ready = self.directory / "ready"
        ready.unlink(missing_ok=True)
        arguments = ["--port", str(self.port), "--data", str(self.directory / "data"), "--ready-file", str(ready)]
        arguments += ["--config", str(self.config)]
        process = self._start("server", "encola", "serve", *arguments)
        wait_for(lambda: ready.exists() or process.poll() is not None, "the server")
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        return process

    def start_office(self) -> int:
        """Answers its port."""
        place = self.directory / "office.port"
        self._start("office", "examples.back_office.office", str(place))
        wait_for(lambda: place.exists() and place.read_text() != "", "the office")
        return int(place.read_text())

    def start_workers(self, count: int, version: int) -> list[subprocess.Popen[bytes]]:
        """Pull workers that make one report at a time."""
        arguments = ("work", "examples.back_office.tasks:app", "--concurrency", "1")
        return [self._start("worker", "encola", *arguments, version=version) for _ in range(count)]

    def diary(self, *events: str) -> list[dict[str, Any]]:
        """What the processes wrote down, in order; only these events, if any are named."""
        text = self.diary_path.read_text()
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if not events or line["event"] in events]

    def kill_at_work(self) -> str:
        """Kills (-9) a process of ours while it works on a job; answers the job."""
        while True:
            last = {line["pid"]: line for line in self.diary()}
            for pid, line in last.items():
                if line["event"] == "began" and self._kill_if_still(pid, line):
                    return str(line["job"])
            time.sleep(0.01)

    def _kill_if_still(self, pid: int, line: dict[str, Any]) -> bool:
        try:
            os.kill(pid, signal.SIGSTOP)  # nothing more is written while we look again
            if [one for one in self.diary() if one["pid"] == pid][-1] == line:
                os.kill(pid, signal.SIGKILL)
                return True
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:  # an earlier one, which was killed at work
            pass
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
