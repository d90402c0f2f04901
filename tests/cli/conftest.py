"""The ``encola`` command as people start it: a process of its own, against a real server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..process import CREDENTIALS, ENCOLA, KEY, SECRET, ServerProcess, clean_environment


class Cli:
    """Runs commands in an environment of their own."""

    def __init__(self, **environment: str) -> None:
        self.environment = clean_environment({"TERM": "dumb", **environment})

    def run(self, *arguments: str | Path, text: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        """``text`` is its standard input."""
        return subprocess.run(
            [ENCOLA, *arguments],
            input=text,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def __call__(self, *arguments: str | Path, text: str = "", **environment: str) -> str:
        """What a command prints that succeeds."""
        done = self.run(*arguments, text=text, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str | Path, text: str = "") -> Any:
        return json.loads(self(*arguments, "--json", text=text))

    def refusal(self, *arguments: str | Path, status: int = 1, text: str = "", **environment: str) -> str:
        """What a command says that fails with ``status``: one line, and no traceback."""
        done = self.run(*arguments, text=text, **environment)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done.stderr


@pytest.fixture
def bare() -> Cli:
    """The command without a server."""
    return Cli()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server"), environment={"ENCOLA_CREDENTIALS": CREDENTIALS}) as server:
        yield server


@pytest.fixture(scope="module")
def encola(server: ServerProcess) -> Cli:
    """The command, led to the server by variables."""
    return Cli(ENCOLA_ENDPOINT=server.url, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)
