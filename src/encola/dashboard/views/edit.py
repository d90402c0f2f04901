"""A message is changed and sent again, to where it came from or elsewhere; the old one goes in the same step."""

import base64
import json
from collections.abc import Mapping

import msgspec

from encola.consumers.letters import kept
from encola.dashboard.page import Done, Page, Refused, Visit
from encola.dashboard.redriving import WORDS, Seen, chosen_ones, marked
from encola.dashboard.views.dead_letters import REDRIVE, SEND, target_named, targets_of
from encola.dashboard.views.messages import READ, peeked
from encola.dashboard.views.send import message_attributes
from encola.engine.lifecycle import Outcome
from encola.engine.message import Header, Peek
from encola.engine.queue import Queue
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.sending import check_size, draft_of


class Edit(msgspec.Struct):
    """The twin: what the form begins with. ``home`` is where the message came from, if it can go back there."""

    name: str
    message_id: str
    number: int
    body: str
    attributes: str
    home: str
    targets: list[str]
    mark: str


async def page(visit: Visit) -> Page:
    """Raises Refused for a body that is no text: a form could only break it."""
    queue = visit.queue(READ)
    visit.check(REDRIVE, queue)
    peek = await peeked(visit, queue)
    home = visit.house.broker.hands.target_of(queue, peek)
    twin = Edit(
        name=queue.address.name,
        message_id=peek.envelope.message_id,
        number=peek.state.id,
        body=_text_of(peek),
        attributes=written(kept(peek.envelope.headers)),
        home=home.address.name if home is not None and home.id != queue.id else "",
        targets=targets_of(visit, queue),
        mark=marked(peek, visit.house.visitors.key),
    )
    given = visit.form.flat()
    values = {
        "body": visit.form.raw("body", twin.body),
        "attributes": visit.form.raw("attributes", twin.attributes),
        "to": given.get("to", ""),
        "mark": given.get("mark", twin.mark),
    }
    more = {"values": values, "is_dead_letter_queue": bool(visit.house.broker.sources_of(queue.address))}
    return Page("edit.html", f"Edit {twin.message_id}", twin, more)


def _text_of(peek: Peek) -> str:
    try:
        return peek.body.decode()
    except UnicodeDecodeError:
        raise Refused("The body is no text in UTF-8: it can be sent again as it is, but not edited here.") from None


async def act(visit: Visit) -> Done:
    """Checks it as SendMessage does, and replaces the message, if it is still as it was when the form was shown."""
    queue, form = visit.queue(READ), visit.form
    visit.check(REDRIVE, queue)
    peek = await peeked(visit, queue)
    seen = Seen.parse(form.text("mark"))
    if seen is None or seen.id != peek.state.id:
        raise Refused("Which message is meant? Load the page again.")
    hands = visit.house.broker.hands
    target = target_named(visit, queue, form.text("to")) or hands.target_of(queue, peek)
    if target is None:
        raise Refused("Where it came from is not known, or gone: choose a queue.")
    visit.check(SEND, target)
    body, headers = _checked(visit, queue, target, peek)
    (found,) = await chosen_ones(visit.house.broker, queue, [seen], visit.house.visitors.key)
    if isinstance(found, Outcome):
        raise Refused(f"It was left alone: {WORDS[found]}.", 409)
    (outcome,) = await hands.resend(queue, [found], target, body=body, headers=headers)
    if outcome is not Outcome.DONE:
        raise Refused(f"It was left alone: {WORDS[outcome]}.", 409)
    name = target.address.name
    await visit.note(REDRIVE, queue.address.name, f"message {peek.envelope.message_id}, edited, to {name}")
    return Done(f"Sent to {name}, as edited.", visit.links.queue(queue.address.name, "dead-letters"))


def _checked(visit: Visit, queue: Queue, target: Queue, peek: Peek) -> tuple[bytes, dict[str, Header]]:
    """Body and headers. A body that was not changed stays as it is, with the line breaks that a form would lose."""
    text, before = visit.form.raw("body"), _text_of(peek)
    if text == before.replace("\r\n", "\n"):
        text = before
    if not text:
        raise Refused("A message has a body: type one.")
    request = s.SendMessageRequest(
        QueueUrl=visit.call.url(target.address),
        MessageBody=text,
        MessageAttributes=message_attributes(visit.form.text("attributes")),
        MessageGroupId=peek.envelope.group or None,
        MessageDeduplicationId="edited" if target.ordered else None,  # a redrive deduplicates nothing
    )
    draft = draft_of(request, target, visit.visitor.identity.user_id)
    check_size(draft, target)
    return draft.body, draft.headers


def written(headers: Mapping[str, Header]) -> str:
    """Headers as the form has them: texts and whole numbers by name, all others in the API's own form."""
    return json.dumps({name: _value(header) for name, header in headers.items()}, indent=2, ensure_ascii=False)


def _value(header: Header) -> object:
    if header.type.startswith("Binary"):
        return {"DataType": header.type, "BinaryValue": base64.b64encode(header.value).decode()}
    text = header.value.decode()
    if header.type == "String":
        return text
    if header.type == "Number" and text.isascii() and text.isdigit() and str(int(text)) == text:
        return int(text)
    return {"DataType": header.type, "StringValue": text}
