"""The front door: which part of the server answers a request, and what no part shall see.

A server without credentials trusts whoever reaches its loopback address. A browser on the same machine does, on behalf
of any page that it shows; so requests that a page of another site started are refused there. Their marks are headers
that a page cannot change: Origin and Sec-Fetch-Site (RFC 6454, https://www.w3.org/TR/fetch-metadata/), and Host, which
has the page's own name when that name was made to point to this machine (DNS rebinding).
"""

from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

from encola.dashboard.app import is_ours
from encola.dashboard.links import UI
from encola.protocols.cloudwatch.endpoint import TARGET_PREFIX as CLOUDWATCH
from encola.protocols.cloudwatch.endpoint import is_ours as is_for_cloudwatch
from encola.protocols.http.message import Handler, Request, Response
from encola.protocols.jobs.endpoint import PREFIX as JOBS
from encola.protocols.lambda_api.endpoint import PREFIX as LAMBDA_PREFIX
from encola.protocols.prometheus.endpoint import PATH as METRICS
from encola.protocols.workers.endpoint import PREFIX as WORKERS
from encola.server.health import PATHS
from encola.server.loopback import is_address, is_loopback

HOSTS_MAX = 1000  # that are remembered
SQS = ("AmazonSQS.", "Encola.")
"""Begins the targets of nearly all requests: one look, and none of what follows is in their way."""
OURS = "Encola"

_PLAIN = (("Content-Type", "text/plain; charset=utf-8"),)
FOREIGN_PAGE = Response(
    403, b"This server has no credentials configured and takes no requests from pages of other sites.\n", _PLAIN
)
FOREIGN_NAME = Response(
    403,
    b"This server has no credentials configured and answers to localhost, to addresses and to the name in"
    b" server.public_url only.\n",
    _PLAIN,
)
_READS = ("GET", "HEAD")


class Front:
    """See the module. ``trusting``: there are no credentials. ``public_host`` is a name of ours besides localhost."""

    def __init__(
        self,
        sqs: Handler,
        health: Handler,
        *,
        trusting: bool,
        public_host: str = "",
        lambda_api: Handler | None = None,
        jobs: Handler | None = None,
        workers: Handler | None = None,
        cloudwatch: Handler | None = None,
        pages: Handler | None = None,
        metrics: Handler | None = None,
        base_path: str = "",
    ) -> None:
        self._sqs = sqs
        self._health = health
        self._lambda = lambda_api or sqs
        self._cloudwatch = cloudwatch or sqs
        self._ours = {JOBS: jobs or sqs, WORKERS: workers or sqs}
        self._pages = pages
        self._metrics = metrics or sqs
        self._base_path = base_path
        self._below = (f"{UI}/", f"{base_path}{UI}/") if pages is not None else ()
        self._trusting = trusting
        self._public_host = public_host
        self._hosts: dict[str, bool] = {}

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Refuses pages of other sites, answers health checks, and leaves the rest to the protocol that is spoken.

        A plain function: every request comes through here, and an ``async`` one costs each of them.
        """
        if self._trusting:
            headers = request.headers
            if not self._is_ours(headers.get("host", "localhost")):
                return _refuse(FOREIGN_NAME)
            marked = "origin" in headers or "sec-fetch-site" in headers
            if marked and self._of_foreign_page(headers) and not self._shows(request):
                return _refuse(FOREIGN_PAGE)
        if request.method in _READS:
            path = request.target.partition("?")[0]
            if path in PATHS:
                return self._health(request)
            if path == METRICS:
                return self._metrics(request)
            if self._shows(request):
                return self._pages(request)  # type: ignore[misc]  # there are pages, if one is shown
        elif self._below and request.target.startswith(self._below):
            return self._pages(request)  # type: ignore[misc]
        if request.target.startswith(LAMBDA_PREFIX):
            return self._lambda(request)
        target = request.headers.get("x-amz-target", "")
        if target.startswith(SQS):
            return self._sqs(request)
        if target.startswith(OURS):
            return self._ours.get(f"{target.partition('.')[0]}.", self._sqs)(request)
        if target.startswith(CLOUDWATCH) or (not target and is_for_cloudwatch(request)):
            return self._cloudwatch(request)
        return self._sqs(request)

    def _shows(self, request: Request) -> bool:
        """Does it ask for a page to look at? A link to one may be anywhere: it changes nothing, and nobody can read it
        but who follows it."""
        return self._pages is not None and request.method in _READS and is_ours(request, self._base_path)

    def _of_foreign_page(self, headers: dict[str, str]) -> bool:
        origin = headers.get("origin")
        if origin is not None:
            name = _host(origin)
            return not (is_loopback(name) or name == self._public_host != "")
        return headers["sec-fetch-site"] not in ("same-origin", "none")

    def _is_ours(self, host: str) -> bool:
        """Is a Host header a name of ours, or an address? Else somebody made his own name point to us."""
        known = self._hosts.get(host)
        if known is None:
            name = _host(f"//{host}")
            known = is_loopback(name) or is_address(name) or name == self._public_host != ""
            if len(self._hosts) >= HOSTS_MAX:
                self._hosts.clear()
            self._hosts[host] = known
        return known


async def _refuse(response: Response) -> Response:
    return response


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
