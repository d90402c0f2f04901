"""Answers that go on: a listener in this process, and a socket that reads them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from encola.protocols.http.limits import HttpLimits
from encola.protocols.http.listener import HttpListener
from encola.protocols.http.message import Request, Response

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Source:
    """A stream whose pieces the test hands out; it tells when it was closed."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.sent = 0
        self.closed = asyncio.Event()

    async def handle(self, request: Request) -> Response:
        return Response(200, b"first", (("Content-Type", "text/event-stream"),), self.stream())

    async def stream(self) -> AsyncGenerator[bytes, None]:
        try:
            while (piece := await self.pieces.get()) is not None:
                yield piece
                self.sent += 1
        finally:
            self.closed.set()


@asynccontextmanager
async def listening(source: Source, **limits: float) -> AsyncIterator[HttpListener]:
    listener = HttpListener(source.handle, HttpLimits(**limits))  # type: ignore[arg-type]
    await listener.start("127.0.0.1", 0)
    try:
        yield listener
    finally:
        await listener.stop(5)


@asynccontextmanager
async def asking(listener: HttpListener, request: bytes = ASK) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection(*listener.address)
    writer.write(request)
    try:
        yield reader
    finally:
        writer.close()


async def test_pieces_go_out_as_they_come_and_the_end_is_told() -> None:
    source = Source()
    async with listening(source) as listener, asking(listener) as reader:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert b"Content-Length" not in head
        assert await reader.readexactly(10) == b"5\r\nfirst\r\n"
        source.pieces.put_nowait(b"x" * 26)
        assert await reader.readuntil(b"x\r\n") == b"1a\r\n" + b"x" * 26 + b"\r\n"
        source.pieces.put_nowait(b"")  # would be the end if it were sent as a chunk
        source.pieces.put_nowait(b"y")
        source.pieces.put_nowait(None)
        assert await reader.read() == b"1\r\ny\r\n0\r\n\r\n"
        assert source.closed.is_set()


@pytest.mark.parametrize("how", ["closes", "says that it sends no more", "asks for more"])
async def test_a_client_that_leaves_closes_the_stream(how: str) -> None:
    source = Source()
    async with listening(source) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(ASK)
        await reader.readuntil(b"first\r\n")
        if how == "closes":
            writer.close()
        elif how == "asks for more":
            writer.write(ASK)  # is not heard any more; the stream goes on
            source.pieces.put_nowait(b"on")
            assert await reader.readuntil(b"on\r\n") == b"2\r\non\r\n"
            writer.close()
        else:
            writer.write_eof()
        await asyncio.wait_for(source.closed.wait(), 10)
        writer.close()


async def test_a_slow_reader_holds_the_stream_up_and_is_cut_off_in_the_end() -> None:
    source = Source()
    limits = {"write_bytes_max": 10_000, "write_seconds_max": 0.5, "sweep_seconds": 0.05}
    async with listening(source, **limits) as listener, asking(listener) as reader:
        await reader.readuntil(b"first\r\n")
        for _ in range(1000):
            source.pieces.put_nowait(b"z" * 100_000)
        await asyncio.wait_for(source.closed.wait(), 20)
        assert source.sent < 1000


async def test_a_listener_that_stops_ends_its_streams() -> None:
    source = Source()
    async with listening(source) as listener, asking(listener) as reader:
        await reader.readuntil(b"first\r\n")
        await asyncio.wait_for(listener.stop(30), 10)
        assert await reader.read() == b""
        assert source.closed.is_set()


async def test_a_stream_outlives_the_waits_of_idle_connections() -> None:
    source = Source()
    limits = {"idle_seconds_max": 0.1, "linger_seconds_max": 0.1, "sweep_seconds": 0.02}
    async with listening(source, **limits) as listener, asking(listener) as reader:
        await reader.readuntil(b"first\r\n")
        await asyncio.sleep(0.5)
        source.pieces.put_nowait(b"still here")
        assert b"still here" in await reader.readuntil(b"here\r\n")


async def test_a_head_request_gets_the_head_and_no_stream() -> None:
    source = Source()
    async with listening(source) as listener, asking(listener, ASK.replace(b"GET", b"HEAD")) as reader:
        assert (await reader.read()).endswith(b"\r\n\r\n")
        assert not source.sent


async def test_a_stream_that_fails_ends_without_the_last_chunk() -> None:
    source = Source()

    async def failing(request: Request) -> Response:
        async def stream() -> AsyncGenerator[bytes, None]:
            yield b"so far"
            raise ZeroDivisionError

        return Response(200, stream=stream())

    source.handle = failing  # type: ignore[method-assign]
    async with listening(source) as listener, asking(listener) as reader:
        try:
            got = await reader.read()
        except ConnectionResetError:
            return
        assert not got.endswith(b"0\r\n\r\n")
