"""A worker with a task of its own, and the queue before it: for tests of what else comes through that queue."""

import asyncio
import json
from typing import Any

import encola

from .bench import Queues


class Desk:
    """The task is ``file``, and does nothing but keep what it got."""

    def __init__(self, app: encola.App, queue: str, queues: Queues) -> None:
        self.app = app
        self.queue = queue
        self.queues = queues
        self.filed: list[int] = []

        @app.task(queue=queue, key="{number}")
        async def file(number: int, note: str = "") -> None:
            self.filed.append(number)

        self.file = file

    async def send(self, body: str, **attributes: str) -> str:
        """As a foreign producer; the message's id."""
        given = {name.replace("_", "."): {"DataType": "String", "StringValue": one} for name, one in attributes.items()}
        return await asyncio.to_thread(self.queues.send, self.queue, body, MessageAttributes=given)

    async def dead(self) -> tuple[str, str]:
        return await asyncio.to_thread(self.queues.dead, self.queue)

    async def held(self) -> int:
        return await asyncio.to_thread(self.queues.held, self.queue)

    async def is_empty(self) -> None:
        async with asyncio.timeout(30):
            while await self.held():
                await asyncio.sleep(0.02)

    async def still_works(self) -> None:
        """The next job runs, and nothing stays behind."""
        await (await self.file.asend(4242)).aresult(30)
        await self.is_empty()


def body(**members: Any) -> str:
    """A message for ``file`` as a foreign producer may write it."""
    return json.dumps({"task": "file", "args": {"number": 1}, **members})
