"""Child processes that take one call at a time: started when needed, watched, ended when they take too long.

A child serves many calls. One that ended by itself, or was ended for its timeout, is replaced when the next call comes.
All of them end with this process. What goes over the wire is in ``child``; what a child does with a call is the
business of its program: tasks in processes (``task_processes``), and functions of event source mappings.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

START_SECONDS_MAX = 60.0
"""For a child to start and load what it is to call; and then, for it to begin with a call."""

END_SECONDS_MAX = 2.0
OUTPUT_SECONDS_MAX = 0.5
LAST_WORDS_SECONDS = 0.5
"""After the end of a child, what it wrote last has come by then, whoever else may hold its channel open."""

TRIES = 3
LINE_BYTES_MAX = 8192  # of what is printed; the rest of a longer line comes as another
HEADER_BYTES_MAX = 4 * 1024 * 1024

BOOT = "import json, runpy, sys; _, p, m, *sys.argv[1:] = sys.argv; sys.path[:] = json.loads(p); "
BOOT += "runpy.run_module(m, run_name='__main__', alter_sys=True)"
"""Runs a module with a given ``sys.path``: also that module may be found there only."""

Tell = Callable[[int, str], None]


class NotLoadedError(Exception):
    """The child cannot do what it is there for. ``told`` is what it said, ``text`` says it if it said nothing."""

    def __init__(self, text: str, told: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.told = told


class EndsEarlyError(Exception):
    """Children end before they begin with a call, each of several; or the pool is closed."""


class CrashedError(Exception):
    """The child ended while the call ran. The text says how."""


class AnswerTooLongError(Exception):
    """The result is longer than the caller takes. The child is ended."""


class _ChannelClosedError(Exception):
    """The process has ended, or closed its channel."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What runs in a child: a module that is given the descriptor of its channel and ``arguments``.

    ``path`` is its ``sys.path`` (None: as Python has it). ``tell`` gets each line that it prints, with its pid; without
    it, the output is this process's own. ``idle`` is for how many seconds a child is kept without a call (None: as long
    as the pool); ``start`` for how many it may take to load, and then to begin with a call.
    """

    module: str
    arguments: tuple[str, ...] = ()
    path: tuple[str, ...] | None = None
    environment: Mapping[str, str] | None = None
    tell: Tell | None = None
    idle: float | None = None
    start: float = START_SECONDS_MAX


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
        self._calls = 0
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The processes that live now, without those that are about to end."""
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

        The time runs from when the child has begun. Raises TimeoutError, NotLoadedError, EndsEarlyError, CrashedError,
        AnswerTooLongError.
        """
        for _ in range(TRIES):
            child = await self._ready()
            self._calls += 1
            self._busy.add(child)
            try:
                await child.begin(self._calls, header, payload)
                async with asyncio.timeout(timeout):
                    reply = await child.answer(limit, on_progress)
            except NotLoadedError:
                self._let_go(child)
                raise
            except _ChannelClosedError:
                ending = await child.ended()
                if child.has_begun:
                    raise CrashedError(ending) from None
                continue  # it ended while it was idle
            except BaseException:
                await child.kill()  # in the middle of a call: nobody could tell its answer from the next
                raise
            finally:
                self._busy.discard(child)
            self._let_go(child, ends=bool(reply.header.get("ends")))
            return reply
        raise EndsEarlyError

    async def close(self) -> None:
        """Ends all processes: idle ones by closing their channel, others at once."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        idle, self._idle = self._idle, []
        busy = tuple(self._busy)
        await asyncio.gather(*(child.end() for _, child in idle), *(child.kill() for child in busy), *self._ends)

    async def _ready(self) -> "Child":
        """A process that waits for a call. Raises NotLoadedError, EndsEarlyError."""
        while self._idle:
            _, child = self._idle.pop()
            if child.alive:
                return child
            await child.kill()
        if self._closed:
            raise EndsEarlyError
        return await self._new()

    async def _new(self) -> "Child":
        child = await Child.start(self._program)
        if self._closed:  # meanwhile
            await child.kill()
            raise EndsEarlyError
        return child

    def _let_go(self, child: "Child", *, ends: bool = False) -> None:
        """It is free for the next call, unless it ends."""
        loop = asyncio.get_running_loop()
        if ends or self._closed or not child.alive:
            self._retire(child)
            return
        self._idle.append((loop.time(), child))
        if self._program.idle is not None and self._reaper is None:
            self._reaper = loop.call_later(self._program.idle, self._reap, self._program.idle)

    def _retire(self, child: "Child") -> None:
        task = asyncio.get_running_loop().create_task(child.end())
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    def _reap(self, idle: float) -> None:
        """Ends those that were idle for too long, and comes back for the next."""
        loop = asyncio.get_running_loop()
        self._reaper = None
        while self._idle and self._idle[0][0] <= loop.time() - idle:
            _, child = self._idle.pop(0)
            self._retire(child)
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
        self._program = program
        self._process = process
        self._reader = reader
        self._writer = writer
        self._call = 0
        self.has_begun = False
        self._group_ended = False
        self._helpers = [
            asyncio.create_task(self._forward_output(), name=f"output of {program.module}"),
            asyncio.create_task(self._watch(), name=f"end of {program.module}"),
        ]

    @classmethod
    async def start(cls, program: Program) -> "Child":
        """Starts a process and waits until it is ready. Raises NotLoadedError."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                ours.setblocking(False)
                reader, writer = await asyncio.open_connection(sock=ours)
            except BaseException:
                ours.close()
                raise
            try:
                self = cls(program, await _spawn(program, theirs.fileno()), reader, writer)
            except BaseException as error:
                writer.close()  # a process that is there all the same ends by that
                if isinstance(error, OSError):
                    raise NotLoadedError(f"no process can be started ({error.strerror})") from None
                raise
        try:
            async with asyncio.timeout(program.start):
                hello = await self._header()
        except TimeoutError:
            await self.kill()
            raise NotLoadedError(f"the process was not ready within {program.start:g} s") from None
        except _ChannelClosedError:
            raise NotLoadedError(f"the process did not start ({await self.ended()})") from None
        except BaseException:
            await self.kill()
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

    async def begin(self, call: int, header: Mapping[str, Any], payload: bytes) -> None:
        """Hands a call over; returns when it has begun. Raises NotLoadedError, CrashedError, _ChannelClosedError."""
        self._call, self.has_begun = call, False
        try:
            async with asyncio.timeout(self._program.start):
                self._writer.write(_frame(msgspec.json.encode({**header, "id": call})) + _frame(payload))
                await self._writer.drain()
                answer = await self._message()
        except TimeoutError:
            raise CrashedError(f"it did not begin within {self._program.start:g} s, and was ended") from None
        except OSError:
            raise _ChannelClosedError from None
        if "error" in answer:
            raise NotLoadedError("it cannot be loaded", answer["error"])
        self.has_begun = True

    async def answer(self, limit: int, on_progress: Callable[[float, str], None]) -> Reply:
        """Waits for the end of the call. Raises AnswerTooLongError, _ChannelClosedError."""
        while "progress" in (header := await self._message()):
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
        await self._wait(END_SECONDS_MAX)
        await self.kill()

    async def ended(self) -> str:
        """How it ended, in words: of one that closed its channel, and so has ended or is about to."""
        await self._wait(END_SECONDS_MAX)
        status = self._process.returncode
        await self.kill()
        if status is None:
            return "it closed its channel, and was ended"
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"signal {signal.Signals(-status).name}"
        return f"exit status {status}"

    async def kill(self) -> None:
        """Ends it and all that it has started."""
        if self.alive:
            self._end_group()
        self._writer.close()
        await self._process.wait()
        self._end_group()
        await asyncio.wait(self._helpers[:1], timeout=OUTPUT_SECONDS_MAX)  # what it started may hold its output open
        for helper in self._helpers:
            helper.cancel()
        await asyncio.gather(*self._helpers, return_exceptions=True)

    def _end_group(self) -> None:
        """Once, before the end of the process or right after it: later its number may be another's."""
        if not self._group_ended:
            self._group_ended = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._process.wait()

    async def _watch(self) -> None:
        """A process that has ended leaves nothing behind: neither processes, nor a channel that one of them holds."""
        await self._process.wait()
        self._end_group()
        await asyncio.sleep(LAST_WORDS_SECONDS)
        self._writer.transport.abort()

    async def _message(self) -> dict[str, Any]:
        """The next header of this call. A thread that an earlier one left behind may still tell of its progress."""
        while (header := await self._header()).get("id") != self._call:
            pass
        return header

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
        stream, tell = self._process.stdout, self._program.tell
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
    run = ["-m"] if program.path is None else ["-c", BOOT, json.dumps(program.path)]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", *run, program.module, str(descriptor), *program.arguments),
        pass_fds=[descriptor],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if told else None,
        stderr=asyncio.subprocess.STDOUT if told else None,
        env=program.environment,
        start_new_session=True,  # so that all it starts can be ended with it, and Ctrl-C does not reach it
    )


def _frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
