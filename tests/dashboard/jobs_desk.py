"""What tests of jobs' pages share: records and letters made by hand, and workers as processes."""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from encola.consumers.sqs.client import ServiceClient
from encola.consumers.stores.server import ServerJobStore
from encola.engine.records import Claim, Command, Fail, Failure, Reply

from ..consumers.bench import WorkProcess
from ..process import KEY, SECRET

DAY = 86_400_000
_numbers = itertools.count(1)


class Desk:
    """Records on a server, and its queues."""

    def __init__(self, url: str, sqs: Any, key: str = KEY, secret: str = SECRET) -> None:
        self.url = url
        self.sqs = sqs
        self._key, self._secret = key, secret

    def apply(self, *commands: Command) -> Sequence[Reply]:
        frozen = SimpleNamespace(access_key=self._key, secret_key=self._secret, token=None)
        credentials: Any = SimpleNamespace(get_frozen_credentials=lambda: frozen)
        store = ServerJobStore(ServiceClient(self.url, credentials=credentials))

        async def apply() -> Sequence[Reply]:
            await store.open()
            try:
                return await store.apply(commands)
            finally:
                await store.close()

        return asyncio.run(apply())

    def queues(self, name: str) -> tuple[str, str]:
        """A queue and its dead-letter queue: their URLs."""
        dead = self.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
        return self.sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": rule})["QueueUrl"], dead

    def waiting(self, url: str) -> int:
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(found["Attributes"]["ApproximateNumberOfMessages"])

    def dead_job(self, key: str, queue: str, dead: str | None, message: str = "no such month", **body: Any) -> None:
        """A job that failed for good; its message lies at the URL ``dead``, if that is given."""
        self.apply(claim(key, queue), failure(key, message))
        if dead is not None:
            app, _, job = key.partition("/")
            text = json.dumps({"task": job.partition("/")[0], "job": job, "args": {}, "app": app, **body})
            reason = {"encola.reason": {"DataType": "String", "StringValue": "dead"}}
            kept = {"tenant": {"DataType": "String", "StringValue": "blue"}}
            self.sqs.send_message(QueueUrl=dead, MessageBody=text, MessageAttributes={**reason, **kept})


def claim(key: str, queue: str, *, lease: int = 60_000, task: str | None = None) -> Claim:
    return Claim(key, "me", task or key.split("/")[1], queue, "", lease, DAY, worker="host/1")


def failure(key: str, message: str = "no such month") -> Fail:
    error = Failure(1, int(time.time() * 1000), "ValueError", message, "Traceback:\n  <in> report", "host/1")
    return Fail(key, "me", 1, DAY, error, True)


def path_of(key: str) -> str:
    """The page of a job."""
    return f"/ui/jobs/{quote(key, safe='')}"


class Program:
    """An application in a file, worked by processes that are killed at the end of the block."""

    def __init__(self, directory: Path, url: str, text: str) -> None:
        self.directory = directory
        self._url = url
        self._work: list[WorkProcess] = []
        self.module = f"program{next(_numbers)}"
        (directory / f"{self.module}.py").write_text(text)

    def work(self, *arguments: str) -> WorkProcess:
        made = WorkProcess(self.directory, self._url, [f"{self.module}:app", *arguments], {}, len(self._work))
        self._work.append(made)
        return made

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._work:
            one.kill()
