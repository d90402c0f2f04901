"""Child processes that take one call at a time: started when needed, watched, ended when they take too long.

A child serves many calls. One that ended by itself, or was ended for its timeout, is replaced when the next call comes.
All of them end with this process. What goes over the wire is in ``child``; what a child does with a call is the
business of its program: tasks in processes (``task_processes``), and functions of event source mappings.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

START_SECONDS_MAX = 60.0
"""For a child to start, and to load what it is to call."""

END_SECONDS_MAX = 2.0
OUTPUT_SECONDS_MAX = 0.5
TRIES = 3
LINE_BYTES_MAX = 8192  # of what is printed; the rest of a longer line comes as another
HEADER_BYTES_MAX = 4 * 1024 * 1024
IDLE_SECONDS_MAX = 60.0
"""A child that was idle for so long is of no use any more."""

Tell = Callable[[int, str], None]


class NotLoadedError(Exception):
    """The child cannot do what it is there for. ``told`` is what it said, ``text`` says it if it said nothing."""

    def __init__(self, text: str, told: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.told = told


class EndsEarlyError(Exception):
    """Children end before they begin with a call, each of several."""


class CrashedError(Exception):
    """The child ended while the call ran. The text says how."""


class AnswerTooLongError(Exception):
    """The result is longer than the caller takes. The child is ended."""


class _ChannelClosedError(Exception):
    """The process has ended, or closed its channel."""


class _NotStartedError(Exception):
    """The process has ended before it began with the call."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What runs in a child: a module that is given the descriptor of its channel and ``arguments``.

    ``tell`` gets each line that it prints, with its pid; without it, the output is this process's own. ``idle`` is for
    how many seconds a child is kept without a call (None: as long as the pool).
    """

    module: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    tell: Tell | None = None
    idle: float | None = None


class Reply(msgspec.Struct, frozen=True):
    """The answer to a call: its header and, unless the header says that it failed, the result."""

    header: Mapping[str, Any]
    payload: bytes = b""


class Pool:
    """The processes of one program. How many calls there are at a time is the caller's business."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._idle: list[tuple[float, Child]] = []  # since when; the longest first
        self._busy: set[Child] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._ends: set[asyncio.Task[None]] = set()

    @property
    def pids(self) -> list[int]:
        """The processes that live now."""
        return sorted(one.pid for one in (*(child for _, child in self._idle), *self._busy) if one.alive)

    async def call(
        self,
        header: Mapping[str, Any],
        payload: bytes,
        *,
        timeout: float | None,
        limit: int,
        on_progress: Callable[[float, str], None] = lambda share, note: None,
    ) -> Reply:
        """Has one child do it. A call that is cancelled, or takes more than ``timeout`` seconds, ends its child.

        Raises TimeoutError, NotLoadedError, EndsEarlyError, CrashedError, AnswerTooLongError.
        """
        for _ in range(TRIES):
            child = await self._ready()
            self._busy.add(child)
            try:
                await child.begin(header, payload)
                async with asyncio.timeout(timeout):
                    reply = await child.answer(limit, on_progress)
            except _NotStartedError:
                await child.kill()
                continue  # it ended while it was idle
            except _ChannelClosedError:
                await child.kill()
                raise CrashedError(child.ending) from None
            except NotLoadedError:
                self._let_go(child)
                raise
            except BaseException:
                await child.kill()  # in the middle of a call: nobody could tell its answer from the next
                raise
            finally:
                self._busy.discard(child)
            if reply.header.get("ends"):
                await child.kill()
            else:
                self._let_go(child)
            return reply
        raise EndsEarlyError

    async def close(self) -> None:
        """Ends all processes: idle ones by closing their channel, others at once."""
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        idle, self._idle = self._idle, []
        busy = tuple(self._busy)
        await asyncio.gather(*(child.end() for _, child in idle), *(child.kill() for child in busy), *self._ends)

    async def _ready(self) -> "Child":
        """A process that waits for a call. Raises NotLoadedError."""
        while self._idle:
            _, child = self._idle.pop()
            if child.alive:
                return child
            await child.kill()
        return await Child.start(self._program)

    def _let_go(self, child: "Child") -> None:
        if not child.alive:
            return
        loop = asyncio.get_running_loop()
        self._idle.append((loop.time(), child))
        if self._program.idle is not None and self._reaper is None:
            self._reaper = loop.call_later(self._program.idle, self._reap, self._program.idle)

    def _reap(self, idle: float) -> None:
        """Ends those that were idle for too long, and comes back for the next."""
        loop = asyncio.get_running_loop()
        self._reaper = None
        while self._idle and self._idle[0][0] <= loop.time() - idle:
            _, child = self._idle.pop(0)
            task = loop.create_task(child.end())
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)
        if self._idle:
            self._reaper = loop.call_at(self._idle[0][0] + idle, self._reap, idle)


