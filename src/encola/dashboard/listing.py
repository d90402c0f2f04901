"""A page of a queue's messages: where it begins, what is on it, and how to go on, both ways.

A page is found by the id that it begins behind (``after``), or ends before (``before``), so the thousandth costs what
the first one does, and its address means the same tomorrow.
"""

import msgspec

from encola.dashboard import spans
from encola.dashboard.filters import STATE_WORDS, Filter
from encola.dashboard.looking import Found, Stop, look
from encola.dashboard.page import Visit
from encola.dashboard.reasons import Why, sent_at, why
from encola.dashboard.redriving import marked
from encola.engine.lifecycle import state_of
from encola.engine.message import Instant, MessageId, Peek
from encola.engine.queue import Queue

ROWS = 50
ID_MAX = 2**62
ORDERS = ("oldest", "newest")


class Row(msgspec.Struct):
    """A message without its body. ``mark`` is how a form names it (``redriving.marked``)."""

    id: int
    message_id: str
    state: str
    sent_at: Instant
    ready_at: Instant
    receives: int
    group: str
    size: int
    attributes: int
    why: Why
    mark: str


class Listing(msgspec.Struct):
    """The twin. ``next_after`` and ``previous_before`` go into the address of the page behind and before (None: there
    is none). ``stop`` says why the look ended: with enough rows, at the queue's end, or with its budget; then
    ``last_sent_at`` is when the message was sent that was looked at last."""

    name: str
    order: str
    filter: Filter
    start: str
    rows: list[Row]
    total: int
    looked_at: int
    last_sent_at: Instant
    stop: Stop
    next_after: int | None
    previous_before: int | None
    problem: str


async def listing(visit: Visit, queue: Queue, wanted: Filter, default_order: str = "oldest") -> Listing:
    """What the address asks for: ``order``, ``from`` (an age or a time), ``after`` or ``before`` (an id)."""
    query = visit.query
    order = query.text("order") if query.text("order") in ORDERS else default_order
    newest_first = order == "newest"
    start, problem = query.text("from")[: spans.LENGTH_MAX], wanted.problem
    after, before = (query.number(name, 0, 0, ID_MAX) or None for name in ("after", "before"))
    if start and not problem and after is None and before is None:
        try:
            after = await _start(visit, queue, start, newest_first=newest_first)
        except spans.NotATimeError as error:
            problem = str(error)
    total = (await visit.house.broker.counts(queue)).total
    if problem:
        return Listing(queue.address.name, order, wanted, start, [], total, 0, 0, "end", None, None, problem)
    found, following, previous = await _page(visit, queue, wanted, after, before, newest_first=newest_first)
    now, key = visit.house.broker.clock.now(), visit.house.visitors.key
    return Listing(
        name=queue.address.name,
        order=order,
        filter=wanted,
        start=start,
        rows=[row_of(peek, now, key) for peek in found.peeks],
        total=total,
        looked_at=found.looked_at,
        last_sent_at=found.last_sent_at,
        stop=found.stop,
        next_after=following,
        previous_before=previous,
        problem="",
    )


def row_of(peek: Peek, now: Instant, key: bytes) -> Row:
    state, envelope = peek.state, peek.envelope
    return Row(
        id=state.id,
        message_id=envelope.message_id,
        state=STATE_WORDS[state_of(state, now)],
        sent_at=sent_at(peek),
        ready_at=state.ready_at,
        receives=state.receives,
        group=envelope.group,
        size=len(peek.body),
        attributes=len(envelope.headers),
        why=why(peek),
        mark=marked(peek, key),
    )


async def _start(visit: Visit, queue: Queue, text: str, *, newest_first: bool) -> int:
    """The id to begin behind: the oldest first from that time on, or the newest first of those before it."""
    broker = visit.house.broker
    last_before = await broker.browse_from(queue, spans.moment(text, broker.clock.now()))
    return last_before + 1 if newest_first else last_before


async def _page(
    visit: Visit, queue: Queue, wanted: Filter, after: int | None, before: int | None, *, newest_first: bool
) -> tuple[Found, int | None, int | None]:
    """What is on the page, then ``next_after`` and ``previous_before``."""
    broker, step = visit.house.broker, -1 if newest_first else 1
    if before is not None:
        found = await look(broker, queue, wanted, ROWS, MessageId(before), newest_first=not newest_first)
        if len(found.peeks) == ROWS or found.stop == "budget":
            found.peeks.reverse()
            last = found.peeks[0].state.id if found.stop == "enough" else found.last
            return found, before - step, None if found.stop == "end" else last
        after = None  # fewer than a page are before it: this is the first page
    at = None if after is None else MessageId(after)
    found = await look(broker, queue, wanted, ROWS, at, newest_first=newest_first)
    following = None if found.stop == "end" else found.last
    return found, following, None if after is None else after + step
