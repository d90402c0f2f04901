"""One connection: requests in, answers out in the same order, and an end to everything that lasts too long.

The first step of a handler runs at once, within ``data_received`` (see ``errand``). A client that closes its connection
cancels its handler, so a parked poll takes no message for somebody who left.
"""

import asyncio
import logging
from collections import deque
from typing import Protocol, cast

from encola.protocols.http.codec import CONTINUE, BadRequestError, Parsed, RequestParser, encode, refusal
from encola.protocols.http.errand import Errand
from encola.protocols.http.limits import HttpLimits
from encola.protocols.http.message import Handler, Response

_log = logging.getLogger("encola.http")

INTERNAL_ERROR = Response(500, b"internal error\n", (("Content-Type", "text/plain; charset=utf-8"),))


class House(Protocol):
    """What a conversation needs of the listener that it belongs to."""

    handler: Handler
    limits: HttpLimits
    secure: bool
    stopping: bool

    def now(self) -> float: ...
    def common_headers(self) -> str: ...
    def joined(self, conversation: "Conversation") -> bool: ...
    def left(self, conversation: "Conversation") -> None: ...


class Conversation(asyncio.Protocol):
    def __init__(self, house: House) -> None:
        self._house = house
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._queue: deque[Parsed] = deque()
        self._errand: Errand[Response] | None = None
        self._closing = False  # no request is read any more; the connection ends after the answers
        self._parked_reading = False
        self.since = house.now()  # the moment from which the current wait counts
        self.write_blocked_since: float | None = None

    # Transport --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by shape, not by inheritance
        peer = transport.get_extra_info("peername")
        peer_host = peer[0] if isinstance(peer, tuple) else ""
        self._parser = RequestParser(self._house.limits, peer_host, self._house.secure)
        self._transport.set_write_buffer_limits(high=self._house.limits.write_bytes_max)
        if not self._house.joined(self):
            self._send(encode(Response(503), self._house.common_headers(), close=True))
            self._end()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        parser = self._parser
        started = parser.started
        try:
            requests = parser.feed(data)
        except BadRequestError as error:
            self._refuse(error)
            return
        if parser.started and not started:
            self.since = self._house.now()
        if parser.expects_continue and not requests:
            parser.expects_continue = False
            self._send(CONTINUE)
        if requests:
            self._queue.extend(requests)
            if self._errand is None:
                self._answer_next()
            if len(self._queue) > self._house.limits.pipelined_max and self._transport:
                self._parked_reading = True
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client will send no more; it may still read. Answers under way are finished, parked ones ended."""
        self._closing = True
        if self._errand is None:
            self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._transport = None
        self._queue.clear()
        if self._errand is not None:
            self._errand.cancel()
        self._house.left(self)

    def pause_writing(self) -> None:
        self.write_blocked_since = self._house.now()

    def resume_writing(self) -> None:
        self.write_blocked_since = None

    # Answers ----------------------------------------------------------------------------------------

    def _answer_next(self) -> None:
        """Works off the queue until it is empty or a handler has to wait."""
        while self._queue and self._errand is None and self._transport is not None:
            parsed = self._queue.popleft()
            self._answering = parsed
            self._errand = Errand(self._house.handler(parsed.request), self._answered)
            self._errand.start()
        if self._parked_reading and not self._queue and self._transport is not None:
            self._parked_reading = False
            self._transport.resume_reading()

    def _answered(self, response: Response | None, error: BaseException | None) -> None:
        """The handler is through."""
        self._errand = None
        transport, house, parsed = self._transport, self._house, self._answering
        if response is None:
            if not isinstance(error, asyncio.CancelledError):
                _log.error("a handler failed: %s", parsed.request.method, exc_info=error)
            response = INTERNAL_ERROR
        if transport is None:
            return
        close = self._closing or house.stopping or not parsed.keep_alive
        self._send(encode(response, house.common_headers(), close=close, head=parsed.request.method == "HEAD"))
        self.since = house.now()
        if close:
            self._end()
        elif self._queue:
            self._loop.call_soon(self._answer_next)  # not from here: a long queue must not grow the stack

    def _refuse(self, error: BadRequestError) -> None:
        """The rest of the input can't be understood: say so after the answers under way, and close."""
        self._closing = True
        self._queue.clear()
        if self._errand is None:
            self._send(encode(refusal(error), self._house.common_headers(), close=True))
        self._end_after_answer()

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _end_after_answer(self) -> None:
        if self._errand is None:
            self._end()

    def _end(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    # The listener's sweeper -------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """No request under way: may be closed without anybody missing an answer."""
        return self._errand is None and not self._queue and not self._parser.started

    def check_patience(self, now: float) -> None:
        """Ends what lasts too long: slow senders, idle connections, clients that do not read."""
        limits = self._house.limits
        if self.write_blocked_since is not None and now - self.write_blocked_since > limits.write_seconds_max:
            self.abort()
        elif self._closing or self._errand is not None:
            return
        elif self._parser.started:
            if now - self.since > limits.request_seconds_max:
                self._refuse(BadRequestError(408, "the request took too long"))
        elif now - self.since > limits.idle_seconds_max:
            self._end()

    def finish(self) -> None:
        """The server stops: idle connections end now, others after their answer."""
        if self.idle:
            self._end()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
