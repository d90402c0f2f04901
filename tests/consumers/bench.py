"""Tools for tests of workers: one in the test's own loop, one as a process, the queues beside them, and patience."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

import encola
from encola.consumers.worker import Worker
from encola.testing import EncolaServer

from ..process import ENCOLA, clean_environment, client

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 30.0
LOOK_SECONDS = 0.01
KEYS = {name: EncolaServer().client_options[name] for name in ("aws_access_key_id", "aws_secret_access_key")}


@contextlib.asynccontextmanager
async def working(app: encola.App, **options: Any) -> AsyncIterator[Worker]:
    """A worker that polls, in this loop; it is stopped in order at the end of the block."""
    worker = Worker(app, **{"grace": 5.0, **options})
    ready = asyncio.Event()
    worker.on_ready(ready.set)
    run = asyncio.create_task(worker.run())
    started = asyncio.create_task(ready.wait())
    await asyncio.wait([run, started], return_when=asyncio.FIRST_COMPLETED)
    if not ready.is_set():
        started.cancel()
        await run  # raises what kept it from starting
    try:
        yield worker
    finally:
        worker.stop()
        await run


async def until(condition: Callable[[], Any], what: str, seconds: float = SECONDS_MAX) -> Any:
    """What the condition answers, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        await asyncio.sleep(LOOK_SECONDS)
    return found


def wait_until(condition: Callable[[], Any], what: str, seconds: float = SECONDS_MAX) -> Any:
    """As ``until``, for tests that are not asynchronous."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(LOOK_SECONDS)
    return found


class Queues:
    """Queues as a foreign client sees them."""

    def __init__(self, url: str) -> None:
        self.sqs = client(url, retries=3, **KEYS)

    def url(self, queue: str) -> str:
        found: str = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        return found

    def counts(self, queue: str) -> tuple[int, int, int]:
        """Messages that are visible, in flight, and delayed."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=["All"])["Attributes"]
        visible, leased, delayed = (
            int(found[f"ApproximateNumberOfMessages{kind}"]) for kind in ("", "NotVisible", "Delayed")
        )
        return visible, leased, delayed

    def held(self, queue: str) -> int:
        return sum(self.counts(queue))

    def send(self, queue: str, body: str, **options: Any) -> str:
        found: str = self.sqs.send_message(QueueUrl=self.url(queue), MessageBody=body, **options)["MessageId"]
        return found

    def receive(self, queue: str, seconds: int = 5, lease: int = 30) -> list[dict[str, Any]]:
        """Up to ten messages, with all their attributes."""
        found: list[dict[str, Any]] = self.sqs.receive_message(
            QueueUrl=self.url(queue),
            MaxNumberOfMessages=10,
            WaitTimeSeconds=seconds,
            VisibilityTimeout=lease,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        return found

    def dead(self, queue: str) -> tuple[str, str]:
        """Reason and error of the one message on the dead-letter queue of a queue; it is gone then."""
        (found,) = self.all_dead(queue, 1)
        return found

    def all_dead(self, queue: str, number: int) -> list[tuple[str, str]]:
        """Reasons and errors of so many dead letters of a queue, together or one by one; they are gone then."""
        found: list[tuple[str, str]] = []
        while len(found) < number:
            messages = self.receive(f"{queue}-dead", seconds=20)
            assert messages, f"{len(found)} of {number} dead letters"
            for message in messages:
                self.sqs.delete_message(QueueUrl=self.url(f"{queue}-dead"), ReceiptHandle=message["ReceiptHandle"])
                values = message["MessageAttributes"]
                found.append((values["encola.reason"]["StringValue"], values["encola.error"]["StringValue"]))
        assert len(found) == number, found
        return found


class WorkProcess:
    """``encola work``; what it logs is in ``log``."""

    def __init__(
        self, directory: Path, url: str, arguments: Sequence[str], environment: Mapping[str, str], number: int
    ) -> None:
        self.log = directory / f"work{number}.log"
        path = os.pathsep.join((str(directory), str(ROOT)))
        more = {"ENCOLA_ENDPOINT": url, "PYTHONPATH": path, **EncolaServer().environment, **environment}
        more.pop("AWS_ENDPOINT_URL_SQS")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [ENCOLA, "work", *arguments],
                cwd=directory,
                env=clean_environment(more),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def logged(self) -> str:
        return self.log.read_text(errors="replace")

    def children(self) -> list[psutil.Process]:
        """The processes that it has started, and those that these have."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def ready(self, workers: int = 1) -> "WorkProcess":
        """Waits until so many workers have begun to poll."""

        def polls() -> bool:
            assert self.process.poll() is None, self.logged
            return self.logged.count(" polls ") >= workers

        wait_until(polls, f"{workers} workers that poll")
        return self

    def logs(self, text: str) -> None:
        """Waits until the log has this text."""
        wait_until(lambda: text in self.logged, f"{text!r} in the log:\n{self.logged}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits; the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        return self.process.wait(SECONDS_MAX)

    def kill(self) -> None:
        """kill -9, with all that it has started."""
        children = self.children()
        self.process.kill()
        self.process.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
