"""Requests about several messages: split into as many as it takes, each answer back at its message's place.

A request that is refused as a whole because of one of its messages is sent again message by message, so that nobody
fails for what somebody else sent.
"""

import asyncio
import random
from collections.abc import Sequence

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


class Requests:
    """See the module. Both methods raise TransportError if nothing was done at all."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def send(self, target: str, url: str, entries: Sequence[SendEntry]) -> Answers:
        """In order, one request after the other; what follows a request that failed is not tried."""
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
        for portion in portions(sizes):
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
        try:
            return await self._send_one(target, url, entries)
        except RefusedError as error:
            if len(entries) == 1 or not _blames_a_message(error):
                raise
        return [await self._send_alone(target, url, entry) for entry in entries]

    async def _send_alone(self, target: str, url: str, entry: SendEntry) -> str | TransportError:
        try:
            (answer,) = await self._send_one(target, url, [entry])
        except TransportError as error:
            return error
        return answer

    async def _send_one(self, target: str, url: str, entries: list[SendEntry]) -> Answers:
        for index, entry in enumerate(entries):
            entry.id = str(index)
        answer = await self._client.call(target, _encode(SendBatch(url, entries)))
        return answers(len(entries), shape_of(_decoder, answer))

    async def settle(self, target: str, url: str, entries: Sequence[Entry]) -> Answers:
        """Several requests at once."""
        if len(entries) <= BATCH_MAX:
            return await self._settle_some(target, url, list(entries))
        lots = [list(entries[start : start + BATCH_MAX]) for start in range(0, len(entries), BATCH_MAX)]
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
        found = await self._settle_one(target, url, entries)
        for number in range(1, ENTRY_TRIES_MAX):
            again = [index for index, one in enumerate(found) if _may_pass(one)]
            if not again:
                break
            await asyncio.sleep(REPEAT_BACKOFF.delay(number, random.random()))  # noqa: S311 - spreads tries
            try:
                later = await self._settle_one(target, url, [entries[index] for index in again])
            except TransportError:
                break  # the answers that we have say as much
            for index, one in zip(again, later, strict=True):
                found[index] = one
        return found

    async def _settle_one(self, target: str, url: str, entries: list[Entry]) -> Answers:
        for index, entry in enumerate(entries):
            entry.id = str(index)
        answer = await self._client.call(target, _encode(Batch(url, entries)))
        return answers(len(entries), shape_of(_decoder, answer))


def _may_pass(answer: str | TransportError) -> bool:
    return isinstance(answer, TransportError) and not isinstance(answer, RefusedError)


def _blames_a_message(error: RefusedError) -> bool:
    return error.code not in _NOT_ABOUT_A_MESSAGE and not error.code.startswith(_DENIED)
