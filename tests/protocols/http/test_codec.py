"""The request codec by itself: however bytes are cut into pieces, they mean the same, and nothing makes it fail."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from encola.protocols.http.codec import RequestParser, encode, origin_form
from encola.protocols.http.limits import HttpLimits
from encola.protocols.http.message import Response

LIMITS = HttpLimits()
SMALL = HttpLimits(
    target_bytes_max=40,
    headers_max=6,
    header_bytes_max=120,
    body_bytes_max=50,
    pipelined_max=4,
    pipelined_bytes_max=100,
)


def parsed(pieces: list[bytes], limits: HttpLimits = LIMITS) -> list[Any]:
    """All that comes of the pieces: requests, and at the end the status of an error, or that it is finished."""
    parser = RequestParser(limits, "peer", secure=True)
    found: list[Any] = []
    for piece in pieces:
        for one in parser.feed(piece):
            request = one.request
            assert (request.peer, request.secure) == ("peer", True)
            headers = tuple(sorted(request.headers.items()))
            found.append((request.method, request.target, headers, request.body, one.keep_alive, one.say_keep_alive))
    found.append(parser.error.status if parser.error else parser.finished)
    parser.close()
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


# Pieces of requests, good and bad, that are put together and then spoilt.
METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"BREW", b"get", b""]
TARGETS = [b"/", b"/a?b=c", b"http://h/p", b"HTTPS://h?q", b"*", b"/\xc3\xa9", b"/%00", b"", b"/a b"]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b""]
LINES = [
    b"Host: a",
    b"host:a",
    b"Host: b",
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Content-Length: 05",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: upgrade",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"Expect: magic",
    b"X-A: 1",
    b"X-A: 2",
    b"x-a:",
    b"X-B: \xff\xfe",
    b"X-B: caf\xc3\xa9",
    b"X-C:\t padded \t",
    b"X-D: a\x00b",
    b" folded",
    b"no colon",
    b": no name",
    b"Authorization: AWS4-HMAC-SHA256 Credential=a",
]
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"]
BODIES = [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n", b"zz\r\n", b"0\r\n\r\n"]


# (what the headers say of the body, the body)
GOOD_BODIES = [
    (b"", b""),
    (b"Content-Length: 5\r\n", b"hello"),
    (b"Content-Length: 0\r\n", b""),
    (b"Transfer-Encoding: chunked\r\n", b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"),
    (b"Transfer-Encoding: Chunked\r\n", b"0\r\nX: trailer\r\n\r\n"),
]
GOOD_LINES = [
    b"Connection: keep-alive",
    b"Connection: upgrade",
    b"Connection: x",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"X-A: 1",
    b"X-A: 2",
    b"x-a:",
    b"X-B: \xff\xfe",
    b"X-B: caf\xc3\xa9",
    b"X-C:\t padded \t",
]


@st.composite
def good_requests(draw: st.DrawFn) -> bytes:
    first = draw(
        st.sampled_from([b"POST / HTTP/1.1\r\n", b"GET http://h/p?q HTTP/1.1\r\n", b"\r\nHEAD /\xff HTTP/1.1\r\n"])
    )
    length, body = draw(st.sampled_from(GOOD_BODIES))
    lines = b"".join(line + b"\r\n" for line in draw(st.lists(st.sampled_from(GOOD_LINES), max_size=4)))
    return first + lines + length + b"Host: a\r\n\r\n" + body


@st.composite
def odd_requests(draw: st.DrawFn) -> bytes:
    end = draw(st.sampled_from(ENDS))
    first = b" ".join(draw(st.sampled_from(part)) for part in (METHODS, TARGETS, VERSIONS))
    lines = draw(st.lists(st.sampled_from(LINES), max_size=6))
    if draw(st.booleans()):
        first, lines = b"POST / HTTP/1.1", [b"Host: a", *lines]
    return end.join([first, *lines, b"", b""]) + draw(st.sampled_from(BODIES))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Good requests, then perhaps an odd one, and some bytes of it all changed, put in or left out."""
    parts = draw(st.lists(good_requests(), max_size=4))
    if draw(st.booleans()):
        parts.append(draw(odd_requests() | st.binary(max_size=10)))
    data = bytearray(b"".join(parts))
    for _ in range(max(0, draw(st.integers(-3, 2)))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


PLACES = st.lists(st.integers(0, 2000), max_size=12)
GOOD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
UPGRADE = b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello"


@settings(max_examples=1000, deadline=None)
@given(streams(), PLACES)
@example(GOOD * 3, [50])
@example(UPGRADE + GOOD, [100, 101])
@example(UPGRADE + UPGRADE, [])
def test_bytes_in_pieces_mean_what_they_mean_in_one(data: bytes, places: list[int]) -> None:
    whole = parsed([data])
    assert parsed(cut(data, places)) == whole
    assert parsed([data[at : at + 1] for at in range(len(data))]) == whole


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300), PLACES)
def test_any_bytes_are_refused_or_read_alike(data: bytes, places: list[int]) -> None:
    assert parsed(cut(data, places)) == parsed([data])


