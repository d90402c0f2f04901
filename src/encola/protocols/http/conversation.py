"""One connection: requests in, answers out in the same order, and an end to everything that lasts too long.

    bytes -> RequestParser -> _pending -> _start (an errand: the handler) -> _answered -> encode -> transport
                                                                          -> Outflow, for an answer that is a stream

One handler runs at a time, its first step as soon as the request is whole; what a client pipelines waits in
``_pending``. A client that goes away cancels its handler, so that a parked poll takes no message for somebody who left.
All waits are judged by the listener's sweep.
"""

import asyncio
import logging
from collections import deque
from typing import Protocol, cast

from encola.protocols.http.codec import CONTINUE, BadRequestError, Parsed, RequestParser, encode, refusal
from encola.protocols.http.errand import Errand
from encola.protocols.http.failures import log_failure
from encola.protocols.http.limits import HttpLimits
from encola.protocols.http.message import AccessHook, Handler, Response
from encola.protocols.http.outflow import Outflow

_log = logging.getLogger("encola.http")

_PLAIN = (("Content-Type", "text/plain; charset=utf-8"),)
INTERNAL_ERROR = Response(500, b"internal error\n", _PLAIN)
TOO_MANY_CONNECTIONS = Response(503, b"too many connections\n", _PLAIN)


class House(Protocol):
    """What a conversation needs of the listener that it belongs to."""

    handler: Handler
    access: AccessHook | None
    limits: HttpLimits
    secure: bool
    stopping: bool
    now: float  # the loop's time, read once a sweep: good enough for waits of seconds
    common_headers: str

    def joined(self, conversation: "Conversation") -> bool: ...
    def left(self, conversation: "Conversation") -> None: ...


