"""The messages of a queue, looked at without leasing any; one message; its body, and what is to be known of its job."""

import asyncio

import msgspec

from encola.consumers.letters import job_named
from encola.dashboard import bodies
from encola.dashboard.bodies import Body
from encola.dashboard.filters import STATE_WORDS, STATES, Filter
from encola.dashboard.listing import ORDERS, ROWS, Row, listing, row_of
from encola.dashboard.page import Attachment, Done, NotFound, Page, Refused, Visit
from encola.dashboard.redriving import WORDS, Seen, chosen_ones
from encola.dashboard.rights import permitted
from encola.engine.lifecycle import Outcome
from encola.engine.message import Header, Instant, MessageId, Peek
from encola.engine.queue import Queue
from encola.engine.records import Failure

READ = "PeekMessages"


async def page(visit: Visit) -> Page:
    """A page of messages; the filter, the order and the place are in the address."""
    queue = visit.queue(READ)
    twin = await listing(visit, queue, Filter.of(visit.query))
    more = {
        "is_dead_letter_queue": bool(visit.house.broker.sources_of(queue.address)),
        "states": [(name, STATE_WORDS[state]) for name, state in STATES.items()],
        "orders": ORDERS,
        "page_rows": ROWS,
        "may_act": visit.may("DeleteMessage", queue) or visit.may("StartMessageMoveTask", queue),
    }
    return Page("messages.html", f"{twin.name}: messages", twin, more, status=400 if twin.problem else 200)


# One message ----------------------------------------------------------------------------------------


class Attribute(msgspec.Struct):
    """``value`` as text; hex, if it is binary."""

    name: str
    type: str
    value: str


class JobSeen(msgspec.Struct):
    """The job whose message it is, by its record; ``errors`` are those of its last attempts."""

    key: str
    task: str
    state: str
    attempts: int
    errors: tuple[Failure, ...]


class Message(msgspec.Struct):
    """The twin. ``body`` only if it is asked for (``show``); ``job`` only if the visitor may know of jobs."""

    name: str
    row: Row
    fifo: bool
    first_received_at: Instant
    deduplication_id: str
    sender: str
    sequence_number: str
    attributes: list[Attribute]
    system_attributes: dict[str, str]
    error: str
    body: Body | None
    job: JobSeen | None


async def message(visit: Visit) -> Page:
    """``show`` (json, text, hex, or auto) in the address reveals the body, ``all`` the whole of it."""
    queue = visit.queue(READ)
    peek = await peeked(visit, queue)
    twin = await _message(visit, queue, peek)
    more = {
        "is_dead_letter_queue": bool(visit.house.broker.sources_of(queue.address)),
        "shows": bodies.SHOWS,
        "may_delete": visit.may("DeleteMessage", queue),
        "may_redrive": visit.may("StartMessageMoveTask", queue),
    }
    return Page("message.html", f"Message {twin.row.message_id}", twin, more)


async def revealed(visit: Visit) -> Page:
    """The body, and what went wrong with it, for a row of a list."""
    queue = visit.queue(READ)
    twin = await _message(visit, queue, await peeked(visit, queue), reveal=True)
    return Page("message_body.html", f"Message {twin.row.message_id}", twin, {"shows": bodies.SHOWS})


async def download(visit: Visit) -> Page:
    """The body as it is, as a file."""
    queue = visit.queue(READ)
    peek = await peeked(visit, queue)
    name = f"{peek.envelope.message_id}.txt"
    return Page("", name, await _message(visit, queue, peek), attachment=Attachment(name, peek.body))


async def delete(visit: Visit) -> Done:
    """Deletes the message, if nobody got it since the page was shown, and nobody has it."""
    queue = visit.queue("DeleteMessage")
    visit.check(READ, queue)
    peek = await peeked(visit, queue)
    seen = Seen.parse(visit.form.text("mark"))
    if seen is None or seen.id != peek.state.id:
        raise Refused("Which message is meant? Load the page again.")
    (found,) = await chosen_ones(visit.house.broker, queue, [seen], visit.house.visitors.key)
    outcome = found if isinstance(found, Outcome) else (await visit.house.broker.hands.delete(queue, [found]))[0]
    if outcome is not Outcome.DONE:
        raise Refused(f"It was left alone: {WORDS[outcome]}.", 409)
    await visit.note("DeleteMessage", queue.address.name, f"message {peek.envelope.message_id}")
    return Done(f"Deleted: {peek.envelope.message_id}.", visit.links.queue(queue.address.name, "messages"))


async def peeked(visit: Visit, queue: Queue) -> Peek:
    """The message that the path names, by its number. Raises NotFound, with where it is now, if that is known."""
    number = visit.names["message"]
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise NotFound("A message has a number here, and this is none.")
    broker, wanted = visit.house.broker, MessageId(int(number))
    peek = await broker.peek(queue, wanted)
    if peek is not None:
        return peek
    rule = queue.settings.dead_letter
    target = broker.find(rule.target) if rule else None
    if target is not None and visit.may(READ, target) and await broker.peek(target, wanted):
        raise NotFound(f"It is on {target.address.name} now, under the same number.")
    raise NotFound(f"It is not on {queue.address.name} any more: it was deleted, moved, or kept long enough.")


async def _message(visit: Visit, queue: Queue, peek: Peek, *, reveal: bool = False) -> Message:
    now, envelope = visit.house.broker.clock.now(), peek.envelope
    show = visit.query.text("show")
    everything = visit.query.flag("all")
    body = await asyncio.to_thread(bodies.shown, peek.body, show, everything=everything) if show or reveal else None
    attributes = [_attribute(name, header) for name, header in envelope.headers.items()]
    return Message(
        name=queue.address.name,
        row=row_of(peek, now, visit.house.visitors.key),
        fifo=queue.ordered,
        first_received_at=peek.state.first_received_at,
        deduplication_id=envelope.deduplication_id.rpartition("\0")[2],
        sender=envelope.sender,
        sequence_number=f"{peek.state.id:020}" if queue.ordered else "",
        attributes=attributes,
        system_attributes=envelope.properties,
        error=next((one.value for one in attributes if one.name == "encola.error"), ""),
        body=body,
        job=await job_of(visit, peek),
    )


def _attribute(name: str, header: Header) -> Attribute:
    if header.type.startswith("Binary"):
        return Attribute(name, header.type, header.value.hex(" "))
    return Attribute(name, header.type, bodies.visible(header.value.decode("utf-8", "replace")))


async def job_of(visit: Visit, peek: Peek) -> JobSeen | None:
    """The job whose message it is, if it has a record and the visitor may see it."""
    if not permitted(visit, "GetJobs"):
        return None
    app, job = job_named(peek.body, peek.envelope.message_id)
    if not (app and job):
        return None
    (record,) = await visit.house.broker.records.get(visit.account, [f"{app}/{job}"])
    if record is None:
        return None
    return JobSeen(record.key, record.task, record.state, record.attempts, record.errors)
