"""Bytes to Request, Response to bytes. No I/O, no clock.

The parsing is httptools' (llhttp in its strict mode, which refuses bare line feeds, doubled or conflicting lengths and
a length next to an encoding). This file adds the limits, and what RFC 9112 leaves to the recipient: one Host header,
the absolute form of a target, trailers (dropped: nobody may add a header after a body was judged).
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import httptools
import msgspec

from encola.protocols.http.limits import HttpLimits
from encola.protocols.http.message import Request, Response

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_ONCE: Final = frozenset({"authorization", "content-length", "content-type", "host", "transfer-encoding", "x-amz-date"})
_PLAIN: Final = (("Content-Type", "text/plain; charset=utf-8"),)
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_BODILESS: Final = frozenset({204, 304})

SPELLINGS_MAX: Final = 1024  # lists of header names that are remembered, and the longest
SPELLING_BYTES_MAX: Final = 1024
_spellings: dict[bytes, tuple[str, ...]] = {}

_HOST: Final = re.compile(r"([A-Za-z0-9._~%-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{0,5})?")
_hosts: set[str] = set()


class BadRequestError(Exception):
    """What the client sent is no acceptable request; ``status`` says why. The connection can't go on."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Parsed(msgspec.Struct):
    """A whole request, whether its connection lives on, and whether the client must be told so (HTTP/1.0)."""

    request: Request
    keep_alive: bool
    say_keep_alive: bool