class Conversation(asyncio.Protocol):
    """See the module. ``house`` outlives it."""

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop) -> None:
        self._house = house
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._pending: deque[Parsed | BadRequestError] = deque()
        self._errand: Errand[Response] | None = None  # the handler that runs now, for ...
        self._outflow: Outflow | None = None  # ... or the stream that its answer has
        self._parsed: Parsed | None = None  # ... this request, since ...
        self._begun = 0.0
        self._starting = False  # it takes its first step: what comes after the answer is the starter's business
        self._ended = False  # nothing is read any more; what still comes is dropped
        self._half_closed: asyncio.TimerHandle | None = None
        self._reading_paused = False
        self._in_body = False
        self._started = False
        self._since = house.now  # from here the current wait counts: for a request, its body, or an end
        self._blocked_since: float | None = None

    # ---- the transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        house = self._house
        peer = transport.get_extra_info("peername")
        self._parser = RequestParser(house.limits, peer[0] if isinstance(peer, tuple) else "", house.secure)
        self._transport.set_write_buffer_limits(high=house.limits.write_bytes_max)
        if not house.joined(self):
            self._transport.write(encode(TOO_MANY_CONNECTIONS, house.common_headers, close=True))
            self._end()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        parser = self._parser
        requests = parser.feed(data)
        if parser.error is None and len(requests) == 1 and self._errand is None and not self._pending:
            self._started = parser.started
            if self._blocked_since is None:
                self._start(requests[0])
                return
        self._take(requests)

    def _take(self, requests: list[Parsed]) -> None:
        """All that is not one whole request on a connection at rest."""
        parser = self._parser
        self._pending.extend(requests)
        if parser.error is not None:
            self._pending.append(parser.error)
        elif parser.started and (not self._started or parser.in_body != self._in_body):
            self._since = self._house.now
        self._started, self._in_body = parser.started, parser.in_body
        if parser.expects_continue and self._errand is None and not self._pending and self._transport is not None:
            parser.expects_continue = False
            self._transport.write(CONTINUE)
        self._serve_pending()
        limits = self._house.limits
        if self._pending and not self._reading_paused and self._transport is not None:
            waiting = sum(len(one.request.body) for one in self._pending if isinstance(one, Parsed))
            if len(self._pending) >= limits.pipelined_max or waiting >= limits.pipelined_bytes_max:
                self._reading_paused = True
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client sends no more. A client that dies looks the same, so answers under way must be quick."""
        if self._ended or self._errand is None or self._house.secure:
            return False
        if self._parsed is not None:
            self._parsed.request.hung_up = True
            if self._parsed.request.parked:
                return False
        if self._half_closed is None:
            self._half_closed = self._loop.call_later(self._house.limits.half_closed_seconds_max, self.abort)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._transport = None
        self._pending.clear()
        self._parser.close()
        if self._outflow is not None:
            self._outflow.cancel()
        if self._half_closed is not None:
            self._half_closed.cancel()
        if self._errand is not None:
            self._errand.cancel()
        self._house.left(self)

    def pause_writing(self) -> None:
        self._blocked_since = self._house.now

        if self._outflow is not None:
            self._outflow.pause()

    def resume_writing(self) -> None:
        self._blocked_since = None
        if self._outflow is not None:
            self._outflow.resume()
        self._serve_pending()

    # ---- answers ----

    def _serve_pending(self) -> None:
        """Answers what waits, as far as that goes at once."""
        pending = self._pending
        while pending and self._at_rest and self._blocked_since is None and self._transport is not None:
            self._start(pending.popleft())

    def _start(self, item: Parsed | BadRequestError) -> None:
        if isinstance(item, BadRequestError):
            self._refuse(item)
            self._rest()
            return
        self._parsed = item
        if self._house.access is not None:
            self._begun = self._loop.time()
        self._errand = errand = Errand(self._house.handler(item.request), self._answered)
        self._starting = True
        errand.step()
        self._starting = False

    def _answered(self, response: Response | None, error: BaseException | None) -> None:
        """The handler came to its end."""
        parsed, self._parsed, self._errand = self._parsed, None, None
        if parsed is None or self._transport is None or isinstance(error, asyncio.CancelledError):
            self.abort()
            return
        if error is None and response is not None:
            if response.stream is not None:
                self._begin_stream(parsed, response)
                return
            self._write(parsed, response)
        else:
            log_failure(_log, "a handler", error)
            self._write(parsed, INTERNAL_ERROR)
        if self._pending and not self._starting:
            self._serve_pending()
        if self._errand is None:
            self._since = self._house.now
            if self._half_closed is not None or self._reading_paused:
                self._rest()

    def _write(self, parsed: Parsed, response: Response) -> None:
        house, request = self._house, parsed.request
        close = house.stopping or not parsed.keep_alive
        head = request.method == "HEAD"
        try:
            data = encode(response, house.common_headers, close, parsed.say_keep_alive, head)
        except ValueError as error:
            log_failure(_log, "a handler", error)
            response = INTERNAL_ERROR
            data = encode(response, house.common_headers, close, head=head)
        if self._transport is not None:
            self._transport.write(data)
            if close:
                self._end()
        if house.access is not None:
            house.access(request, response, self._loop.time() - self._begun)

    def _begin_stream(self, parsed: Parsed, response: Response) -> None:
        """The head and what there is of the body, then the stream; the connection ends with it."""
        if self._transport is None or response.stream is None:
            return
        house = self._house
        head = parsed.request.method == "HEAD"
        self._ended = True  # whoever listens to a stream has nothing more to ask here; if it closes, it has left
        self._pending.clear()
        self._transport.write(encode(response, house.common_headers, True, head=head))
        if house.access is not None:
            house.access(parsed.request, response, self._loop.time() - self._begun)
        self._outflow = outflow = Outflow(response.stream, self._transport, self._streamed)
        if head or house.stopping:
            outflow.cancel()
        else:
            outflow.start()

    def _streamed(self, error: BaseException | None) -> None:
        """The stream came to its end."""
        self._outflow = None
        if error is not None and not isinstance(error, asyncio.CancelledError):
            log_failure(_log, "a handler", error)
            self.abort()  # without a last chunk, so that the client knows
            return
        if self._transport is not None:
            self._since = self._house.now
            self._end()

    @property
    def _at_rest(self) -> bool:
        return self._errand is None and self._outflow is None

    def _rest(self) -> None:
        """Nothing is being answered: the connection waits for the client, or ends."""
        self._since = self._house.now
        if self._transport is None or self._pending:
            return
        if self._half_closed is not None:
            self._end()
        elif self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()

    def _refuse(self, error: BadRequestError) -> None:
        """Answers what is no request. Reading on for a while lets the client, which may still be sending, see why."""
        transport = self._transport
        self._pending.clear()
        if transport is None or self._ended:
            return
        transport.write(encode(refusal(error), self._house.common_headers, close=True))
        if transport.can_write_eof() and self._half_closed is None:
            self._ended = True
            transport.write_eof()
            if self._reading_paused:
                transport.resume_reading()
        else:
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._pending.clear()
        if self._transport is not None:
            self._transport.close()

    # ---- the listener ----

    @property
    def idle(self) -> bool:
        """No request under way: may be closed without anybody missing an answer."""
        return self._at_rest and not self._pending and not self._parser.started

    def finish(self) -> None:
        """The server stops: idle connections end now, and streams; others after their answer."""
        if self._outflow is not None:
            self._outflow.cancel()
        elif self.idle:
            self._end()

    def abort(self) -> None:
        """Ends the connection at once; a handler is cancelled."""
        if self._transport is not None:
            self._transport.abort()

    def sweep(self, now: float) -> None:
        """Ends what lasts too long: slow senders, idle connections, clients that do not read."""
        limits = self._house.limits
        if self._blocked_since is not None:
            if now - self._blocked_since > limits.write_seconds_max:
                self.abort()
            return
        if not self._at_rest:
            return
        waited = now - self._since
        parser = self._parser
        if self._ended:
            if waited > limits.linger_seconds_max:
                self.abort()
        elif not parser.started:
            if waited > limits.idle_seconds_max:
                self._end()
        elif parser.in_body:
            if waited > limits.body_seconds_max and parser.message_bytes < waited * limits.body_bytes_per_second_min:
                self._refuse(BadRequestError(408, "the body took too long"))
        elif waited > limits.header_seconds_max:
            self._refuse(BadRequestError(408, "the request took too long"))
