"""Bytes to Request, Response to bytes. No I/O, no clock.

The parsing is httptools' (llhttp, in its strict mode). This file adds the limits and refuses what RFC 9112 leaves to
the recipient and attackers use: both a length and an encoding, two different lengths, a length that is not a number.
"""

from http import HTTPStatus
from urllib.parse import urlsplit

import httptools

from encola.protocols.http.limits import HttpLimits
from encola.protocols.http.message import Request, Response


class BadRequestError(Exception):
    """What the client sent is no acceptable request; ``status`` says why. The connection can't go on."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Parsed:
    """A whole request, and whether its connection may be used again after the answer."""

    __slots__ = ("keep_alive", "request")

    def __init__(self, request: Request, keep_alive: bool) -> None:
        self.request = request
        self.keep_alive = keep_alive


class RequestParser:
    """Feed it bytes as they come; take the whole requests. Raises BadRequestError, once and for all."""

    def __init__(self, limits: HttpLimits, peer: str = "", secure: bool = False) -> None:
        self._limits = limits
        self._peer = peer
        self._secure = secure
        self._parser = httptools.HttpRequestParser(self)
        self._requests: list[Parsed] = []
        self.started = False  # the first byte of a request is there, its last is not
        self.expects_continue = False
        self._begin()

    def feed(self, data: bytes) -> list[Parsed]:
        """The requests that these bytes complete."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise BadRequestError(400, "upgrades are not offered") from None
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            raise (cause if isinstance(cause, BadRequestError) else BadRequestError(400, "bad request")) from None
        except httptools.HttpParserError:
            raise BadRequestError(400, "not an HTTP/1.1 request") from None
        if not self._requests:
            # Also blank lines before a request count as a start: a trickle of them must not last for ever.
            self.started = True
            return []
        requests, self._requests = self._requests, []
        return requests

    # What httptools calls ---------------------------------------------------------------------------

    def _begin(self) -> None:
        self._target: list[bytes] = []
        self._target_bytes = 0
        self._headers: dict[str, str] = {}
        self._header_count = 0
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_message_begin(self) -> None:
        self.started = True
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._target_bytes += len(url)
        if self._target_bytes > self._limits.target_bytes_max:
            raise BadRequestError(414, "the request target is too long")
        self._target.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        limits = self._limits
        if self._header_count > limits.headers_max or self._header_bytes > limits.header_bytes_max:
            raise BadRequestError(431, "too many or too long headers")
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers = self._headers
        if key in headers:
            if key in _SINGLE and headers[key] != text:
                raise BadRequestError(400, f"two different {key} headers")
            text = f"{headers[key]},{text}"
        headers[key] = text

    def on_headers_complete(self) -> None:
        headers = self._headers
        length = headers.get("content-length")
        if length is not None:
            if "transfer-encoding" in headers:
                raise BadRequestError(400, "both content-length and transfer-encoding")
            if not length.isdigit():
                raise BadRequestError(400, "content-length is not a number")
            if len(length) > 18 or int(length) > self._limits.body_bytes_max:
                raise BadRequestError(413, "the body is too long")
        if "expect" in headers:
            if headers["expect"].lower() != "100-continue":
                raise BadRequestError(417, "unknown expectation")
            self.expects_continue = True

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes_max:
            raise BadRequestError(413, "the body is too long")
        self._body.append(body)

    def on_message_complete(self) -> None:
        parser = self._parser
        body = self._body
        request = Request(
            parser.get_method().decode("latin-1"),
            b"".join(self._target).decode("latin-1"),
            self._headers,
            body[0] if len(body) == 1 else b"".join(body),
            self._peer,
            self._secure,
        )
        self._requests.append(Parsed(request, parser.should_keep_alive()))
        self.started = False
        self.expects_continue = False
        if len(self._requests) > self._limits.pipelined_max:
            raise BadRequestError(429, "too many requests at once")


_SINGLE = {"content-length", "host", "transfer-encoding"}

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def encode(response: Response, common: str, *, close: bool = False, head: bool = False) -> bytes:
    """The bytes of an answer. ``common`` holds ready-made header lines (Server, Date)."""
    lines = [_STATUS_LINES.get(response.status) or f"HTTP/1.1 {response.status} \r\n", common]
    for name, value in response.headers:
        lines.append(f"{name}: {value}\r\n")
    lines.append(f"Content-Length: {len(response.body)}\r\n")
    lines.append("Connection: close\r\n\r\n" if close else "\r\n")
    start = "".join(lines).encode("latin-1", "replace")
    return start if head else start + response.body


def path_of(target: str) -> str:
    """The path of a request target, which may be in absolute form (RFC 9112, section 3.2.2)."""
    if target.startswith("/"):
        return target.partition("?")[0]
    return urlsplit(target).path or "/"


def refusal(error: BadRequestError) -> Response:
    """The plain answer to what is no request."""
    return Response(error.status, f"{error}\n".encode(), (("Content-Type", "text/plain; charset=utf-8"),))
