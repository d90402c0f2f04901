"""A queue's attributes: what they are, and a form that changes them; the same form makes a new queue."""

import json
from collections.abc import Mapping

import msgspec

from encola.dashboard import attributes
from encola.dashboard.page import Done, Page, Refused, Visit
from encola.engine.queue import Address, Queue
from encola.protocols.sqs import mapping
from encola.protocols.sqs import queues as operations
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.naming import FIFO_SUFFIX


class Configuration(msgspec.Struct):
    """The twin: attributes in the API's words, and tags."""

    name: str
    attributes: Mapping[str, str]
    tags: Mapping[str, str]


async def page(visit: Visit) -> Page:
    """What a queue's attributes are, in a form for whoever may change them."""
    queue = visit.queue()
    kept = _attributes(visit, queue)
    tags = queue.tags if visit.may("ListQueueTags", queue) else {}
    twin = Configuration(queue.address.name, kept, tags)
    more = {
        "queue": queue,
        "table": attributes.attributes_of(queue.ordered),
        "values": _values(visit, kept),
        "dead_letter_queues": _candidates(visit, queue.ordered, queue.address.name),
        "may_change": visit.may("SetQueueAttributes", queue),
        "is_dead_letter_queue": bool(visit.house.broker.sources_of(queue.address)),
    }
    return Page("configuration.html", f"{queue.address.name}: configuration", twin, more)


async def change(visit: Visit) -> Done:
    """Sets the attributes that differ."""
    queue = visit.queue("SetQueueAttributes")
    changed = attributes.given(visit.form, queue.ordered, _arn(visit), _attributes(visit, queue))
    name = queue.address.name
    if not changed:
        return Done("Nothing was changed.", visit.links.queue(name, "configuration"))
    request = s.SetQueueAttributesRequest(visit.call.url(queue.address), changed)
    await operations.set_queue_attributes(visit.house.desk, visit.call, request)
    await visit.note("SetQueueAttributes", name, ", ".join(f"{key}={value}" for key, value in changed.items()))
    return Done(f"Changed: {', '.join(changed)}.", visit.links.queue(name, "configuration"))


class NewQueue(msgspec.Struct):
    """The twin of the form that creates a queue: the attributes that it may have, with their defaults."""

    defaults: Mapping[str, str]


async def new(visit: Visit) -> Page:
    """For whoever may create some queue; whether it may have this name is asked when there is one."""
    if visit.visitor.read_only or not visit.visitor.identity.may("CreateQueue"):
        raise Refused("You may not create queues.", 403)
    fifo = visit.form.flag("fifo") or visit.query.flag("fifo")
    table = attributes.attributes_of(fifo)
    defaults = {one.name: one.default for one in table}
    more = {
        "fifo": fifo,
        "table": table,
        "values": _values(visit, defaults),
        "dead_letter_queues": _candidates(visit, fifo, ""),
    }
    return Page("queue_new.html", "Create a queue", NewQueue(defaults), more)


async def create(visit: Visit) -> Done:
    """As CreateQueue does it, with all its checks."""
    form, fifo = visit.form, visit.form.flag("fifo")
    name = form.text("name")
    if fifo and name and not name.endswith(FIFO_SUFFIX):
        name += FIFO_SUFFIX
    given = attributes.given(form, fifo, _arn(visit), {one.name: one.default for one in attributes.attributes_of(fifo)})
    if fifo:
        given["FifoQueue"] = "true"
    if not given.get("RedrivePolicy", "x"):
        del given["RedrivePolicy"]
    request = s.CreateQueueRequest(name, given or None)
    await operations.create_queue(visit.house.desk, visit.call, request)
    await visit.note("CreateQueue", name, ", ".join(f"{key}={value}" for key, value in given.items()))
    return Done(f"{name} was created.", visit.links.queue(name))


def _attributes(visit: Visit, queue: Queue) -> Mapping[str, str]:
    return {**queue.settings.attributes, **mapping.attributes_of(queue)}


def _values(visit: Visit, kept: Mapping[str, str]) -> dict[str, str]:
    """What the form shows: what was filled in, else what is."""
    rule = json.loads(kept["RedrivePolicy"]) if kept.get("RedrivePolicy") else {}
    values = {
        **kept,
        "dead_letter_queue": str(rule.get("deadLetterTargetArn", "")).rpartition(":")[2],
        "max_receives": str(rule.get("maxReceiveCount", 5)),
        "name": "",
    }
    return {**values, **visit.form.flat()}


def _candidates(visit: Visit, ordered: bool, name: str) -> list[str]:
    """The queues that could take a queue's dead letters."""
    queues = visit.house.broker.queues(visit.account)
    others = [one for one in queues if one.ordered is ordered and one.address.name != name]
    if not visit.visitor.identity.unlimited:
        others = [one for one in others if visit.may("GetQueueAttributes", one)]
    return [one.address.name for one in others]


def _arn(visit: Visit) -> str:
    name = visit.form.text("dead_letter_queue")
    return visit.call.arn(Address(visit.account, name)) if name else ""
