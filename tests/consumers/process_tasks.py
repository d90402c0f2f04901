"""An application for processes: tasks that do what tasks should not."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import encola

app = encola.App(os.environ.get("APP", "processes"), lease=float(os.environ.get("LEASE", "60")))
JOURNAL = Path(os.environ.get("JOURNAL", os.devnull))


class NoSuchMonthError(encola.Permanent):
    """A verdict under a name of its own."""


class FoulError(Exception):
    """Its text is no Unicode."""

    def __str__(self) -> str:
        return "half a pair: \ud800 and a zero: \0"


def note(text: str) -> None:
    with JOURNAL.open("a") as journal:
        journal.write(text + "\n")


def noted(journal: Path) -> list[str]:
    return journal.read_text().splitlines() if journal.exists() else []


def pen() -> Iterator[str]:
    note(f"open {os.getpid()}")
    yield f"pen of {os.getpid()}"
    note(f"close {os.getpid()}")


def broken() -> Any:
    raise ConnectionError("no database")


Pen = Annotated[str, encola.Use(pen)]


def _hang() -> None:
    threading.Event().wait()


def _do(what: str) -> Any:
    match what:
        case "raise":
            raise ValueError("no such month")
        case "permanent":
            raise NoSuchMonthError("there is no month 13")
        case "retry":
            raise encola.Retry("not yet", delay=7.5)
        case "retry with nonsense":
            nonsense = encola.Retry("not yet")
            nonsense.delay = float("nan")
            raise nonsense
        case "done":
            raise encola.AlreadyDone("k")
        case "foul":
            raise FoulError
        case "exit":
            sys.exit(7)
        case "interrupt":
            raise KeyboardInterrupt
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "leave":
            os._exit(9)
        case "close everything":
            os.closerange(3, 256)
        case "object":
            return object()
        case "large":
            return "x" * 300_000
        case "fork":
            os.fork()
            return "whoever comes back"
        case "fork and raise":
            if not os.fork():
                raise ValueError("in the child")
        case "hang":
            note(f"hang {os.getpid()}")
            _hang()
        case "hang with others":
            helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            note(f"hang {os.getpid()} {helper.pid}")
            _hang()
        case "crash with others":
            if not (pid := os.fork()):
                os.setsid() if os.environ.get("SETSID") else None
                time.sleep(600)
            note(f"left {pid}")
            ctypes.string_at(0)
        case "pool":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                return pool.map(abs, [-1, -2, -3])
    return None


@app.task(queue="processes", run="process", retries=2)
def do(what: str) -> Any:
    """Does it, and answers its process."""
    found = _do(what)
    return os.getpid() if found is None else found


@app.task(queue="processes", run="process", retries=0, timeout=1.0)
def short(what: str) -> Any:
    return do(what)


@app.task(queue="processes", run="process")
def tell(words: int) -> dict[str, Any]:
    """Tells of its progress, and answers what it knows of itself."""
    for number in range(words):
        encola.progress(number / words, f"word {number}")
    encola.progress(1.0, "last word")
    job = encola.current_job()
    return {"app": job.app, "task": job.task, "id": job.id, "queue": job.queue, "attempt": job.attempt, **job.carry}


@app.task(queue="processes", run="process")
def late() -> int:
    """Leaves a thread behind that goes on to tell of its progress."""
    job = encola.current_job()

    def go_on() -> None:
        while True:
            job.progress(0.5, "left behind")
            time.sleep(0.01)

    threading.Thread(target=go_on, daemon=True).start()
    return os.getpid()


@app.task(queue="processes", run="process")
def write(text: str, with_: Pen = encola.USE) -> str:
    return f"{text} by {with_}"


@app.task(queue="processes", run="process")
def without(with_: Annotated[str, encola.Use(broken)] = encola.USE) -> str:
    return with_


@app.task(queue="processes", run="process")
def echo(data: str) -> str:
    return data
