"""Redrive and delete by hand: what would come of it, and doing it, message by message.

An *order* says what to do with which messages: with those that were chosen, or with all that fit a filter. A dry run
and the act ask the same questions, so the one tells what the other will do, as far as nothing changes meanwhile. What
has changed is left alone, and counted by why.

Messages that fit are gone through in the order in which they came, up to the newest that was there at the start: what
comes back meanwhile, because it failed again, is not sent round and round.
"""

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Literal

import msgspec

from encola.broker.broker import Broker
from encola.broker.hands import BATCH_MAX
from encola.dashboard.filters import Filter
from encola.dashboard.looking import Budget, chunks, through
from encola.dashboard.works import Work
from encola.engine.lifecycle import Outcome, State, state_of
from encola.engine.message import MessageId, Peek
from encola.engine.queue import Queue

Act = Literal["redrive", "delete"]

CHOSEN_MAX = 500
DRY_RUN = Budget(messages=200_000, seconds=3.0)

WORDS = {
    Outcome.GONE: "gone meanwhile",
    Outcome.STALE: "received meanwhile",
    Outcome.HELD: "held by a consumer",
    Outcome.NO_TARGET: "without a queue to go to: where it came from is not known, gone, or of the other kind",
}
"""Why a message is left alone."""


class Order(msgspec.Struct):
    """``target`` None: back to where each came from."""

    act: Act
    source: Queue
    target: Queue | None = None


class Count(msgspec.Struct):
    """So many messages; ``what`` is the queue they would go to, or why they are left alone."""

    what: str
    count: int


class Plan(msgspec.Struct):
    """What would come of an order. ``complete``: all messages were looked at; else ``looked_at`` of ``total``."""

    would: int
    to: list[Count]
    left_alone: list[Count]
    looked_at: int
    total: int
    complete: bool


class Seen(msgspec.Struct, frozen=True):
    """A message that was chosen on a page; ``mark`` stands for how it was then (``marked``)."""

    id: MessageId
    mark: str

    @classmethod
    def parse(cls, text: str) -> "Seen | None":
        number, _, mark = text.partition("-")
        if not (number.isascii() and number.isdigit() and len(number) <= 18):
            return None
        return cls(MessageId(int(number)), mark)


def marked(peek: Peek, key: bytes) -> str:
    """How a page names a message that can be chosen: no receipt can be made of it, but any later lease changes it."""
    state = peek.state
    digest = hmac.digest(key, f"seen {state.id} {state.lease}".encode(), hashlib.sha256)
    return f"{state.id}-{digest[:9].hex()}"


# Dry run ---------------------------------------------------------------------------------------------


class Forecast:
    """Counts what would come of each message."""

    def __init__(self, broker: Broker, order: Order) -> None:
        self._broker = broker
        self._order = order
        self._now = broker.clock.now()
        self.to: Counter[str] = Counter()
        self.left_alone: Counter[Outcome] = Counter()

    def add(self, peek: Peek) -> Outcome:
        """What would come of it: DONE, HELD or NO_TARGET."""
        order = self._order
        if state_of(peek.state, self._now) is State.LEASED:
            return self.leave(Outcome.HELD)
        if order.act == "delete":
            self.to[""] += 1
            return Outcome.DONE
        target = self._broker.hands.target_of(order.source, peek, order.target)
        if target is None:
            return self.leave(Outcome.NO_TARGET)
        self.to[target.address.name] += 1
        return Outcome.DONE

    def leave(self, outcome: Outcome) -> Outcome:
        self.left_alone[outcome] += 1
        return outcome

    def plan(self, looked_at: int, total: int, *, complete: bool) -> Plan:
        left = [Count(WORDS[outcome], count) for outcome, count in self.left_alone.most_common()]
        to = [Count(name, count) for name, count in self.to.most_common() if name]
        return Plan(self.to.total(), to, left, looked_at, max(total, looked_at), complete)


async def chosen_ones(broker: Broker, queue: Queue, seen: Sequence[Seen], key: bytes) -> list[Peek | Outcome]:
    """Those that are as they were when they were chosen; of the others, why not: GONE or STALE."""
    found: list[Peek | Outcome] = []
    for one in seen:  # one by one: a body may have a megabyte
        peek = await broker.peek(queue, one.id)
        if peek is None:
            found.append(Outcome.GONE)
        else:
            found.append(peek if hmac.compare_digest(marked(peek, key), f"{one.id}-{one.mark}") else Outcome.STALE)
    return found


