"""The listening socket and all its connections: bind, count, sweep, stop."""

import asyncio
import ssl
from email.utils import formatdate
from pathlib import Path

from encola.protocols.http.conversation import Conversation
from encola.protocols.http.limits import HttpLimits
from encola.protocols.http.message import AccessHook, Handler

__all__ = ["HttpLimits", "HttpListener", "server_ssl_context"]

BACKLOG = 4096


class HttpListener:
    """Serves ``handler`` over HTTP/1.1, with or without TLS.

    One timer sweeps over all connections once a second: it judges their waits, and renews the Date of the answers.
    """

    def __init__(
        self,
        handler: Handler,
        limits: HttpLimits | None = None,
        *,
        server_name: str = "encola",
        access: AccessHook | None = None,
    ) -> None:
        self.handler = handler
        self.access = access
        self.limits = limits or HttpLimits()
        self.secure = False
        self.stopping = False
        self.now = 0.0
        self.common_headers = ""
        self._server_name = server_name
        self._conversations: set[Conversation] = set()
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int, ssl_context: ssl.SSLContext | None = None) -> None:
        """Listens on ``host:port`` (port 0: a free one, see ``address``). Raises OSError when that can't be had."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self.secure = ssl_context is not None
        self._empty.set()
        self._server = await loop.create_server(
            lambda: Conversation(self, loop),
            host,
            port,
            ssl=ssl_context,
            backlog=BACKLOG,
            ssl_handshake_timeout=self.limits.header_seconds_max if ssl_context else None,
            ssl_shutdown_timeout=self.limits.linger_seconds_max if ssl_context else None,
        )
        self._sweep()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on. Raises RuntimeError before ``start``."""
        if self._server is None or not self._server.sockets:
            raise RuntimeError("the listener is not started")
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._conversations)

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Stops accepting, closes idle connections, lets running requests finish for a while, then cuts the rest."""
        if self._server is None:
            return
        self.stopping = True
        self._server.close()
        for conversation in list(self._conversations):
            conversation.finish()
        try:
            async with asyncio.timeout(grace_seconds):
                await self._empty.wait()
        except TimeoutError:
            for conversation in list(self._conversations):
                conversation.abort()
            await self._empty.wait()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    # ---- for conversations ----

    def joined(self, conversation: Conversation) -> bool:
        if self.stopping or len(self._conversations) >= self.limits.connections_max:
            return False
        self._conversations.add(conversation)
        self._empty.clear()
        return True

    def left(self, conversation: Conversation) -> None:
        self._conversations.discard(conversation)
        if not self._conversations:
            self._empty.set()

    def _sweep(self) -> None:
        self.now = self._loop.time()
        self.common_headers = f"Server: {self._server_name}\r\nDate: {formatdate(usegmt=True)}\r\n"
        for conversation in list(self._conversations):
            conversation.sweep(self.now)
        self._sweeper = self._loop.call_later(self.limits.sweep_seconds, self._sweep)


def server_ssl_context(cert: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or later with a certificate chain and its key (both PEM). Raises OSError or ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    return context