class RequestParser:
    """Feed it bytes as they come; it answers with the requests that are whole.

    After an error (``error`` is set) or a request that ends its connection (``finished``) further bytes are ignored.
    Header lines are only collected as they come and read all at once at their end: two decodings for a request.
    """

    def __init__(self, limits: HttpLimits, peer: str = "", secure: bool = False) -> None:
        self._limits = limits
        self._headers_max, self._header_bytes_max = limits.headers_max, limits.header_bytes_max
        self._target_bytes_max, self._body_bytes_max = limits.target_bytes_max, limits.body_bytes_max
        self._peer = peer
        self._secure = secure
        self._head_bytes_max = limits.target_bytes_max + limits.header_bytes_max
        # Chunk sizes and extensions are bytes too; they may not be more than the body that they carry could be.
        self._message_bytes_max = self._head_bytes_max + 2 * limits.body_bytes_max
        self._names: list[bytes] = []
        self._values: list[bytes] = []
        self.on_header = _collector(self._names, self._values)
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body = b""
        self._more_body: list[bytes] = []
        self._body_bytes = 0
        self._requests: list[Parsed] = []
        self.error: BadRequestError | None = None
        self.finished = False
        self.started = False  # the first byte of a request is there, its last is not
        self.in_body = False  # its headers are there
        self.message_bytes = 0  # what came of it up to now, but for the last read
        self.expects_continue = False
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> list[Parsed]:
        """The requests that these bytes complete, in order. Sets ``error`` when what follows them is none."""
        if self.finished:
            return []
        rest = data
        while rest:
            try:
                self._parser.feed_data(rest)
                break
            except httptools.HttpParserUpgrade as upgrade:
                rest = self._without_upgrade(rest[upgrade.args[0] :])
            except httptools.HttpParserCallbackError as error:
                cause = error.__context__
                self._fail(cause if isinstance(cause, BadRequestError) else BadRequestError(400, "bad request"))
                break
            except httptools.HttpParserError as error:
                # llhttp counts lengths in 64 bits and has no other way to say that one is absurd.
                absurd = "overflow" in str(error)
                self._fail(
                    BadRequestError(413, "the body is too long") if absurd else BadRequestError(400, "bad syntax")
                )
                break
        requests = self._requests
        if self.started or not requests:
            self._count(len(data))
        if requests:
            self._requests = []
        return requests

    def close(self) -> None:
        """Lets go of everything; the parser and this object hold each other."""
        self.finished = True
        del self._parser

    def _count(self, size: int) -> None:
        self.started = True  # blank lines before a request count as well: a trickle of them must not last for ever
        self.message_bytes += size
        if self.message_bytes > (self._message_bytes_max if self.in_body else self._head_bytes_max):
            self._fail(BadRequestError(413 if self.in_body else 431, "the request is too long"))

    def _without_upgrade(self, rest: bytes) -> bytes:
        """Bytes that put the last request again, without its wish for another protocol, before what follows it.

        RFC 9110 section 7.8 lets a server ignore an upgrade, but the parser stops at one without reading the body.
        """
        request = self._requests.pop().request
        lines = [f"{name}: {value}\r\n" for name, value in request.headers.items() if name != "upgrade"]
        self._parser = httptools.HttpRequestParser(self)
        head = f"{request.method} {self._target.decode('latin-1')} HTTP/1.1\r\n{''.join(lines)}\r\n"
        return head.encode() + rest

    def _fail(self, error: BadRequestError) -> None:
        if not self.finished:  # whatever follows a request with "Connection: close" is nobody's business
            self.error = error
            self.finished = True

    # ---- what httptools calls ----

    def on_message_begin(self) -> None:
        self._target = b""
        self.started = True
        self.in_body = False
        self.message_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._target = self._target + url if self._target else url

    def on_headers_complete(self) -> None:
        self.in_body = True
        if len(self._target) > self._target_bytes_max:
            raise BadRequestError(414, "the request target is too long")
        self._headers = headers = self._read_headers()
        length = headers.get("content-length")
        if length is not None:
            if len(length) > 4 and int(length) > self._body_bytes_max:
                raise BadRequestError(413, "the body is too long")
        elif "transfer-encoding" in headers:
            self._check_chunked(headers["transfer-encoding"])
        host = headers.get("host")
        if host is None:
            if self._parser.get_http_version() != "1.0":
                raise BadRequestError(400, "no host header")
        elif host not in _hosts:
            _check_host(host)
        if "expect" in headers:
            if headers["expect"].lower() != "100-continue":
                raise BadRequestError(417, "unknown expectation")
            self.expects_continue = True

    def _check_chunked(self, encoding: str) -> None:
        if encoding.lower() != "chunked":
            raise BadRequestError(501, "unknown transfer-encoding")
        if self._parser.get_http_version() != "1.1":
            raise BadRequestError(400, "transfer-encoding needs HTTP/1.1")

    def _read_headers(self) -> dict[str, str]:
        names, values = self._names, self._values
        raw, joined = b"\n".join(names), b"\n".join(values)  # neither can hold a line feed
        keys = _spellings.get(raw) or _read_names(raw)
        names.clear()
        values.clear()
        if len(keys) > self._headers_max:
            raise BadRequestError(431, "too many headers")
        if len(raw) + len(joined) > self._header_bytes_max:
            raise BadRequestError(431, "too long headers")
        try:
            text = joined.decode()
        except UnicodeDecodeError:
            text = joined.decode("latin-1")
        found = list(map(str.strip, text.split("\n")))  # the parser drops leading blanks only
        headers = dict(zip(keys, found, strict=False))  # without headers, found has one empty value
        if len(headers) != len(keys):
            headers = _merge(keys, found)
        return headers

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._body_bytes_max:
            raise BadRequestError(413, "the body is too long")
        if self._body:
            self._more_body.append(body)
        else:
            self._body = body
        self.expects_continue = False

    def on_message_complete(self) -> None:
        parser = self._parser
        target = self._target.decode("latin-1")
        method = parser.get_method().decode("ascii")
        if method == "CONNECT":
            raise BadRequestError(405, "this is no proxy")
        body = self._body
        if body:
            self._body = b""
            self._body_bytes = 0
            if self._more_body:
                body = b"".join([body, *self._more_body])
                self._more_body.clear()
        if self._names:
            self._drop_trailers()
        headers = self._headers
        request = Request(
            method,
            target if target[:1] == "/" else origin_form(target),
            headers,
            body,
            self._peer,
            self._secure,
        )
        keep_alive = parser.should_keep_alive()
        if not keep_alive:
            self.finished = True
        self._requests.append(Parsed(request, keep_alive, keep_alive and "connection" in headers))
        self.started = self.in_body = False
        self.message_bytes = 0
        self.expects_continue = False
        if len(self._requests) > self._limits.pipelined_max:
            raise BadRequestError(429, "too many requests at once")

    def _drop_trailers(self) -> None:
        if len(self._names) > self._limits.headers_max:
            raise BadRequestError(431, "too many trailers")
        self._names.clear()
        self._values.clear()


