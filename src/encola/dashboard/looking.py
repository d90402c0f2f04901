"""Looks through a queue's messages without leasing any, for as long as a page may take.

Messages are read in chunks, small ones many at once, and whoever looks gives way between and within them: the server
goes on answering. A look ends with enough messages found, at the end of the queue, or when its budget is spent; then
it says how far it came, so that another can go on from there.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Literal

import msgspec

from encola.broker.broker import Broker
from encola.dashboard.filters import Filter
from encola.dashboard.reasons import sent_at
from encola.engine.message import Instant, MessageId, Peek
from encola.engine.queue import Queue

CHUNK_FIRST, CHUNK_MIN, CHUNK_MAX = 60, 4, 100
CHUNK_BYTES = 4 * 1024 * 1024
TURN_SECONDS = 0.005
"""After so long without a pause the server's other work has its turn."""


class Budget(msgspec.Struct, frozen=True):
    """What a look may cost: messages and seconds."""

    messages: int = 100_000
    seconds: float = 2.0


PAGE = Budget()

Stop = Literal["enough", "end", "budget"]


class Found(msgspec.Struct):
    """``last`` is the message that was looked at last (None: none was); ``stop`` says why the look ended there."""

    peeks: list[Peek]
    looked_at: int
    last: MessageId | None
    last_sent_at: Instant
    stop: Stop


async def chunks(
    broker: Broker, queue: Queue, after: MessageId | None, *, newest_first: bool, until: MessageId | None = None
) -> AsyncGenerator[list[Peek], None]:
    """All messages behind ``after``, up to ``until``, in chunks of bounded size. Raises StoreError."""
    limit = CHUNK_FIRST
    while True:
        peeks = list(await broker.browse(queue, after, limit, newest_first=newest_first))
        more = len(peeks) == limit
        if until is not None and peeks and peeks[-1].state.id > until:
            peeks, more = [peek for peek in peeks if peek.state.id <= until], False
        if peeks:
            after = peeks[-1].state.id
            average = sum(len(peek.body) for peek in peeks) // len(peeks)
            limit = max(CHUNK_MIN, min(CHUNK_MAX, limit * 4, CHUNK_BYTES // max(1, average)))
            yield peeks
        if not more:
            return


async def look(
    broker: Broker,
    queue: Queue,
    wanted: Filter,
    rows: int,
    after: MessageId | None = None,
    *,
    newest_first: bool = False,
    budget: Budget = PAGE,
) -> Found:
    """The first messages behind ``after`` that fit, up to ``rows``. Raises StoreError, NotATimeError."""
    if wanted.empty:
        peeks = list(await broker.browse(queue, after, rows + 1, newest_first=newest_first))
        stop: Stop = "enough" if len(peeks) > rows else "end"
        return _found(peeks[:rows], min(len(peeks), rows), peeks[:rows][-1:], stop)
    kept: list[Peek] = []

    def keep(peek: Peek) -> bool:
        if fits(peek):
            kept.append(peek)
        return len(kept) < rows

    fits = wanted.test(broker.clock.now())
    looked_at, last, stop = await through(broker, queue, keep, after, newest_first=newest_first, budget=budget)
    return _found(kept, looked_at, last, stop)


def _found(peeks: list[Peek], looked_at: int, last: list[Peek], stop: Stop) -> Found:
    at = last[-1] if last else None
    return Found(peeks, looked_at, at.state.id if at else None, sent_at(at) if at else 0, stop)


async def through(
    broker: Broker,
    queue: Queue,
    each: Callable[[Peek], bool],
    after: MessageId | None = None,
    *,
    newest_first: bool = False,
    budget: Budget = PAGE,
) -> tuple[int, list[Peek], Stop]:
    """Hands messages to ``each`` until it answers False. How many it were, the last of them, and why it ended."""
    start = turn = time.monotonic()
    looked_at, last = 0, list[Peek]()
    async for peeks in chunks(broker, queue, after, newest_first=newest_first):
        for peek in peeks:
            looked_at, last = looked_at + 1, [peek]
            if not each(peek):
                return looked_at, last, "enough"
            now = time.monotonic()
            if looked_at >= budget.messages or now - start > budget.seconds:
                return looked_at, last, "budget"
            if now - turn > TURN_SECONDS:
                await asyncio.sleep(0)
                turn = time.monotonic()
    return looked_at, last, "end"
