"""A bare connection to a server: nothing is tried again, so a test knows what was asked and what was answered."""

import asyncio
import json
from typing import Any


class LostError(Exception):
    """The connection ended before the answer came: what was asked may have happened, or not."""


class RefusedError(Exception):
    """The server answered that it did not do it."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class Wire:
    """Calls one after the other over one connection, in the JSON protocol."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Wire":
        """Raises LostError."""
        try:
            return cls(*await asyncio.open_connection("127.0.0.1", port))
        except OSError as error:
            raise LostError from error

    async def call(self, operation: str, **parameters: Any) -> Any:
        """The answer. Raises RefusedError, LostError."""
        body = json.dumps(parameters).encode()
        target = operation if "." in operation else f"AmazonSQS.{operation}"
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: {target}\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            self._writer.write(head.encode() + body)
            await self._writer.drain()
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            pairs = (line.split(": ", 1) for line in lines[1:-2])
            headers = {name.lower(): value for name, value in pairs}
            answer = await self._reader.readexactly(int(headers["content-length"]))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise LostError from error
        status = int(lines[0].split(" ")[1])
        if status != 200:
            raise RefusedError(status, headers.get("x-amzn-query-error", answer.decode()).partition(";")[0])
        return json.loads(answer) if answer else {}

    async def peek(self, queue: str) -> list[dict[str, Any]]:
        """All messages of a queue in whatever state, in the order in which they were accepted."""
        found: list[dict[str, Any]] = []
        asked = {"QueueUrl": queue, "MaxResults": 100}
        while True:
            answer = await self.call("Encola.PeekMessages", **asked)
            found += answer["Messages"]
            if not answer.get("NextToken"):
                return found
            asked["NextToken"] = answer["NextToken"]

    async def close(self) -> None:
        self._writer.close()
