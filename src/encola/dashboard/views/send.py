"""Sends a test message."""

import json

import msgspec

from encola.dashboard.page import Done, Page, Refused, Visit
from encola.protocols.sqs import sending
from encola.protocols.sqs import shapes as s


class Send(msgspec.Struct):
    """The twin: what a message to this queue needs."""

    name: str
    fifo: bool


async def page(visit: Visit) -> Page:
    queue = visit.queue("SendMessage")
    twin = Send(queue.address.name, queue.ordered)
    names = ("body", "delay", "group", "deduplication_id", "attributes")
    more = {
        "values": {name: visit.form.raw(name) for name in names},
        "is_dead_letter_queue": bool(visit.house.broker.sources_of(queue.address)),
    }
    return Page("send.html", f"{queue.address.name}: send", twin, more)


async def act(visit: Visit) -> Done:
    """As SendMessage does it, with all its checks."""
    queue, form = visit.queue("SendMessage"), visit.form
    delay = form.text("delay")
    if delay and not (delay.isascii() and delay.isdigit() and len(delay) < 10):
        raise Refused("The delay must be a whole number of seconds.")
    request = s.SendMessageRequest(
        QueueUrl=visit.call.url(queue.address),
        MessageBody=form.raw("body"),
        DelaySeconds=int(delay) if delay else None,
        MessageAttributes=message_attributes(form.text("attributes")),
        MessageDeduplicationId=form.text("deduplication_id") or None,
        MessageGroupId=form.text("group") or None,
    )
    if not request.MessageBody:
        raise Refused("A message has a body: type one.")
    sent = await sending.send_message(visit.house.desk, visit.call, request)
    await visit.note("SendMessage", queue.address.name, f"message {sent.MessageId}")
    return Done(f"Sent, as {sent.MessageId}.", visit.links.queue(queue.address.name, "send"))


def message_attributes(text: str) -> s.AttributeValues | None:
    """Attributes from JSON: ``{"name": "text", "count": 3}``, or in the API's own words. Raises Refused."""
    if not text:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("The attributes are not JSON.") from None
    if not isinstance(found, dict):
        raise Refused('The attributes must be a JSON object, as {"tenant": "blue"}.')
    return {name: _value(name, value) for name, value in found.items()}


def _value(name: str, value: object) -> s.MessageAttributeValue:
    if isinstance(value, str):
        return s.MessageAttributeValue("String", value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return s.MessageAttributeValue("Number", json.dumps(value))
    try:
        return msgspec.convert(value, s.MessageAttributeValue)
    except msgspec.ValidationError:
        raise Refused(f"The attribute {name[:100]} must be a text, a number, or an object with a DataType.") from None
