"""A worker process ends, whatever its tasks have left behind: threads, handlers of ``atexit``, a loop that is held."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from .bench import Queues, WorkProcess, wait_until

pytestmark = pytest.mark.crash

Work = Callable[..., WorkProcess]

LEFTOVERS = """
import asyncio, atexit, os, pathlib, threading, time
import encola
from encola.consumers import ending, process

if os.environ.get("HURRIED"):  # what is given no end is proved; how long it is waited for is not
    ending.THREADS_SECONDS_MAX = ending.HANDLERS_SECONDS_MAX = 0.5
    process.END_MARGIN_SECONDS = 2.0

QUEUE = os.environ["NAME"]
app = encola.App(QUEUE)
here = pathlib.Path(__file__).parent

def note(text):
    with (here / "notes").open("a") as notes:
        notes.write(text + "\\n")

def last_words():
    note("last words")
    if os.environ.get("LINGER"):
        time.sleep(600)

atexit.register(last_words)

@app.task(queue=QUEUE)
def start_a_thread():
    threading.Thread(target=time.sleep, args=(600,), name="sleeper").start()
    note("ran")

@app.task(queue=QUEUE, timeout=0.2, retries=0)
def listen_to_nobody():
    note("ran")
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            pass

@app.task(queue=QUEUE)
async def have_the_loop_wait():
    note("ran")
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)

@app.task(queue=QUEUE)
async def end_soon():
    threading.Thread(target=lambda: (time.sleep(0.3), note("thread ended"))).start()
    note("ran")

@app.task(queue=QUEUE)
async def hold_the_loop():
    note("ran")
    while not (here / "stopping").exists():
        await asyncio.sleep(0.01)
    while True:
        time.sleep(0.1)
"""


class Leftovers:
    """The application in a file, and the notes that its tasks leave."""

    def __init__(self, directory: Path, name: str, queues: Queues, work: Work) -> None:
        self.directory = directory
        self._name = name
        self._queues = queues
        self._work = work
        (directory / "leftovers.py").write_text(LEFTOVERS)

    def start(self, *arguments: str, **environment: str) -> WorkProcess:
        return self._work("leftovers:app", "--grace", "0.2", *arguments, NAME=self._name, **environment).ready()

    def send(self, task: str) -> None:
        self._queues.send(self._name, f'{{"task": "{task}"}}')

    @property
    def notes(self) -> list[str]:
        path = self.directory / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def has_run(self, times: int = 1) -> None:
        wait_until(lambda: self.notes.count("ran") == times, "the task to run")


@pytest.fixture
def leftovers(tmp_path: Path, queue: str, queues: Queues, work: Work) -> Leftovers:
    return Leftovers(tmp_path, queue, queues, work)


@pytest.mark.parametrize("task", ["start_a_thread", "listen_to_nobody", "have_the_loop_wait"])
def test_a_thread_that_does_not_end_does_not_keep_its_worker(leftovers: Leftovers, task: str) -> None:
    """The process was there for ever, deaf to signals: Python waits for all threads at its end."""
    worker = leftovers.start(HURRIED="1")
    leftovers.send(task)
    leftovers.has_run()
    assert worker.stop() == 0
    assert "threads do not end, and are left: " in worker.logged
    assert leftovers.notes == ["ran", "last words"]


def test_a_worker_that_is_renewed_leaves_its_threads_behind(leftovers: Leftovers) -> None:
    supervisor = leftovers.start("--max-jobs", "1", HURRIED="1")
    leftovers.send("start_a_thread")
    supervisor.ready(2)
    leftovers.send("start_a_thread")
    supervisor.ready(3)
    assert "ended with status" not in supervisor.logged  # it is no failure
    assert supervisor.logged.count("are left: sleeper") == 2
    assert supervisor.stop() == 0


def test_a_thread_that_ends_soon_and_the_handlers_after_it_have_their_time(leftovers: Leftovers) -> None:
    worker = leftovers.start()
    leftovers.send("end_soon")
    leftovers.has_run()
    assert worker.stop() == 0
    assert leftovers.notes == ["ran", "thread ended", "last words"]
    assert "are left" not in worker.logged


@pytest.mark.parametrize("task", ["end_soon", "start_a_thread"])
def test_a_handler_of_atexit_that_does_not_end_is_cut_short(leftovers: Leftovers, task: str) -> None:
    worker = leftovers.start(LINGER="1", HURRIED="1")
    leftovers.send(task)
    leftovers.has_run()
    assert worker.stop() == 0
    assert leftovers.notes[-1] == "last words"


def test_who_is_told_again_while_threads_are_waited_for_ends_at_once(leftovers: Leftovers) -> None:
    worker = leftovers.start(LINGER="1")
    worker.process.send_signal(signal.SIGTERM)
    wait_until(lambda: leftovers.notes == ["last words"], "the handlers to run")
    assert worker.stop() == -signal.SIGTERM


def test_a_task_that_holds_the_loop_of_a_worker_that_stops_does_not_keep_it(leftovers: Leftovers) -> None:
    """It cannot be cancelled, and no signal is heard: the worker ends after its grace period and some seconds."""
    supervisor = leftovers.start("--max-jobs", "1", HURRIED="1")
    leftovers.send("hold_the_loop")
    leftovers.has_run()
    leftovers.send("end_soon")
    supervisor.logs("stops after 1 jobs")
    (leftovers.directory / "stopping").touch()
    supervisor.logs("ended with status 1;")
    assert "in hold_the_loop" in supervisor.logged
    os.remove(leftovers.directory / "stopping")
    supervisor.ready(2)
