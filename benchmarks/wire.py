"""Responses out of bytes, and a blocking client for what happens outside the measured time.

The scan looks for three things only: the end of the head, the length, the status. It is all that a load generator can
afford, and enough for servers that say Content-Length (all that we measure do; a chunked answer ends the run).
"""

import socket
from typing import Any

import msgspec

from benchmarks.signing import Signer

RECEIVE_BYTES = 32 * 1024
CONTROL_SECONDS_MAX = 60.0


class WrongAnswerError(Exception):
    """The server answered something that it must not: the run is void."""


def body_of(data: bytes) -> bytes | None:
    """The body of a whole response with status 200; None if there is more to come. Raises WrongAnswerError."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    at = data.find(b"ength: ", 0, end)  # Content-Length or content-length
    if at < 0:
        raise WrongAnswerError(f"a response without Content-Length: {data[:end]!r}")
    start, length = end + 4, int(data[at + 7 : data.find(b"\r", at)])
    if len(data) < start + length:
        return None
    if data[9:12] != b"200" or len(data) > start + length:
        raise WrongAnswerError(f"{data[:2000]!r}")
    return data[start:]


class Control:
    """A blocking client: one connection, one call at a time."""

    def __init__(self, host: str, port: int) -> None:
        self.signer = Signer(f"{host}:{port}")
        self._address = (host, port)
        self._socket = socket.create_connection(self._address, CONTROL_SECONDS_MAX)

    def call(self, action: str, **fields: Any) -> dict[str, Any]:
        """Raises WrongAnswerError, OSError."""
        self._socket.sendall(self.signer.request(action, msgspec.json.encode(fields)))
        data = b""
        while (body := body_of(data)) is None:
            more = self._socket.recv(RECEIVE_BYTES)
            if not more:
                raise WrongAnswerError(f"{action}: the server closed the connection after {data!r}")
            data += more
        if b"\nconnection: close\r" in data[: -len(body) or None].lower():
            self._socket.close()
            self._socket = socket.create_connection(self._address, CONTROL_SECONDS_MAX)
        answer: dict[str, Any] = msgspec.json.decode(body) if body else {}
        return answer

    def stored(self, queue_url: str) -> int:
        """Messages that a queue holds: ready, leased, delayed."""
        names = [f"ApproximateNumberOfMessages{suffix}" for suffix in ("", "NotVisible", "Delayed")]
        answer = self.call("GetQueueAttributes", QueueUrl=queue_url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def close(self) -> None:
        self._socket.close()
