"""One POST over aiohttp: the session, its connections, and what can go wrong with one.

All that aiohttp offers and we do not need is off: cookies, compression, redirects, its own headers, its own retries.
It is imported when the session is made: who never talks to a service does not pay for it.
"""

import asyncio
import ssl
import time
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from encola.consumers.sqs.address import Address
from encola.consumers.sqs.line import current_line
from encola.consumers.sqs.tries import BrokenError

CONNECT_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 20.0
"""For the answer, beyond the time that a long poll may wait."""

IDLE_SECONDS_MAX = 15.0
"""Connections that were not used for so long are closed, before something on the way does it silently."""

STALE_SECONDS = 1.0
"""A connection that breaks so soon was broken before."""

_NO_HEADERS_OF_ITS_OWN = ("Accept", "Accept-Encoding")


class Answer(NamedTuple):
    """``date`` is the service's clock, as it says it."""

    status: int
    body: bytes
    date: str


class _Response(aiohttp.ClientResponse):
    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        line = current_line.get()
        if line is not None:
            line.connection = connection
        return await super().start(connection)


class Http:
    """To be made and used in one event loop."""

    def __init__(self, address: Address, user_agent: str, ca_bundle: str | None) -> None:
        self._url = URL(address.url, encoded=True)
        self._proxy = _proxy_of(address)
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=IDLE_SECONDS_MAX, ssl=_tls(ca_bundle) if ca_bundle else True
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": user_agent},
            skip_auto_headers=_NO_HEADERS_OF_ITS_OWN,
            auto_decompress=False,
            response_class=_Response,
        )

    async def close(self) -> None:
        await self._session.close()

    async def post(self, headers: Mapping[str, str], body: bytes, wait: float) -> Answer:
        """``wait``: for how long the service may take its time. Raises BrokenError.

        Cancelled, it closes the connection: that tells the service that nobody waits any more.
        """
        begun = time.monotonic()
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=headers,
                timeout=self._timeout(wait),
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                answer = await response.read()
                return Answer(response.status, answer, response.headers.get("Date", ""))
        except (aiohttp.ClientError, OSError) as error:
            line = current_line.get()
            if line is not None and line.hung_up:
                raise asyncio.CancelledError from None  # as was wanted: there is nothing to repeat
            raise _broken(error, begun, wait) from None

    def _timeout(self, wait: float) -> aiohttp.ClientTimeout:
        timeout = self._timeouts.get(wait)
        if timeout is None:
            timeout = self._timeouts[wait] = aiohttp.ClientTimeout(
                total=wait + ANSWER_SECONDS_MAX, connect=CONNECT_SECONDS_MAX
            )
        return timeout


def _broken(error: Exception, begun: float, wait: float) -> BrokenError:
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return BrokenError(_told(error), sent=False)
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return BrokenError(_told(error), sent=True, stale=time.monotonic() - begun < STALE_SECONDS)
    if isinstance(error, TimeoutError):
        return BrokenError(f"no answer within {wait + ANSWER_SECONDS_MAX:.0f} s", sent=True)
    return BrokenError(_told(error), sent=True)


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__


def _tls(ca_bundle: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_bundle)


def _proxy_of(address: Address) -> str | None:
    """As the environment says (HTTPS_PROXY, NO_PROXY); looked up once, since it costs as much as a request."""
    if address.local or urllib.request.proxy_bypass(address.host):
        return None
    return urllib.request.getproxies().get("https" if address.secure else "http")
