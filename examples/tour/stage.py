"""What all scripts of the tour need: a server of their own, workers, and a voice. The ideas are in the scripts.

with Stage() as stage:
    queue = stage.sqs.create_queue(QueueName="reports")["QueueUrl"]     # boto3, as with Amazon SQS
    worker = stage.start_worker("examples.tour.asynchrony:app")         # encola work, in another process

The server is ``encola serve`` on a free port of this machine, with its data in a directory that is removed at the end.
A server that you run yourself is left alone.
"""

import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 60
COLUMNS = 100
OWN = ("ENCOLA_ENDPOINT", "TOUR_DIRECTORY")


def title(text: str, idea: str) -> None:
    print(text.upper())
    _print("", idea)


def step(number: int, text: str) -> None:
    """What is done now."""
    _print(f"\n{number}. ", text)


def saw(text: str) -> None:
    """What happened, with what was measured."""
    _print("   > ", text)


def why(text: str) -> None:
    """What to learn from it."""
    _print("   Why: ", text)


def _print(mark: str, text: str) -> None:
    indent = " " * len(mark.lstrip("\n"))
    print(textwrap.fill(text, COLUMNS, initial_indent=mark, subsequent_indent=indent), flush=True)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Raises TimeoutError."""
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {SECONDS_MAX} s for {what}")
        time.sleep(0.02)


class Stage:
    """A server, and the processes that a script starts; all end with the ``with`` block. ``config`` is TOML."""

    def __init__(self, config: str = "") -> None:
        self._config = config
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Stage":
        self._temporary = tempfile.TemporaryDirectory(prefix="encola-tour-")
        self.directory = Path(self._temporary.name)
        url = f"http://127.0.0.1:{_free_port()}"
        self._before = {name: os.environ.get(name) for name in OWN}
        # Where the tasks of a script find their queues and their files, here and in the workers.
        os.environ.update(ENCOLA_ENDPOINT=url, TOUR_DIRECTORY=str(self.directory))
        try:
            self._start_server(url)
        except BaseException:
            self.__exit__()
            raise
        options = {"endpoint_url": url, "region_name": "us-east-1"}
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}  # the server has no credentials: any do
        self.sqs = boto3.client("sqs", **options, **keys)
        self.functions = boto3.client("lambda", **options, **keys)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):  # the server last
            process.terminate()
            process.wait()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._temporary.cleanup()

    def start_worker(self, app: str, *arguments: str) -> subprocess.Popen[bytes]:
        """``encola work APP``, in a process of its own."""
        return self._start("worker", "work", app, *arguments)

    def counts(self, queue: str) -> dict[str, int]:
        """How many messages of a queue are ready, in flight and delayed."""
        names = {"ready": "", "in flight": "NotVisible", "delayed": "Delayed"}
        found = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        return {name: int(found[f"ApproximateNumberOfMessages{suffix}"]) for name, suffix in names.items()}

    def told(self, queue: str) -> str:
        """The counts as words."""
        return ", ".join(f"{count} {name}" for name, count in self.counts(queue).items() if count) or "empty"

    def arn(self, queue: str) -> str:
        """The name by which queues refer to each other."""
        answer = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    def _start_server(self, url: str) -> None:
        ready, config = self.directory / "ready", self.directory / "encola.toml"
        config.write_text(self._config)
        port, data = url.rpartition(":")[2], str(self.directory / "data")
        arguments = ("--config", str(config), "--port", port, "--data", data, "--ready-file", str(ready))
        server = self._start("server", "serve", *arguments)
        wait_for(lambda: ready.exists() or server.poll() is not None, "the server")
        if server.poll() is not None:
            raise RuntimeError((self.directory / "server.log").read_text())

    def _start(self, log: str, *arguments: str) -> subprocess.Popen[bytes]:
        # Settings of yours for a server (ENCOLA_SERVER__PORT and the like) are not for this one.
        environment = {k: v for k, v in os.environ.items() if k in OWN or not k.startswith("ENCOLA_")}
        with (self.directory / f"{log}.log").open("ab") as file:
            command = [sys.executable, "-m", "encola", *arguments]
            process = subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT, env=environment)
        self._processes.append(process)
        return process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
