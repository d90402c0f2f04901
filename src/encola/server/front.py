"""The front door: which part of the server answers a request, and what no part shall see.

A server without credentials trusts whoever reaches its loopback address. A browser on the same machine does, on behalf
of any page that it shows; so requests that a page of another site started are refused there (the marks are headers that
only browsers send, and that a page cannot change: https://www.w3.org/TR/fetch-metadata/ and RFC 6454).
"""

from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

from encola.protocols.http.message import Handler, Request, Response
from encola.server.health import PATHS
from encola.server.loopback import is_loopback

FOREIGN_PAGE = Response(
    403,
    b"This server has no credentials configured and takes no requests from pages of other sites.\n",
    (("Content-Type", "text/plain; charset=utf-8"),),
)
_READS = ("GET", "HEAD")


class Front:
    """See the module. ``trusting``: there are no credentials, so pages of other sites are refused."""

    def __init__(self, sqs: Handler, health: Handler, *, trusting: bool) -> None:
        self._sqs = sqs
        self._health = health
        self._trusting = trusting

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Refuses pages of other sites, answers health checks, and leaves the rest to SQS.

        A plain function: every request comes through here, and an ``async`` one costs each of them.
        """
        if self._trusting and _of_foreign_page(request.headers):
            return _refuse()
        if request.method in _READS and request.target.partition("?")[0] in PATHS:
            return self._health(request)
        return self._sqs(request)


async def _refuse() -> Response:
    return FOREIGN_PAGE


def _of_foreign_page(headers: dict[str, str]) -> bool:
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is None and site is None:
        return False  # no browser
    if not is_loopback(_host(f"//{headers.get('host', '')}")):
        return True  # a name of somebody else that was made to point to us
    if origin is not None:
        return not is_loopback(_host(origin))
    return site not in ("same-origin", "none")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
