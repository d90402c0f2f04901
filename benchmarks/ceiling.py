"""The ceiling C: the least that a Python server can do for a SendMessage.

One process, httptools and uvloop: it parses the request with its headers, decodes the JSON, hashes the message and
answers as SendMessage does. No check, no rule, no store. What a real server reaches is told as a share of this, which
holds from machine to machine where requests a second do not.

    python -m benchmarks.ceiling PORT
"""

import asyncio
import hashlib
import sys
from typing import cast

import httptools
import msgspec
import uvloop


class SendMessage(msgspec.Struct):
    QueueUrl: str
    MessageBody: str


class Answer(msgspec.Struct):
    MD5OfMessageBody: str
    MessageId: str


_decode = msgspec.json.Decoder(SendMessage).decode
_encode = msgspec.json.Encoder().encode
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b"


class Conversation(asyncio.Protocol):
    """One connection: each whole request is answered at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        message = _decode(self._body)
        digest = hashlib.md5(message.MessageBody.encode(), usedforsecurity=False).hexdigest()
        body = _encode(Answer(digest, "00000000-0000-4000-8000-000000000000"))
        self._transport.write(_HEAD % (len(body), body))


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Conversation, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