async def plan_chosen(broker: Broker, order: Order, seen: Sequence[Seen], key: bytes) -> tuple[Plan, list[Outcome]]:
    """What would come of these messages, together and each."""
    forecast = Forecast(broker, order)
    fates = [
        forecast.leave(one) if isinstance(one, Outcome) else forecast.add(one)
        for one in await chosen_ones(broker, order.source, seen, key)
    ]
    return forecast.plan(len(fates), len(fates), complete=True), fates


async def plan_all(broker: Broker, order: Order, wanted: Filter, budget: Budget = DRY_RUN) -> Plan:
    """What would come of all messages that fit, as far as the budget goes."""
    forecast = Forecast(broker, order)
    fits = wanted.test(broker.clock.now())

    def each(peek: Peek) -> bool:
        if fits(peek):
            forecast.add(peek)
        return True

    looked_at, _, stop = await through(broker, order.source, each, budget=budget)
    total = (await broker.counts(order.source)).total
    return forecast.plan(looked_at, total, complete=stop == "end")


# Acts ------------------------------------------------------------------------------------------------


async def carry_out(broker: Broker, order: Order, peeks: Sequence[Peek]) -> list[Outcome]:
    """Raises StoreError: then those before it are done."""
    if order.act == "delete":
        return await broker.hands.delete(order.source, peeks)
    return await broker.hands.resend(order.source, peeks, order.target)


async def act_on_chosen(broker: Broker, order: Order, seen: Sequence[Seen], key: bytes) -> Counter[Outcome]:
    """What came of it, counted. Raises StoreError."""
    outcomes: Counter[Outcome] = Counter()
    for start in range(0, len(seen), BATCH_MAX):
        found = await chosen_ones(broker, order.source, seen[start : start + BATCH_MAX], key)
        outcomes.update(one for one in found if isinstance(one, Outcome))
        outcomes.update(await carry_out(broker, order, [one for one in found if isinstance(one, Peek)]))
    return outcomes


def told(order: Order, outcomes: Counter[Outcome]) -> str:
    """For people: ``3 sent again; 1 left alone (1 held by a consumer)``."""
    done = f"{outcomes[Outcome.DONE]} {'deleted' if order.act == 'delete' else 'sent again'}"
    left = outcomes.total() - outcomes[Outcome.DONE]
    return f"{done}; {left} left alone ({left_alone(outcomes)})" if left else done


def left_alone(outcomes: Counter[Outcome]) -> str:
    return ", ".join(f"{count} {WORDS[one]}" for one, count in outcomes.most_common() if one in WORDS)


async def act_on_all(
    broker: Broker, order: Order, wanted: Filter, work: Work, ended: Callable[[str], Awaitable[None]]
) -> AsyncGenerator[None, None]:
    """The steps of a work that goes through all messages that fit. ``ended`` is told what came of it, however it ends.

    A step that has begun is done to its end, and counted, also when the work is cancelled.
    """
    outcomes: Counter[Outcome] = Counter()
    step: asyncio.Future[None] | None = None

    async def do(peeks: list[Peek]) -> None:
        for start in range(0, len(peeks), BATCH_MAX):
            outcomes.update(await carry_out(broker, order, peeks[start : start + BATCH_MAX]))
            work.done = outcomes[Outcome.DONE]
            work.left_alone = outcomes.total() - work.done
            work.detail = left_alone(outcomes)

    try:
        work.total = (await broker.counts(order.source)).total
        newest = await broker.browse(order.source, None, 1, newest_first=True)
        fits = wanted.test(work.started_at)
        async for peeks in chunks(broker, order.source, None, newest_first=False, until=_id_of(newest)):
            fitting = await _fitting(peeks, fits)
            if fitting:
                step = asyncio.ensure_future(do(fitting))
                await asyncio.shield(step)
            work.looked_at += len(peeks)
            yield
    finally:
        if step is not None:
            await asyncio.wait([step])
        await ended(told(order, outcomes))


def _id_of(newest: Sequence[Peek]) -> MessageId:
    return newest[0].state.id if newest else MessageId(0)


FITTING_AT_ONCE = 50


async def _fitting(peeks: list[Peek], fits: Callable[[Peek], bool]) -> list[Peek]:
    """Those that fit; gives way now and then."""
    found: list[Peek] = []
    for start in range(0, len(peeks), FITTING_AT_ONCE):
        found += [peek for peek in peeks[start : start + FITTING_AT_ONCE] if fits(peek)]
        await asyncio.sleep(0)
    return found
