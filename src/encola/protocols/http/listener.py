"""The listening socket and all its connections: bind, count, sweep, stop."""

import asyncio
import ssl
from email.utils import formatdate
from pathlib import Path

from encola.protocols.http.conversation import Conversation
from encola.protocols.http.limits import HttpLimits
from encola.protocols.http.message import Handler

SWEEP_SECONDS = 1.0
BACKLOG = 4096


class HttpListener:
    """Serves ``handler`` over HTTP/1.1. ``start`` raises OSError when the address can't be had."""

    def __init__(self, handler: Handler, limits: HttpLimits | None = None, *, server_name: str = "encola") -> None:
        self.handler = handler
        self.limits = limits or HttpLimits()
        self.secure = False
        self.stopping = False
        self._server_name = server_name
        self._conversations: set[Conversation] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._now = 0.0
        self._common = ""

    async def start(self, host: str, port: int, ssl_context: ssl.SSLContext | None = None) -> None:
        """Listens on ``host:port`` (port 0: a free one, see ``address``)."""
        self._loop = asyncio.get_running_loop()
        self.secure = ssl_context is not None
        self._sweep()
        self._server = await self._loop.create_server(
            lambda: Conversation(self), host, port, ssl=ssl_context, backlog=BACKLOG
        )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on."""
        assert self._server is not None  # noqa: S101 - a caller's error
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    @property
    def connections(self) -> int:
        return len(self._conversations)

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Stops accepting, closes idle connections, lets running requests finish for a while, cuts the rest."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        deadline = self._loop.time() + grace_seconds
        for conversation in list(self._conversations):
            conversation.finish()
        while self._conversations and self._loop.time() < deadline:
            await asyncio.sleep(0.02)
        for conversation in list(self._conversations):
            conversation.abort()
        while self._conversations:
            await asyncio.sleep(0.01)
        if self._sweeper is not None:
            self._sweeper.cancel()

    # For conversations ------------------------------------------------------------------------------

    def now(self) -> float:
        """The loop's time, read once a sweep: good enough for waits of many seconds."""
        return self._now

    def common_headers(self) -> str:
        return self._common

    def joined(self, conversation: Conversation) -> bool:
        if self.stopping or len(self._conversations) >= self.limits.connections_max:
            return False
        self._conversations.add(conversation)
        return True

    def left(self, conversation: Conversation) -> None:
        self._conversations.discard(conversation)

    def _sweep(self) -> None:
        self._now = self._loop.time()
        self._common = f"Server: {self._server_name}\r\nDate: {formatdate(usegmt=True)}\r\n"
        for conversation in list(self._conversations):
            conversation.check_patience(self._now)
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)


def server_ssl_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or later with a certificate chain and its key (PEM). Raises OSError, ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
