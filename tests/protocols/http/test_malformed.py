"""What is no acceptable request gets a 4xx (or a closed connection), a closed connection, and not a word too much."""

import random
from contextlib import suppress

import pytest

from .raw import Raw, call, request

KIB = 1024
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


def chunked(chunks: bytes) -> bytes:
    return POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks


MALFORMED: dict[str, tuple[bytes, int]] = {
    "nothing but blanks": (b" \r\n\r\n", 400),
    "binary rubbish": (b"\x00\x01\x02\xff\r\n\r\n", 400),
    "a greeting in TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "HTTP/2 without asking": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a method alone": (b"GET\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "an unknown version": (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
    "another protocol": (b"GET / FTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
    "a header without a colon": (b"GET / HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n", 400),
    "a header without a name": (b"GET / HTTP/1.1\r\nHost: localhost\r\n: b\r\n\r\n", 400),
    "a space before the colon": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX : b\r\n\r\n", 400),
    "a folded header": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: b\r\n c\r\n\r\n", 400),
    "a NUL in a header": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: b\x00c\r\n\r\n", 400),
    "a carriage return in a header": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: b\rc\r\n\r\n", 400),
    "two authorizations": (b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "a length in words": (POST + b"Content-Length: five\r\n\r\n", 400),
    "a length with a sign": (POST + b"Content-Length: +5\r\n\r\nhello", 400),
    "a length in hexadecimal": (POST + b"Content-Length: 0x5\r\n\r\nhello", 400),
    "a length with a blank": (POST + b"Content-Length: 1 2\r\n\r\nhello", 400),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    "the same length twice": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    "a list of lengths": (POST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    "an empty length": (POST + b"Content-Length:\r\n\r\n", 400),
    "an absurd length": (POST + b"Content-Length: 99999999999999999999999\r\n\r\n", 413),
    "a length and an encoding": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "an encoding and a length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "an unknown encoding": (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    "an encoding around chunks": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunks twice": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "an encoding in disguise": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a chunk without a size": (chunked(b"\r\nhello\r\n0\r\n\r\n"), 400),
    "a chunk of a wrong size": (chunked(b"3\r\nhello\r\n0\r\n\r\n"), 400),
    "a chunk of nonsense": (chunked(b"zz\r\nhello\r\n0\r\n\r\n"), 400),
    "an absurd chunk": (chunked(b"ffffffffffffffffffff\r\n"), 413),
    "a huge chunk": (chunked(b"fffffff\r\n" + b"x" * 2_100_000), 413),
    "an unknown expectation": (POST + b"Expect: 200-maybe\r\nContent-Length: 1\r\n\r\n", 417),
    "a tunnel": (b"CONNECT a:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    "a body that is announced too long": (POST + b"Content-Length: 2000001\r\n\r\n", 413),
    "chunks that are too long together": (chunked(b"1000\r\n%s\r\n" % (b"x" * 4096) * 500), 413),
    "a target that is too long": (request("/" + "a" * 70 * KIB), 414),
    "too many headers": (request("/", *(f"X-{n}: a" for n in range(120))), 431),
    "too long headers": (request("/", *(f"X-{n}: {'a' * KIB}" for n in range(40))), 431),
    "one header that is too long": (request("/", f"X: {'a' * 40 * KIB}"), 431),
    "a header without an end": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 500 * KIB, 431),
    "a target without an end": (b"GET /" + b"a" * 500 * KIB, 431),
    "headers without an end": (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 100_000, 431),
    "trailers without an end": (chunked(b"0\r\n" + b"X: y\r\n" * 1_000_000), 413),
    "chunk extensions without an end": (chunked(b"1;" + b"a" * 6_000_000), 413),
    "blank lines without an end": (b"\r\n" * 400_000, 431),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_it_is_refused_and_the_connection_ends(port: int, name: str) -> None:
    sent, status = MALFORMED[name]
    with Raw(port).send(sent) as raw:
        answer = raw.answer()
        assert answer.status == status, answer
        assert answer.headers["connection"] == "close"
        assert len(answer.body) < 100
        assert b"Traceback" not in answer.body
        assert raw.closed()


@pytest.mark.parametrize("name", MALFORMED)
def test_it_is_refused_after_a_good_request_too_and_that_one_is_answered(port: int, name: str) -> None:
    sent, status = MALFORMED[name]
    with Raw(port).send(request() + sent) as raw:
        assert raw.answer().status == 200
        assert raw.answer().status == status
        assert raw.closed()


def test_what_follows_a_refused_request_is_not_carried_out(port: int) -> None:
    smuggled = call("SendMessage", '{"QueueUrl": "work", "MessageBody": "smuggled"}')
    for sent, _ in MALFORMED.values():
        with Raw(port).send(sent + smuggled) as raw, suppress(ConnectionError):
            assert raw.answer().status >= 400
            raw.closed()
    with Raw(port).send(call("ReceiveMessage", '{"QueueUrl": "work"}')) as raw:
        assert raw.answer().body == b"{}"


def test_rubbish_of_all_kinds_gets_no_answer_of_success(port: int) -> None:
    chance = random.Random(7)
    sources = [sent for sent, _ in MALFORMED.values() if len(sent) < 5000]
    for _ in range(300):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with Raw(port).send(bytes(data)).end() as raw, suppress(ConnectionError):
            assert raw.answer().status in {200, 400, 403, 404, 405, 408, 413, 414, 417, 429, 431, 501}
    with Raw(port).send(request()) as raw:
        assert raw.answer().status == 200
