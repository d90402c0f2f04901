"""Functions in Python, in processes of this machine that are started, watched, and ended when they take too long.

A process runs one invocation at a time, and serves many, as an instance of Lambda does. One that ended by itself,
or was ended for its timeout, is replaced when the next batch comes. What a function prints goes to the server's log.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from typing import Any

import msgspec

from encola.mappings.functions import DeclaredFunction
from encola.mappings.targets.target import RESPONSE_BYTES_MAX, Answer, Failed, Invocation, Refused, Returned, shortened

START_SECONDS_MAX = 60.0
END_SECONDS_MAX = 2.0
OUTPUT_SECONDS_MAX = 0.5
TRIES = 3
LINE_BYTES_MAX = 8192  # of what a function prints; the rest of a longer line comes as another
CHILD = "encola.mappings.targets.child"

_log = logging.getLogger("encola.function")


class _ChannelClosedError(Exception):
    """The process has ended, or closed its channel."""


class _NotStartedError(Exception):
    """The process has ended before it began with the invocation."""


class _NotLoadedError(Exception):
    """The function cannot be loaded."""


class PythonTarget:
    """The processes of one function. How many run at once is the business of its gate."""

    def __init__(self, function: DeclaredFunction) -> None:
        self._function = function
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()

    @property
    def pids(self) -> list[int]:
        """The processes that live now."""
        return sorted(one.pid for one in (*self._idle, *self._busy) if one.alive)

    async def invoke(self, invocation: Invocation) -> Answer:
        """A function that cannot be loaded is Refused; exceptions, the end of the process and timeouts are Failed."""
        for _ in range(TRIES):
            try:
                return await self._try(await self._ready(), invocation)
            except _NotLoadedError as error:
                return Refused(shortened(f"cannot load {self._function.target}: {error}"))
            except _NotStartedError:
                continue  # it ended while it was idle
        return Refused("the processes of the function end as soon as they are started")

    async def _try(self, process: "_Process", invocation: Invocation) -> Answer:
        """One call in one process. Raises _NotStartedError."""
        self._busy.add(process)
        try:
            async with asyncio.timeout(self._function.timeout):
                answer = await process.call(invocation, time.time() + self._function.timeout)
        except TimeoutError:
            await process.kill()
            return Failed(f"timed out after {self._function.timeout} seconds; the process was ended")
        except _NotStartedError:
            await process.kill()
            raise
        except _ChannelClosedError:
            await process.kill()
            return Failed(f"the process ended while the function ran ({process.ending})")
        except BaseException:
            process.kill_now()  # cancelled in the middle of a call: nobody could tell its answer from the next
            raise
        finally:
            self._busy.discard(process)
        if process.alive:
            self._idle.append(process)
        return answer

    async def close(self) -> None:
        """Ends all processes: idle ones by closing their channel, others at once."""
        processes = [*self._idle, *self._busy]
        self._idle = []
        await asyncio.gather(*(process.end() for process in processes))

    async def _ready(self) -> "_Process":
        """A process that waits for an invocation. Raises _NotLoadedError."""
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            await process.kill()
        return await _Process.start(self._function)


class _Process:
    """One process and its channel."""

    def __init__(
        self,
        function: DeclaredFunction,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._function = function
        self._process = process
        self._reader = reader
        self._writer = writer
        self._log_task = asyncio.create_task(self._forward_output(), name=f"output of {function.name}")

    @classmethod
    async def start(cls, function: DeclaredFunction) -> "_Process":
        """Starts a process and waits until its function is loaded. Raises _NotLoadedError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                self = cls(function, await _spawn(function, theirs.fileno()), reader, writer)
            except OSError as error:
                writer.close()
                raise _NotLoadedError(f"no process can be started ({error.strerror})") from None
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                hello = await self._header()
        except (TimeoutError, _ChannelClosedError):
            await self.kill()
            raise _NotLoadedError(f"the process did not start ({self.ending})") from None
        except BaseException:
            self.kill_now()
            raise
        if "error" in hello:
            await self.kill()
            raise _NotLoadedError(_problem(hello["error"]))
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        status = self._process.returncode
        if status is None:
            return "it runs"
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"signal {signal.Signals(-status).name}"
        return f"exit status {status}"

    async def call(self, invocation: Invocation, deadline: float) -> Answer:
        """Hands an event over and waits for the result. Raises _NotStartedError, _ChannelClosedError."""
        header = {"id": invocation.id, "arn": invocation.function_arn, "deadline": deadline}
        try:
            self._writer.write(_frame(msgspec.json.encode(header)) + _frame(invocation.payload))
            await self._writer.drain()
            await self._header()
        except (OSError, _ChannelClosedError):
            raise _NotStartedError from None
        answer = await self._header()
        if answer.get("ends"):
            await self.kill()
        if "error" in answer:
            return Failed(_problem(answer["error"]))
        size = int.from_bytes(await self._exactly(4), "big")
        if size > RESPONSE_BYTES_MAX:
            await self.kill()
            return Failed(f"the response is longer than {RESPONSE_BYTES_MAX} bytes")
        return Returned(await self._exactly(size))

    async def end(self) -> None:
        """Closes the channel, upon which an idle process ends by itself; kills one that does not."""
        self._writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS_MAX):
                await self._process.wait()
        await self.kill()

    def kill_now(self) -> None:
        """Ends it and all that it has started, and does not wait."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._writer.close()

    async def kill(self) -> None:
        """Ends it and all that it has started."""
        self.kill_now()
        await self._process.wait()
        await asyncio.wait([self._log_task], timeout=OUTPUT_SECONDS_MAX)  # what it started may hold its output open
        self._log_task.cancel()
        await asyncio.gather(self._log_task, return_exceptions=True)

    async def _header(self) -> dict[str, Any]:
        size = int.from_bytes(await self._exactly(4), "big")
        if size > RESPONSE_BYTES_MAX:
            raise _ChannelClosedError
        try:
            header: dict[str, Any] = msgspec.json.decode(await self._exactly(size), type=dict[str, Any])
        except msgspec.DecodeError:
            raise _ChannelClosedError from None
        return header

    async def _exactly(self, size: int) -> bytes:
        try:
            return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            raise _ChannelClosedError from None

    async def _forward_output(self) -> None:
        """Each line that the function prints becomes a line of the server's log."""
        stream = self._process.stdout
        rest = b""
        while stream is not None and (data := await stream.read(LINE_BYTES_MAX)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._tell(line)
            if len(rest) >= LINE_BYTES_MAX:
                self._tell(rest)
                rest = b""
        self._tell(rest)

    def _tell(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            _log.info("%s", text, extra={"fields": {"function": self._function.name, "process": self.pid}})


async def _spawn(function: DeclaredFunction, descriptor: int) -> asyncio.subprocess.Process:
    target = function.target.removeprefix("python:")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", CHILD, str(descriptor), target, function.name, function.directory),
        pass_fds=[descriptor],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_environment(function),
        start_new_session=True,  # so that all it starts can be ended with it, and Ctrl-C does not reach it
    )


def _frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _problem(error: Any) -> str:
    if not isinstance(error, dict):
        return "the function failed"
    return shortened(f"{error.get('errorType', 'Error')}: {error.get('errorMessage', '')}")


def _environment(function: DeclaredFunction) -> dict[str, str]:
    """The server's own environment without its settings, which may hold secrets, and with what is declared."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENCOLA_")}
    if "ENCOLA_ENDPOINT" in os.environ:
        kept["ENCOLA_ENDPOINT"] = os.environ["ENCOLA_ENDPOINT"]
    return {**kept, "PYTHONUNBUFFERED": "1", **function.environment}
