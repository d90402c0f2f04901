"""Hanging up: the end of a long poll in which no message is lost between the service and us.

To close a connection loses the answer that is on its way, and its messages stay leased to nobody. To close only our
side of it does not: what was answered before still comes, and an encola server gives back what it had not answered yet.
"""

import asyncio
from contextvars import ContextVar
from typing import Any

HANG_UP_SECONDS_MAX = 0.5
"""For the answer that is on its way, and the end of the connection."""


class Line:
    """The connection of one request, as soon as it has one (aiohttp's)."""

    def __init__(self) -> None:
        self.connection: Any = None
        self.hung_up = False

    def hang_up(self) -> bool:
        """Tells the service that nobody waits any more. False if that cannot be told so (no connection yet, or TLS)."""
        transport: asyncio.Transport | None = self.connection.transport if self.connection is not None else None
        if transport is None or transport.is_closing() or not transport.can_write_eof():
            return False
        self.hung_up = True
        self.connection.protocol.force_close()  # it serves no other request
        transport.write_eof()
        return True


current_line: ContextVar[Line | None] = ContextVar("encola_line", default=None)
"""Of the request that is made in this context, for who may want to hang up."""
