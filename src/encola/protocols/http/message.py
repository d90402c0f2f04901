"""An HTTP request and its response as values: what a handler gets and gives."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import msgspec


class Request(msgspec.Struct):
    """One whole request.

    ``target`` is the raw request target (path and query, still percent-encoded). ``headers`` has lower-case
    names; a header that came more than once is joined with "," (RFC 9110 section 5.2). ``hung_up`` becomes true when
    the client closes its sending side while it is being answered: most likely it has left. A handler sets ``parked``
    when it only waits for something to happen: it is then cancelled as soon as the client hangs up.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    peer: str = ""
    secure: bool = False
    hung_up: bool = False
    parked: bool = False


class Response(msgspec.Struct):
    """One whole response; Content-Length, Date, Server and Connection are the listener's business.

    With a ``stream`` the body goes on: each piece is sent as it comes, in chunks, until the stream ends or the client
    leaves; then the stream is closed, so that its ``finally`` runs. A slow reader holds it up.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncGenerator[bytes, None] | None = None


Handler = Callable[[Request], Coroutine[Any, Any, Response]]
"""Answers a request. The listener cancels it when the client goes away before the answer."""

AccessHook = Callable[[Request, Response, float], None]
"""Told of each answer, with the seconds that it took."""
