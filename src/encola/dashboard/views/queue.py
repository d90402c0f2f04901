"""A queue: how it stands, how it got there, who works on it; pause, purge and delete."""

from collections.abc import Sequence

import msgspec

from encola.dashboard.page import Done, NotFound, Page, Refused, Visit
from encola.dashboard.series import RANGES, Series, queue_series, range_of
from encola.dashboard.standing import Standing, dead_letter_queues, standing_of, standing_seen
from encola.dashboard.works import Work
from encola.engine.queue import Address, Queue
from encola.engine.workers import Seen
from encola.protocols.sqs import queues as operations
from encola.protocols.sqs import shapes as s


class Consumer(msgspec.Struct):
    """A worker that reports that it serves this queue."""

    id: str
    name: str
    state: str
    busy: int
    slots: int


class Move(msgspec.Struct):
    """A redrive of all messages that runs, or was run lately."""

    id: str
    target: str
    status: str
    moved: int
    to_move: int
    failure: str


class QueuePage(msgspec.Struct):
    """The twin. ``sources`` are the queues whose dead letters come here."""

    standing: Standing
    range: str
    series: Series
    consumers: list[Consumer]
    sources: list[str]
    moves: list[Move]
    works: Sequence[Work]


async def page(visit: Visit) -> Page:
    """``range`` in the address says how far back the charts look."""
    queue, house = visit.queue(), visit.house
    span, now = range_of(visit.query), house.broker.clock.now()
    twin = QueuePage(
        standing=standing_seen(visit, queue, dead_letter_queues(house.broker)),
        range=span.name,
        series=await queue_series(house.sampler, queue.id, span, now, live=visit.live),
        consumers=_consumers(house.broker.workers.all(visit.account), queue) if visit.may("ListWorkers") else [],
        sources=[source.address.name for source in house.broker.sources_of(queue.address)],
        moves=moves_of(visit, queue),
        works=house.works.of(visit.account, queue.address.name),
    )
    return Page("queue.html", queue.address.name, twin, {"ranges": RANGES, "may": _rights(visit, queue)})


def _consumers(workers: Sequence[Seen], queue: Queue) -> list[Consumer]:
    return [
        Consumer(worker.id, worker.name, worker.state, served.busy, served.slots)
        for worker in workers
        for served in worker.queues
        if served.queue == queue.address.name
    ]


def moves_of(visit: Visit, queue: Queue) -> list[Move]:
    """The last redrives of all of a queue's messages, the newest first."""
    return [
        Move(one.id, one.target.name if one.target else "", one.status, one.moved, one.to_move, one.failure)
        for one in visit.house.broker.moves(queue.address)[:3]
    ]


def _rights(visit: Visit, queue: Queue) -> dict[str, bool]:
    actions = ("SetQueueAttributes", "PurgeQueue", "DeleteQueue", "StartMessageMoveTask", "SendMessage", "PeekMessages")
    return {action: visit.may(action, queue) for action in actions}


# Acts -----------------------------------------------------------------------------------------------------


async def pause(visit: Visit) -> Done:
    """Holds all messages back; sends go on."""
    queue = visit.queue("SetQueueAttributes")
    await visit.house.broker.pause(queue)
    await visit.note("PauseQueue", queue.address.name)
    return Done(f"{queue.address.name} is paused: nobody receives from it.", visit.links.queue(queue.address.name))


async def resume(visit: Visit) -> Done:
    queue = visit.queue("SetQueueAttributes")
    await visit.house.broker.resume(queue)
    await visit.note("ResumeQueue", queue.address.name)
    return Done(f"{queue.address.name} goes on.", visit.links.queue(queue.address.name))


async def confirm(visit: Visit) -> Page:
    """Asks for the queue's name before all its messages, or the queue itself, are deleted."""
    queue, act = visit.queue(), visit.names["act"]
    if act not in ("purge", "delete"):
        raise NotFound("There is no such act.")
    standing = standing_of(queue, visit.house.sampler, visit.house.broker, ())
    title = f"{'Purge' if act == 'purge' else 'Delete'} {queue.address.name}"
    return Page("confirm.html", title, standing, {"act": act, "name": queue.address.name})


async def destroy(visit: Visit) -> Done:
    """Purges or deletes, once the name was typed."""
    act = visit.names["act"]
    action = {"purge": "PurgeQueue", "delete": "DeleteQueue"}.get(act)
    if action is None:
        raise Refused("There is no such act.", 404)
    queue = visit.queue(action)
    name = queue.address.name
    if visit.form.text("name") != name:
        raise Refused(f"Nothing was done: to {act} the queue, type its name, {name}.")
    request = s.QueueRequest(visit.call.url(queue.address))
    if act == "purge":
        await operations.purge_queue(visit.house.desk, visit.call, request)
        await visit.note(action, name)
        return Done(f"All messages of {name} were deleted.", visit.links.queue(name))
    await operations.delete_queue(visit.house.desk, visit.call, request)
    await visit.note(action, name)
    return Done(f"{name} was deleted.", visit.links.overview())


async def cancel_work(visit: Visit) -> Done:
    """Ends what runs for an operator, before its next step: his own, or what he might end on that queue."""
    works, work_id = visit.house.works, visit.names["work"]
    found = works.find(visit.account, work_id)
    if found is None or found.who != visit.visitor.name:
        queue = visit.house.broker.find(Address(visit.account, found.queue)) if found and found.queue else None
        visit.check("CancelMessageMoveTask", queue)
    work = works.cancel(visit.account, work_id)
    if work is None:
        raise Refused("It has ended.", 409)
    await visit.note("CancelWork", work.title, f"{work.done} done")
    return Done(f"{work.title}: cancelled.", visit.links.queue(work.queue) if work.queue else visit.links.to("jobs"))
