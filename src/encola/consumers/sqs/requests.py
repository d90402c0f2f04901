"""Requests about several messages: split into as many as it takes, each answer back at its message's place.

A request that is refused as a whole because of one of its messages is sent again message by message, so that nobody
fails for what somebody else sent.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from encola.consumers.sqs.answers import NO_QUEUE, UNKNOWN_CALLER, decoder_of, shape_of
from encola.consumers.sqs.batches import answers, portions, size_of
from encola.consumers.sqs.client import ServiceClient
from encola.consumers.sqs.shapes import Batch, BatchAnswer, Entry, SendBatch, SendEntry
from encola.consumers.sqs.tries import REPEAT_BACKOFF
from encola.consumers.transport import BATCH_MAX, RefusedError, TransportError

PARALLEL_MAX = 8
"""Requests of one call that are under way at once, where their order does not matter."""

ENTRY_TRIES_MAX = 3
"""Of a message in a request that was done otherwise, while the service says that it could not do it now."""

_NOT_ABOUT_A_MESSAGE = NO_QUEUE | UNKNOWN_CALLER | {"UnknownOperationException", "UnsupportedOperation"}
_DENIED = "AccessDenied"

_encode = msgspec.json.Encoder().encode
_decoder = decoder_of(BatchAnswer)

Answers = list[str | TransportError]
Some = TypeVar("Some", SendEntry, Entry)


class Requests:
    """See the module. Both methods raise TransportError if nothing was done at all."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def send(self, target: str, url: str, entries: Sequence[SendEntry], size: int = BATCH_MAX) -> Answers:
        """In order, one request of up to ``size`` after the other; what follows one that failed is not tried."""
        found: Answers = []
        good: list[SendEntry] = []
        sizes: list[int] = []
        bad: dict[int, TransportError] = {}
        for index, entry in enumerate(entries):
            try:
                sizes.append(size_of(entry))
                good.append(entry)
            except UnicodeEncodeError:
                bad[index] = RefusedError("InvalidMessageContents", "the message is not valid Unicode")
        for portion in portions(sizes, size):
            try:
                found += await self._send_some(target, url, good[portion])
            except TransportError as error:
                if not found:
                    raise
                found += [error] * (len(good) - len(found))
                break
        for index, refused in bad.items():  # in order: each goes to its own place
            found.insert(index, refused)
        return found

    async def _send_some(self, target: str, url: str, entries: list[SendEntry]) -> Answers:
        async def send(some: list[SendEntry]) -> Answers:
            for index, entry in enumerate(some):
                entry.id = str(index)
            return await self._answers(target, len(some), _encode(SendBatch(url, some)))

        return await _each_alone_if_refused(send, entries)

    async def settle(self, target: str, url: str, entries: Sequence[Entry], size: int = BATCH_MAX) -> Answers:
        """Several requests at once, each of up to ``size``."""
        if len(entries) <= size:
            return await self._settle_some(target, url, list(entries))
        lots = [list(entries[start : start + size]) for start in range(0, len(entries), size)]
        free = asyncio.Semaphore(PARALLEL_MAX)

        async def settle_lot(lot: list[Entry]) -> Answers | TransportError:
            async with free:
                try:
                    return await self._settle_some(target, url, lot)
                except TransportError as error:
                    return error

        done = await asyncio.gather(*map(settle_lot, lots))
        failures = [one for one in done if isinstance(one, TransportError)]
        if len(failures) == len(lots):
            raise failures[0]
        found: Answers = []
        for lot, one in zip(lots, done, strict=True):
            found += [one] * len(lot) if isinstance(one, TransportError) else one
        return found

    async def _settle_some(self, target: str, url: str, entries: list[Entry]) -> Answers:
        async def settle(some: list[Entry]) -> Answers:
            for index, entry in enumerate(some):
                entry.id = str(index)
            return await self._answers(target, len(some), _encode(Batch(url, some)))

        found = await _each_alone_if_refused(settle, entries)
        for number in range(1, ENTRY_TRIES_MAX):
            again = [index for index, one in enumerate(found) if _may_pass(one)]
            if not again:
                break
            await asyncio.sleep(REPEAT_BACKOFF.delay(number, random.random()))  # noqa: S311 - spreads tries
            try:
                later = await settle([entries[index] for index in again])
            except TransportError:
                break  # the answers that we have say as much
            for index, one in zip(again, later, strict=True):
                found[index] = one
        return found

    async def _answers(self, target: str, count: int, body: bytes) -> Answers:
        return answers(count, shape_of(_decoder, await self._client.call(target, body)))


async def _each_alone_if_refused(ask: Callable[[list[Some]], Awaitable[Answers]], entries: list[Some]) -> Answers:
    """See the module. Raises TransportError where the request was not refused for what is in it."""
    try:
        return await ask(entries)
    except RefusedError as error:
        if not _blames_a_message(error):
            raise
        if len(entries) == 1:
            return [error]
    found: Answers = []
    for entry in entries:
        try:
            found += await ask([entry])
        except TransportError as error:
            found.append(error)
    return found


def _may_pass(answer: str | TransportError) -> bool:
    return isinstance(answer, TransportError) and not isinstance(answer, RefusedError)


def _blames_a_message(error: RefusedError) -> bool:
    return error.code not in _NOT_ABOUT_A_MESSAGE and not error.code.startswith(_DENIED)
