"""A real server process for tests: started on a free port, stopped or killed by its own pid.

    with ServerProcess(tmp_path) as server:
        sqs = client(server.url)

What happens to a process that a test forgets: leaving the ``with`` block kills it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import botocore.config
import botocore.session

ENCOLA = str(Path(sys.executable).with_name("encola"))
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 30.0
LOOK_SECONDS = 0.005

KEY = "AKIDOFTHETESTS"
SECRET = "the-secret-of-the-tests"
ACCOUNT = "111122223333"
KEY_OPTIONS = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
CREDENTIALS = f'[{{"access_key": "{KEY}", "secret_key": "{SECRET}", "account": "{ACCOUNT}"}}]'
"""For the variable ENCOLA_CREDENTIALS: a server that lets in ``KEY`` only."""


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what could lead a server or a client elsewhere, and with ``more``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENCOLA_", "AWS_", "BOTO"))}
    # No look at the developer's own keys, nor at the address where a machine of AWS would find some.
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return {**kept, **nowhere, "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "200", **(more or {})}


class NotStartedError(AssertionError):
    """The process ended, or was not ready in time; the text is what it logged."""


class ServerProcess:
    """``encola serve`` with its data in ``directory/data`` and its log in ``directory/server.log``.

    ``arguments`` are further flags, ``environment`` further variables. It can be started again after it ended, on the
    same data; a new start gets a new port unless ``port`` is given. ``program`` is what runs in place of ``encola``.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        port: int = 0,
        program: Sequence[str] = (ENCOLA,),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.data = directory / "data"
        self.log = directory / "server.log"
        self._ready = directory / "ready"
        self._arguments = arguments
        self._environment = clean_environment(environment)
        self._port = port
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> "ServerProcess":
        """Returns when the server listens. Raises NotStartedError."""
        self.launch()
        return self.wait_ready()

    def wait_ready(self) -> "ServerProcess":
        """Waits until the server that was launched listens. Raises NotStartedError."""
        end = time.monotonic() + START_SECONDS_MAX
        while not self._ready.exists():
            if self.returncode is not None or time.monotonic() > end:
                self.kill()
                raise NotStartedError(f"exit status {self.returncode}\n{self.logged()}")
            time.sleep(LOOK_SECONDS)
        self.url = self._ready.read_text().strip()
        return self

    def launch(self) -> subprocess.Popen[bytes]:
        """Starts the process and waits for nothing."""
        assert not self.running
        self._ready.unlink(missing_ok=True)
        command = [*self._program, "serve", "--port", str(self._port), "--ready-file", str(self._ready)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--data", str(self.data), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        return self._process

    def stop(self) -> int:
        """Asks it to stop (SIGTERM) and waits; its exit status."""
        self.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """kill -9, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> "ServerProcess":
        """kill -9, and a new start on the same data."""
        self.kill()
        return self.start()

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS_MAX) -> int:
        """Waits for its end; its exit status."""
        assert self._process is not None
        return self._process.wait(seconds)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit status of the process that was started last; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def resident_bytes(self) -> int:
        """The memory that it holds now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def logged(self) -> str:
        """All that it ever wrote on its standard streams."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def __enter__(self) -> "ServerProcess":
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


_session: botocore.session.Session | None = None


def client(url: str, *, retries: int = 0, **more: Any) -> Any:
    """A botocore SQS client of the server at ``url``; ``more`` are arguments of ``create_client``.

    It does not retry unless told to, so that a test sees each answer. One session makes them all, since reading the
    service model anew for each would take longer than most tests.
    """
    global _session
    if _session is None:
        _session = botocore.session.Session()
    config = botocore.config.Config(
        retries={"total_max_attempts": 1 + retries, "mode": "standard"}, connect_timeout=5, read_timeout=30
    ).merge(more.pop("config", None) or botocore.config.Config())
    options = {"region_name": "us-east-1", **KEY_OPTIONS, **more}
    return _session.create_client("sqs", endpoint_url=url, config=config, **options)
