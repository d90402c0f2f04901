"""Services for the client: a foreign one (moto), one that answers by a script, and a line that can be cut."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ...process import clean_environment

_START_SECONDS_MAX = 60.0
_LOOK_SECONDS = 0.02
_MOTO_RUNS = re.compile(rb"Running on (http://127\.0\.0\.1:\d+)")


@contextlib.contextmanager
def moto(log: Path) -> Iterator[str]:
    """moto's server in a process of its own, which logs to ``log``; its URL."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", "0"],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=clean_environment(),
        )
    try:
        yield _url_in(log, process)
    finally:
        process.kill()
        process.wait()


def _url_in(log: Path, process: "subprocess.Popen[bytes]") -> str:
    end = time.monotonic() + _START_SECONDS_MAX
    while (found := _MOTO_RUNS.search(log.read_bytes())) is None:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(_LOOK_SECONDS)
    return found.group(1).decode()


class Asked(NamedTuple):
    """A request that a scripted service got."""

    target: str
    body: dict[str, Any]
    headers: dict[str, str]


class Answer(NamedTuple):
    """What it answers."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[str, ...] = ()
    close_after: bool = False


def failure(status: int, code: str, message: str = "because") -> Answer:
    body = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message}).encode()
    return Answer(status, body)


CUT = None
"""In place of an answer: the connection is closed without one."""

Script = Callable[[Asked], Awaitable[Answer | None]]


class ScriptedService:
    """Answers each request by ``script``; keeps what it was asked in ``asked``, and counts its connections."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self.url = ""
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Closes all connections, whatever goes on."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head)}
        body = await reader.readexactly(int(headers["content-length"]))
        asked = Asked(headers["x-amz-target"], json.loads(body), headers)
        self.asked.append(asked)
        answer = await self._script(asked)
        if answer is CUT:
            return False
        lines = [f"HTTP/1.1 {answer.status} Whatever", f"Content-Length: {len(answer.body)}", *answer.headers]
        writer.write("\r\n".join([*lines, "", ""]).encode() + answer.body)
        await writer.drain()
        return not answer.close_after


@contextlib.asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[ScriptedService]:
    service = ScriptedService(script)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


class Line:
    """A TCP proxy to ``port``, which can be cut. ``after`` bytes of the next answer it cuts itself."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = ""
        self.connections = 0
        self.up_bytes = 0
        self._cut_after: int | None = None
        self._ends: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Line":
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    def cut_answer_after(self, count: int) -> None:
        """The next answer ends after so many bytes, and the connection with it."""
        self._cut_after = count

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends += [writer, far_writer]
        back = asyncio.ensure_future(self._pump(far_reader, writer, answers=True))
        self._tasks.add(back)
        await self._pump(reader, far_writer, answers=False)
        await back

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                if answers and self._cut_after is not None:
                    writer.write(data[: self._cut_after])
                    self._cut_after = None
                    await writer.drain()
                    self.cut()
                    return
                writer.write(data)
                self.up_bytes += 0 if answers else len(data)
                await writer.drain()
        writer.close()
