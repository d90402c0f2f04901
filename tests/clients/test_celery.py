"""Celery with kombu's SQS transport: real worker processes, judged by what their tasks did."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..process import KEY, SECRET, ServerProcess, clean_environment, client

pytestmark = pytest.mark.clients

ROOT = Path(__file__).parents[2]
APP = "tests.clients.celery_app"
SECONDS_MAX = 40.0


class Team:
    """Producers and workers of one Celery queue."""

    def __init__(self, server: ServerProcess, directory: Path, queue: str) -> None:
        self.queue = queue
        self.sqs = client(server.url)
        self._effects = directory / "effects"
        self._effects.touch()
        self._log = (directory / "worker.log").open("ab")
        self._environment = clean_environment(
            {
                "BROKER": f"sqs://{KEY}:{SECRET}@127.0.0.1:{server.port}//",
                "QUEUE": queue,
                "EFFECTS": str(self._effects),
            }
        )
        self._workers: list[subprocess.Popen[bytes]] = []

    def work(self) -> "subprocess.Popen[bytes]":
        """A new worker process with two children, in a process group of its own."""
        command = [sys.executable, "-m", "celery", "-A", APP, "worker", "--concurrency", "2", "--loglevel", "info"]
        worker = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
            cwd=ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self._workers.append(worker)
        return worker

    def ask(self, code: str) -> str:
        """Runs lines of a producer, in a process of its own; what it prints."""
        lines = f"from {APP} import *\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", lines], cwd=ROOT, env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def effects(self) -> "Counter[str]":
        return Counter(self._effects.read_text().splitlines())

    def wait_for(self, condition: Callable[["Counter[str]"], Any]) -> "Counter[str]":
        end = time.monotonic() + SECONDS_MAX
        while not condition(self.effects()):
            assert time.monotonic() < end, f"{self.effects()}\n{Path(self._log.name).read_text()[-3000:]}"
            time.sleep(0.05)
        return self.effects()

    def left(self) -> dict[str, str]:
        """How many messages the queue holds, ready and in flight."""
        url = self.sqs.get_queue_url(QueueName=self.queue)["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return dict(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"])

    def kill(self, worker: "subprocess.Popen[bytes]") -> None:
        """kill -9 for a worker and its children at once."""
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()

    def close(self) -> None:
        for worker in self._workers:
            self.kill(worker)
        self._log.close()


@pytest.fixture
def team(keyed_server: ServerProcess, tmp_path: Path, new_name: Callable[..., str]) -> Iterator[Team]:
    team = Team(keyed_server, tmp_path, new_name("-celery"))
    yield team
    team.close()


def test_tasks_retries_countdowns_and_a_killed_worker(team: Team) -> None:
    # Given tasks that were asked for before anybody works
    team.ask("for n in range(20): note.delay(str(n))\nstumble.delay(2)\nnote.apply_async(['later'], countdown=2)")
    # When a worker comes, then all is done: each once, the stumbling one with its retries
    first = team.work()
    wanted = Counter({f"note {n}": 1 for n in range(20)} | {f"stumble {n}": 1 for n in range(3)} | {"note later": 1})
    assert team.wait_for(lambda effects: effects.total() >= wanted.total()) == wanted

    # Given a worker that is killed in the middle of a task
    team.ask("linger.delay('job', 2.0)")
    team.wait_for(lambda effects: effects["begin job"])
    team.kill(first)
    assert team.effects()["end job"] == 0
    # When another one comes, then it does the task when the lease of the dead one is over
    second = team.work()
    effects = team.wait_for(lambda effects: effects["end job"])
    assert (effects["begin job"], effects["end job"]) == (2, 1)

    # When it is asked to stop, then it acknowledges what it has done, and nothing is left behind
    second.terminate()
    assert second.wait(SECONDS_MAX) == 0
    assert set(team.left().values()) == {"0"}


def test_celery_can_purge_its_queue(team: Team) -> None:
    team.ask("for n in range(5): note.delay(str(n))")
    assert team.left()["ApproximateNumberOfMessages"] == "5"
    team.ask("app.control.purge()")
    assert team.left()["ApproximateNumberOfMessages"] == "0"