@settings(max_examples=500, deadline=None)
@given(streams(), PLACES)
def test_small_limits_refuse_sooner_or_later_but_change_no_request(data: bytes, places: list[int]) -> None:
    """Where a limit strikes depends on the pieces; what is let through does not."""
    free, limited = parsed([data]), parsed(cut(data, places), SMALL)
    assert limited[:-1] == free[: len(limited) - 1]
    assert all(len(target) <= 40 and len(body) <= 50 for _, target, _, body, _, _ in limited[:-1])
    if limited[-1] not in (413, 414, 429, 431):
        assert limited == free


NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).filter(lambda name: name.strip("-"))
RESERVED = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "trailer", "te"}
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x24F, blacklist_characters="\x7f"), max_size=30).map(
    lambda text: "".join(char for char in text if not 0x7F <= ord(char) <= 0x9F).strip()
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=8), st.binary(max_size=300), st.booleans(), PLACES)
def test_a_good_request_comes_out_as_it_was_put_in(
    headers: dict[str, str], body: bytes, chunked: bool, places: list[int]
) -> None:
    headers = {name: value for name, value in headers.items() if name not in RESERVED}
    lines = [f"{name.title()}:  {value} " for name, value in headers.items()]
    lines += ["Host: a", "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"]
    head = "\r\n".join(["POST /p?q HTTP/1.1", *lines, "", ""]).encode()
    middle = len(body) // 2
    chunks = b"".join(b"%X\r\n%s\r\n" % (len(part), part) for part in (body[:middle], body[middle:]) if part)
    data = head + (chunks + b"0\r\n\r\n" if chunked else body)
    (request, error) = parsed(cut(data, places))
    method, target, found, got, keep_alive, _ = request
    assert (method, target, got, keep_alive, error) == ("POST", "/p?q", body, True, False)
    own = {name: value for name, value in found if name not in RESERVED}
    assert own == headers


def test_headers_of_the_same_name_are_joined_but_not_those_that_come_once() -> None:
    (request, _) = parsed([b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n"])
    assert dict(request[2])["x"] == "1,2"
    for name in ("Host", "Content-Type", "Authorization", "X-Amz-Date"):
        assert parsed([f"GET / HTTP/1.1\r\nHost: a\r\n{name}: 1\r\n{name}: 1\r\n\r\n".encode()]) == [400]


def test_trailers_are_dropped() -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\nX: y\r\n\r\n"
    (request, error) = parsed([data])
    assert dict(request[2])["host"] == "a"
    assert "x" not in dict(request[2])
    assert error is False


def test_blank_lines_after_a_request_are_counted_as_a_head_of_their_own() -> None:
    """Once, they were counted as the body of the request before: a flow of them lasted very long."""
    parser = RequestParser(LIMITS)
    assert len(parser.feed(GOOD)) == 1
    assert parser.feed(b"\r\n" * 1000) == []
    assert (parser.started, parser.in_body, parser.message_bytes) == (True, False, 2000)
    parser.feed(b"\r\n" * 50_000)
    assert parser.error is not None
    assert parser.error.status == 431


def test_targets_in_absolute_form_lose_their_origin() -> None:
    for target, form in (
        ("/a", "/a"),
        ("http://h/a?b", "/a?b"),
        ("https://h", "/"),
        ("HTTP://h?b", "/?b"),
        ("http://h?b/c", "/?b/c"),
        ("*", "*"),
        ("ftp://h/a", "ftp://h/a"),
    ):
        assert origin_form(target) == form


@given(st.integers(100, 599), st.binary(max_size=50), st.booleans())
def test_answers_have_their_length_and_nothing_that_does_not_belong(status: int, body: bytes, head: bool) -> None:
    data = encode(Response(status, body, (("X", "y"),)), "Server: s\r\n", True, False, head)
    start, _, rest = data.partition(b"\r\n\r\n")
    lines = start.decode().split("\r\n")
    assert lines[0].startswith(f"HTTP/1.1 {status} ")
    assert {"Server: s", "X: y", "Connection: close"} <= set(lines)
    if status in (204, 304):
        assert rest == b""
    else:
        assert f"Content-Length: {len(body)}" in lines
        assert rest == (b"" if head else body)


@given(st.text(max_size=5), st.sampled_from(["\r", "\n", "\r\n"]), st.text(max_size=5))
def test_an_answer_cannot_be_split_by_what_is_in_a_header(before: str, between: str, after: str) -> None:
    try:
        encode(Response(200, b"", (("X", f"{before}{between}{after}"),)), "")
    except ValueError:
        return
    raise AssertionError("a line break got into the head of an answer")


@pytest.mark.parametrize("host", ["", "a/b", "a@b", 'x"><y', "a b", "[::1", "a:b", "é"])
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    assert parsed([f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()]) == [400]


@pytest.mark.parametrize("host", ["a", "a.example:80", "127.0.0.1:9324", "[::1]:9324", "under_score", "a:"])
def test_a_host_that_is_a_name_is_taken(host: str) -> None:
    (request, _) = parsed([f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()])
    assert dict(request[2])["host"] == host
