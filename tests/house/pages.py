"""Runs the blocks of a page, in order, as its reader would: in a directory of the page's own, against a real server.

    ```sh      run by bash. ``encola serve`` goes to the background and is waited for; a second one replaces the first.
               So does ``encola work``, and stays until the end of the page
    ```python  run, all of a page in one namespace; blocks with tests (``def test_``) are run by pytest, at the end
    ```toml    loaded as a configuration file
    ```json    parsed

The port 9324 of the page is a free one here. A page that uses a server without starting one finds one running. Other
languages are for what cannot run: output, diagrams, files of other programs.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import msgspec

from encola.server.config import load

from ..process import clean_environment
from .files import ROOT, shown
from .markdown import Block

RUN = ("sh", "python", "toml", "json")
SHOWN = ("text", "mermaid", "ini", "yaml", "dockerfile")
PORT = "9324"
SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
BIN = Path(sys.executable).parent

PRELUDE = r"""
set -e -o pipefail
encola() {
    if [ "$1" = work ]; then work "$@"; return; fi
    if [ "$1" != serve ]; then command encola "$@"; return; fi
    stop_server
    rm -f "$PAGE_READY"
    command encola "$@" --ready-file "$PAGE_READY" >> "$PAGE_LOG" 2>&1 < /dev/null &
    local server=$!
    while [ ! -e "$PAGE_READY" ]; do
        if ! kill -0 $server 2> /dev/null; then local status=0; wait $server || status=$?; return $status; fi
        sleep 0.02
    done
    echo $server > "$PAGE_PID"
}
work() {
    local log; log=$(mktemp "$PAGE_PID.work.XXXX")
    command encola "$@" >> "$log" 2>&1 < /dev/null &
    local worker=$!
    echo $worker >> "$PAGE_PID.workers"
    until grep -q ' polls ' "$log"; do
        if ! kill -0 $worker 2> /dev/null; then cat "$log"; return 1; fi
        sleep 0.02
    done
}
stop_server() {
    if [ ! -e "$PAGE_PID" ]; then return; fi
    local server; server=$(cat "$PAGE_PID")
    kill $server 2> /dev/null || true
    while [ -e /proc/$server ] && ! grep -q '^State:.Z' /proc/$server/status 2> /dev/null; do sleep 0.02; done
    rm -f "$PAGE_PID"
}
"""


class PageError(AssertionError):
    """A block of a page does not do what a reader expects of it; the text says which, and what happened."""


class Page:
    """A page being run. ``directory`` is its own; what was started is stopped by ``close``."""

    def __init__(self, path: Path, directory: Path) -> None:
        self._path = path
        self._name = shown(path) if path.is_relative_to(ROOT) else path.name
        self._directory = directory / "page"
        self._directory.mkdir()
        self._pid = directory / "pid"
        self._log = directory / "server.log"
        self._port = _free_port()
        self._tests: list[tuple[Block, str]] = []
        self._namespace: dict[str, Any] = {"__name__": "page"}
        self._environment = {
            **clean_environment(),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self._directory),
            "TERM": "dumb",
            "ENCOLA_SERVER__PORT": str(self._port),
            "ENCOLA_ENDPOINT": f"http://127.0.0.1:{self._port}",
            "PAGE_READY": str(directory / "ready"),
            "PAGE_PID": str(self._pid),
            "PAGE_LOG": str(self._log),
        }

    def run(self, block: Block) -> None:
        """Raises PageError."""
        if block.language not in RUN + SHOWN:
            raise self._error(block, f"{block.language or 'no'} language: use one of {', '.join(RUN + SHOWN)}")
        if block.skipped:
            return
        text = re.sub(rf"\b{PORT}\b", str(self._port), block.text)
        if block.file:
            (self._directory / block.file).write_text(text)
        if block.language == "sh":
            self._run_shell(block, text)
        elif block.language == "python":
            self._run_python(block, text)
        elif block.language == "toml":
            self._load(block, text)
        elif block.language == "json":
            msgspec.json.decode(text)

    def finish(self) -> None:
        """Runs the tests of the page, all in one go. Raises PageError."""
        if self._tests:
            names = " ".join(name for _, name in self._tests)
            self._bash(self._tests[0][0], f"python -m pytest -q -p no:cacheprovider {names}")

    def close(self) -> None:
        """Stops the workers and the server that the page started."""
        workers = self._pid.with_name(f"{self._pid.name}.workers")
        for line in workers.read_text().split() if workers.exists() else ():
            self._stop(int(line))
        if self._pid.exists():
            self._stop(int(self._pid.read_text()))

    def _run_shell(self, block: Block, text: str) -> None:
        if "encola serve" not in text and re.search(r"\bencola (queues|send|receive|peek|purge|redrive|top)\b", text):
            self._need_server(block)
        self._bash(block, text)

    def _run_python(self, block: Block, text: str) -> None:
        if re.search(r"^(async )?def test_", text, re.MULTILINE):
            name = block.file or f"test_line_{block.line}.py"
            (self._directory / name).write_text(text)
            self._tests.append((block, name))
            return
        self._need_server(block)
        code = compile("\n" * (block.line - 1) + text, str(self._path), "exec")
        before = set(sys.modules)
        sys.path.insert(0, str(self._directory))  # modules that blocks above have written
        try:
            exec(code, self._namespace)
        finally:
            sys.path.remove(str(self._directory))
            for name in set(sys.modules) - before:
                if (file := getattr(sys.modules[name], "__file__", None)) and Path(file).parent == self._directory:
                    del sys.modules[name]

    def _load(self, block: Block, text: str) -> None:
        file = self._directory / "page.toml"
        file.write_text(text)
        load(file, {}, {})

    def _need_server(self, block: Block) -> None:
        if not self._pid.exists():
            self._bash(block, "encola serve")

    def _bash(self, block: Block, text: str) -> None:
        run = subprocess.run(
            ["bash", "-c", PRELUDE + text],
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
        if run.returncode:
            log = self._log.read_text() if self._log.exists() else ""
            raise self._error(block, f"exit status {run.returncode}\n{run.stdout}{run.stderr}{log[-2000:]}")

    def _stop(self, pid: int) -> None:
        end = time.monotonic() + STOP_SECONDS_MAX
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.kill(pid, signal.SIGTERM)
            while _lives(pid):
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)

    def _error(self, block: Block, what: str) -> PageError:
        return PageError(f"{self._name}:{block.line}: {what}\n{textwrap.indent(block.text, '    ')}")


def _lives(pid: int) -> bool:
    """Whether a process runs. What it was started by is gone, so nobody but init takes note of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