class Child:
    """One process and its channel."""

    def __init__(
        self,
        program: Program,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._tell = program.tell
        self._output = asyncio.create_task(self._forward_output(), name=f"output of {program.module}")

    @classmethod
    async def start(cls, program: Program) -> "Child":
        """Starts a process and waits until it is ready. Raises NotLoadedError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                self = cls(program, await _spawn(program, theirs.fileno()), reader, writer)
            except OSError as error:
                writer.close()
                raise NotLoadedError(f"no process can be started ({error.strerror})") from None
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                hello = await self._header()
        except (TimeoutError, _ChannelClosedError):
            await self.kill()
            raise NotLoadedError(f"the process did not start ({self.ending})") from None
        except BaseException:
            self.kill_now()
            raise
        if "error" in hello:
            await self.kill()
            raise NotLoadedError("it cannot be loaded", hello["error"])
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

    async def begin(self, header: Mapping[str, Any], payload: bytes) -> None:
        """Hands a call over; returns when it has begun. Raises _NotStartedError, NotLoadedError."""
        try:
            self._writer.write(_frame(msgspec.json.encode(header)) + _frame(payload))
            async with asyncio.timeout(START_SECONDS_MAX):
                await self._writer.drain()
                answer = await self._header()
        except (OSError, _ChannelClosedError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise _NotStartedError from None
        if "error" in answer:
            raise NotLoadedError("it cannot be loaded", answer["error"])

    async def answer(self, limit: int, on_progress: Callable[[float, str], None]) -> Reply:
        """Waits for the end of the call. Raises _ChannelClosedError, AnswerTooLongError."""
        while "progress" in (header := await self._header()):
            share, note = header["progress"]
            on_progress(share, note)
        if "error" in header:
            return Reply(header)
        size = int.from_bytes(await self._exactly(4), "big")
        if size > limit:
            raise AnswerTooLongError
        return Reply(header, await self._exactly(size))

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
        await asyncio.wait([self._output], timeout=OUTPUT_SECONDS_MAX)  # what it started may hold its output open
        self._output.cancel()
        await asyncio.gather(self._output, return_exceptions=True)

    async def _header(self) -> dict[str, Any]:
        size = int.from_bytes(await self._exactly(4), "big")
        if size > HEADER_BYTES_MAX:
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
        """Hands each line over that the process prints."""
        stream, tell = self._process.stdout, self._tell
        if stream is None or tell is None:
            return
        rest = b""
        while data := await stream.read(LINE_BYTES_MAX):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._line(tell, line)
            if len(rest) >= LINE_BYTES_MAX:
                self._line(tell, rest)
                rest = b""
        self._line(tell, rest)

    def _line(self, tell: Tell, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            tell(self.pid, text)


async def _spawn(program: Program, descriptor: int) -> asyncio.subprocess.Process:
    told = program.tell is not None
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", program.module, str(descriptor), *program.arguments),
        pass_fds=[descriptor],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if told else None,
        stderr=asyncio.subprocess.STDOUT if told else None,
        env=program.environment,
        start_new_session=True,  # so that all it starts can be ended with it, and Ctrl-C does not reach it
    )


def _frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
