"""Functions behind a URL: Lambda's runtime interface emulator, a plain webhook, or anything that takes a POST.

A connection for each call: one that was kept might be closed by the other side just as a batch is sent, and nobody
could tell whether the function has run. Redirects are not followed.
"""

from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from encola.mappings.functions import EMULATOR_PATH, DeclaredFunction
from encola.mappings.targets.target import RESPONSE_BYTES_MAX, Answer, Failed, Invocation, Refused, Returned, shortened

CONNECT_SECONDS_MAX = 10.0
THROTTLED = (429, 503)
"""Statuses with which a server says that it did not take the request."""


class HttpTarget:
    """Posts each event as JSON. ``session`` makes a connection for each request."""

    def __init__(self, function: DeclaredFunction, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._timeout = function.timeout
        self._limits = limits_of(function.timeout)
        self._url = URL(function.target, encoded=True)
        self._headers = {"Content-Type": "application/json", **function.headers}
        self._emulator = urlsplit(function.target).path == EMULATOR_PATH

    async def invoke(self, invocation: Invocation) -> Answer:
        """A connection that cannot be made, 429 and 503 refuse; what else is not 2xx is a failure."""
        try:
            async with self._session.post(
                self._url,
                data=invocation.payload,
                headers={**self._headers, "X-Encola-Invocation-Id": invocation.id},
                timeout=self._limits,
                allow_redirects=False,
            ) as response:
                return await self._answer(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            return Refused(shortened(f"cannot connect: {type(error).__name__}: {error}"))
        except TimeoutError:
            return Failed(f"timed out after {self._timeout} seconds")
        except (aiohttp.ClientError, OSError) as error:
            return Failed(shortened(f"the connection broke: {type(error).__name__}: {error}"))

    async def close(self) -> None:
        """Nothing to do: the session belongs to all targets."""

    async def _answer(self, response: aiohttp.ClientResponse) -> Answer:
        if response.status in THROTTLED:
            return Refused(f"status {response.status}", throttled=True)
        body = await read_limited(response)
        if body is None:
            return Failed(f"the response is longer than {RESPONSE_BYTES_MAX} bytes")
        if not 200 <= response.status < 300:
            return Failed(f"status {response.status}")
        if "X-Amz-Function-Error" in response.headers or (self._emulator and is_error_payload(body)):
            return Failed(problem_of(body))
        return Returned(body)


def limits_of(seconds: float) -> aiohttp.ClientTimeout:
    """Times for a call: that for the connection ends well before the whole, so that the two can be told apart."""
    return aiohttp.ClientTimeout(total=seconds, sock_connect=min(CONNECT_SECONDS_MAX, seconds / 2))


async def read_limited(response: aiohttp.ClientResponse) -> bytes | None:
    """The body of a response; None when it is longer than a function's response may be."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > RESPONSE_BYTES_MAX:
            return None
        parts.append(part)
    return b"".join(parts)


def is_error_payload(body: bytes) -> bool:
    """Is it what Lambda's runtimes answer for an error? The emulator gives it the status 200."""
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(payload, dict) and {"errorMessage", "errorType"} <= payload.keys()


def problem_of(body: bytes) -> str:
    """The type and text of a function's error, from the payload that Lambda's runtimes make of it."""
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        return "the function failed"
    return shortened(f"{payload.get('errorType', 'Error')}: {payload.get('errorMessage', '')}")
