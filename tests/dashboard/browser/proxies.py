"""A reverse proxy in front of the dashboard, as people put one there: it shows the server below a path of its own."""

import asyncio
import threading
from collections.abc import Mapping
from types import TracebackType

from aiohttp import ClientError, ClientSession, ClientTimeout, web

DROPPED = {"host", "connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive"}
START_SECONDS_MAX = 10.0


class Proxy:
    """Passes on what comes below ``prefix``, with these headers, and with ``strip`` without the prefix.

    Answers flow through as they come: an open stream stays open. What the visitor says of himself in one of
    ``headers`` is replaced.
    """

    def __init__(self, target: str, prefix: str, *, strip: bool, headers: Mapping[str, str] | None = None) -> None:
        self._target = target
        self._prefix = prefix
        self._strip = strip
        self._headers = dict(headers or {})
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self.url = ""
        self.unreached = threading.Event()
        """The server was asked for something, and was not there."""

    def __enter__(self) -> "Proxy":
        self._thread.start()
        assert self._ready.wait(START_SECONDS_MAX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS_MAX)
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_route("*", f"{self._prefix}{{tail:.*}}", self._pass_on)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        async with ClientSession(auto_decompress=False, timeout=ClientTimeout(total=None)) as self._session:
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs.removeprefix(self._prefix) if self._strip else request.path_qs
        sent = {name: value for name, value in request.headers.items() if name.lower() not in DROPPED}
        sent |= {"Host": request.host, **self._headers}
        try:
            answer = await self._session.request(
                request.method, self._target + path, headers=sent, data=await request.read(), allow_redirects=False
            )
        except ClientError:
            self.unreached.set()
            return web.Response(status=502)
        async with answer:
            passed = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in DROPPED - {"content-encoding"}:
                    passed.headers.add(name, value)
            await passed.prepare(request)
            async for part in answer.content.iter_any():
                await passed.write(part)
            await passed.write_eof()
            return passed