def _collector(names: list[bytes], values: list[bytes]) -> Callable[[bytes, bytes], None]:
    # Called for every header line, so it touches nothing but the two lists.
    add_name, add_value = names.append, values.append

    def on_header(name: bytes, value: bytes) -> None:
        add_name(name)
        add_value(value)

    return on_header


def _read_names(raw: bytes) -> tuple[str, ...]:
    """Names in lower case. A client sends the same list with each request, so lists of usual length are kept."""
    names = tuple(raw.decode("latin-1").lower().split("\n")) if raw else ()
    if len(raw) <= SPELLING_BYTES_MAX:
        if len(_spellings) >= SPELLINGS_MAX:
            _spellings.clear()
        _spellings[raw] = names
    return names


def _check_host(host: str) -> None:
    """Answers go out with this name, so it must be one (RFC 3986 section 3.2.2). Good ones are kept."""
    if not _HOST.fullmatch(host):
        raise BadRequestError(400, "bad host header")
    if len(_hosts) >= SPELLINGS_MAX:
        _hosts.clear()
    _hosts.add(host)


def _merge(names: tuple[str, ...], values: list[str]) -> dict[str, str]:
    """Headers of which some came more than once. Raises BadRequestError where that makes no sense."""
    headers: dict[str, str] = {}
    for name, value in zip(names, values, strict=True):
        if name not in headers:
            headers[name] = value
        elif name in _ONCE:
            raise BadRequestError(400, f"more than one {name} header")
        else:
            headers[name] = f"{headers[name]},{value}"
    return headers


def origin_form(target: str) -> str:
    """Path and query of a target in absolute form (RFC 9112 section 3.2.2); others stay as they are."""
    if target[:7].lower() == "http://" or target[:8].lower() == "https://":
        rest = target.split("//", 1)[1]
        cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        rest = rest[cut:]
        return rest if rest.startswith("/") else "/" + rest
    return target


def encode(
    response: Response, common: str, close: bool = False, say_keep_alive: bool = False, head: bool = False
) -> bytes:
    """The bytes of an answer. ``common`` holds ready-made header lines (Server, Date).

    Raises ValueError when a header of the response holds a line break or another control character.
    """
    status, body = response.status, response.body
    count = 0
    lines = ""
    for name, value in response.headers:
        lines += f"{name}: {value}\r\n"
        count += 1
    if lines.count("\n") != count or lines.count("\r") != count:
        raise ValueError("a header of the response holds a line break")
    if close:
        lines += "Connection: close\r\n"
    elif say_keep_alive:
        lines += "Connection: keep-alive\r\n"
    if response.stream is not None:
        lines += "Transfer-Encoding: chunked\r\n"
        body = chunk(body)
    elif status not in _BODILESS:
        lines += f"Content-Length: {len(body)}\r\n"
    first = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"
    start = f"{first}{common}{lines}\r\n".encode("latin-1")
    return start + body if not head and status not in _BODILESS else start


def chunk(piece: bytes) -> bytes:
    """A piece of a body that is sent in chunks (RFC 9112 section 7.1). An empty one is none: it would be the end."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


LAST_CHUNK = b"0\r\n\r\n"


def refusal(error: BadRequestError) -> Response:
    """The plain answer to what is no request."""
    return Response(error.status, f"{error}\n".encode(), _PLAIN)
