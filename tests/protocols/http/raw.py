"""HTTP without a client library: what a test writes is what the server reads."""

import socket
from contextlib import suppress
from typing import NamedTuple

SECONDS_MAX = 20.0


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Raw:
    """One connection. All reads end after ``SECONDS_MAX``: a server that hangs fails the test."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX)
        self._held = b""

    def send(self, data: bytes) -> "Raw":
        """Sends as much of it as the server takes: one that has refused may have closed meanwhile."""
        with suppress(ConnectionError):
            self.socket.sendall(data)
        return self

    def end(self) -> "Raw":
        """Closes the sending side only."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def answer(self, *, head: bool = False) -> Answer:
        """The next answer. Raises ConnectionError when the server closed before one came."""
        while b"\r\n\r\n" not in self._held:
            self._read()
        start, _, self._held = self._held.partition(b"\r\n\r\n")
        first, *lines = start.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = 0 if head else int(headers.get("content-length", 0))
        while len(self._held) < length:
            self._read()
        body, self._held = self._held[:length], self._held[length:]
        return Answer(int(first.split(" ")[1]), headers, body)

    def _read(self) -> None:
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionResetError("closed before an answer")
        self._held += part

    def closed(self) -> bool:
        """True when nothing more comes and the server has closed; waits for it."""
        try:
            return self._held == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def request(target: str = "/health/live", *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A well-formed request; a body brings its length."""
    length = (f"Content-Length: {len(body)}",) if body else ()
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *lines, *length, "", ""]).encode() + body


def call(operation: str, body: str) -> bytes:
    """A request of the JSON protocol."""
    return request("/", f"X-Amz-Target: AmazonSQS.{operation}", method="POST", body=body.encode())
