"""Dead letters: why they are here, in groups; those of one group, to choose from; redrive and delete, with a dry run.

What is done to single messages is fenced by what the visitor saw of them: whatever a consumer got meanwhile is left
alone, and the answer says so. It works on any queue; only a redrive of everything, which is SQS's own, needs one that
is a dead-letter queue.
"""

import functools
from collections.abc import Sequence

import msgspec

from encola.broker.errors import MoveTaskNotFoundError
from encola.dashboard import redriving
from encola.dashboard.filters import STATE_WORDS, STATES, Filter
from encola.dashboard.listing import Listing, listing
from encola.dashboard.looking import Budget, through
from encola.dashboard.page import Done, Page, Refused, Visit
from encola.dashboard.reasons import Group, Groups
from encola.dashboard.redriving import CHOSEN_MAX, WORDS, Act, Order, Plan, Seen
from encola.dashboard.views.messages import READ
from encola.dashboard.views.queue import Move, moves_of
from encola.dashboard.works import TooManyWorksError, Work
from encola.engine.lifecycle import Outcome
from encola.engine.message import Peek
from encola.engine.queue import Queue
from encola.protocols.sqs import moves
from encola.protocols.sqs import shapes as s

GROUPING = Budget(messages=100_000, seconds=2.0)
REDRIVE, DELETE, SEND = "StartMessageMoveTask", "DeleteMessage", "SendMessage"
ACTIONS = {"redrive": REDRIVE, "delete": DELETE}


class DeadLetters(msgspec.Struct):
    """The twin. ``complete``: the groups count all; else only the ``looked_at`` newest of ``total``, and what is
    counted is an estimate. ``others`` are in none of the groups, which are the first so many."""

    name: str
    sources: list[str]
    total: int
    looked_at: int
    complete: bool
    groups: list[Group]
    others: int
    moves: list[Move]
    works: Sequence[Work]


async def page(visit: Visit) -> Page:
    """An open page is kept up to date about what runs; the groups are those of when it was loaded."""
    queue = visit.queue(READ)
    broker, groups = visit.house.broker, Groups()

    def each(peek: Peek) -> bool:
        groups.add(peek)
        return True

    looked_at, stop = 0, "end"
    if not (visit.live or visit.query.text("format") == "events"):
        looked_at, _, stop = await through(broker, queue, each, newest_first=True, budget=GROUPING)
    twin = DeadLetters(
        name=queue.address.name,
        sources=[source.address.name for source in broker.sources_of(queue.address)],
        total=(await broker.counts(queue)).total,
        looked_at=looked_at,
        complete=stop == "end",
        groups=groups.largest_first(),
        others=groups.others,
        moves=moves_of(visit, queue),
        works=visit.house.works.of(visit.account, queue.address.name),
    )
    return Page("dead_letters.html", f"{twin.name}: dead letters", twin, {"may": _rights(visit, queue)})


def _rights(visit: Visit, queue: Queue) -> dict[str, bool]:
    return {act: visit.may(action, queue) for act, action in ACTIONS.items()}


async def messages(visit: Visit) -> Page:
    """Those that fit, to choose from."""
    queue = visit.queue(READ)
    twin: Listing = await listing(visit, queue, Filter.of(visit.query), default_order="newest")
    more = {
        "states": [(name, STATE_WORDS[state]) for name, state in STATES.items()],
        "may": _rights(visit, queue),
        "targets": targets_of(visit, queue),
    }
    title = f"{twin.name}: dead letters"
    return Page("dead_letter_list.html", title, twin, more, status=400 if twin.problem else 200)


def targets_of(visit: Visit, queue: Queue) -> list[str]:
    """The queues that its messages could go to, as far as the visitor may send there."""
    queues = visit.house.broker.queues(visit.account)
    return [
        one.address.name
        for one in queues
        if one.ordered is queue.ordered and one.id != queue.id and visit.may(SEND, one)
    ]


def target_named(visit: Visit, queue: Queue, name: str) -> Queue | None:
    """The queue that a form names; None for "": back to where each came from. Raises Refused."""
    if not name:
        return None
    target = visit.queue_named(name, SEND)
    if target.id == queue.id:
        raise Refused("The messages are on this queue already: choose another.")
    if target.ordered is not queue.ordered:
        raise Refused(f"{target.address.name} is of the other kind: FIFO queues and standard queues do not mix.")
    return target


# Plan ------------------------------------------------------------------------------------------------


class Wanted(msgspec.Struct):
    """What the address of a plan asks for. ``seen`` are the chosen messages; without any, all that fit are meant."""

    order: Order
    target: str
    seen: list[Seen]
    filter: Filter

    @property
    def everything(self) -> bool:
        return not self.seen and self.filter.empty


class PlanPage(msgspec.Struct):
    """The twin of a dry run: nothing was done. ``chosen`` is how many messages were chosen; 0: all that fit."""

    name: str
    act: Act
    target: str
    chosen: int
    filter: Filter
    words: str
    everything: bool
    plan: Plan


async def plan(visit: Visit) -> Page:
    """A dry run: how many would go where, which would be left alone, and why."""
    queue = visit.queue(READ)
    wanted = _wanted(visit, queue)
    broker, key = visit.house.broker, visit.house.visitors.key
    if wanted.seen:
        found, _ = await redriving.plan_chosen(broker, wanted.order, wanted.seen, key)
    else:
        found = await redriving.plan_all(broker, wanted.order, wanted.filter)
    twin = PlanPage(
        name=queue.address.name,
        act=wanted.order.act,
        target=wanted.target,
        chosen=len(wanted.seen),
        filter=wanted.filter,
        words=wanted.filter.words(),
        everything=wanted.everything,
        plan=found,
    )
    without_target = any(one.what == WORDS[Outcome.NO_TARGET] for one in found.left_alone)
    more = {
        "targets": targets_of(visit, queue),
        "in_one_task": _can_be_one_task(visit, queue, wanted) and not without_target,
    }
    word = "Redrive" if twin.act == "redrive" else "Delete"
    return Page("plan.html", f"{word} from {twin.name}", twin, more)


def _wanted(visit: Visit, queue: Queue) -> Wanted:
    """Raises Refused for what makes no sense, or is not allowed."""
    query = visit.query
    act: Act = "delete" if query.text("act") == "delete" else "redrive"
    visit.check(ACTIONS[act], queue)
    all_that_fit = query.text("scope") == "all"  # whatever is ticked besides
    marks = () if all_that_fit else query.all("chosen")
    seen = [one for one in map(Seen.parse, marks) if one is not None]
    if len(seen) != len(marks):
        raise Refused("The address names messages in a way that is not known.")
    if len(seen) > CHOSEN_MAX:
        raise Refused(f"At most {CHOSEN_MAX} messages can be chosen at once.")
    if not seen and not all_that_fit:
        raise Refused("No message is chosen: tick some, or take all that fit.")
    wanted = Filter.of(query)
    if wanted.problem:
        raise Refused(wanted.problem)
    name = query.text("to") if act == "redrive" else ""
    return Wanted(Order(act, queue, target_named(visit, queue, name)), name, seen, wanted)


def _can_be_one_task(visit: Visit, queue: Queue, wanted: Wanted) -> bool:
    """Is it what StartMessageMoveTask does? It ends at the first message that it cannot move: if there are such, the
    others are better moved one by one."""
    is_dead_letter_queue = bool(visit.house.broker.sources_of(queue.address))
    return wanted.order.act == "redrive" and wanted.everything and is_dead_letter_queue


async def carry_out(visit: Visit) -> Done:
    """Does what the plan says, with what is still as it was."""
    queue = visit.queue(READ)
    wanted = _wanted(visit, queue)
    name, links = queue.address.name, visit.links
    if wanted.order.act == "delete" and not wanted.seen and visit.form.text("name") != name:
        raise Refused(f"Nothing was done: to delete them all, type the queue's name, {name}.")
    if wanted.seen:
        key = visit.house.visitors.key
        outcomes = await redriving.act_on_chosen(visit.house.broker, wanted.order, wanted.seen, key)
        told = redriving.told(wanted.order, outcomes)
        await visit.note(ACTIONS[wanted.order.act], name, f"{len(wanted.seen)} chosen{_to(wanted)}: {told}")
        return Done(f"{told[:1].upper()}{told[1:]}.", links.queue(name, "dead-letters"))
    if visit.form.flag("in_one_task") and _can_be_one_task(visit, queue, wanted):
        return await _start_task(visit, queue, wanted)
    return await _start_work(visit, queue, wanted)


def _to(wanted: Wanted) -> str:
    return f", to {wanted.target}" if wanted.target else ""


async def _start_task(visit: Visit, queue: Queue, wanted: Wanted) -> Done:
    target = wanted.order.target
    arn = visit.call.arn(target.address) if target else None
    request = s.StartMessageMoveTaskRequest(visit.call.arn(queue.address), arn)
    await moves.start_message_move_task(visit.house.desk, visit.call, request)
    await visit.note(REDRIVE, queue.address.name, f"all{_to(wanted)}")
    return Done("The redrive has begun.", visit.links.queue(queue.address.name, "dead-letters"))


async def _start_work(visit: Visit, queue: Queue, wanted: Wanted) -> Done:
    name, act = queue.address.name, wanted.order.act
    works, which = visit.house.works, wanted.filter.words() or "all"
    title = f"{'Redrive' if act == 'redrive' else 'Delete'}{_to(wanted)}: {which}"
    work = works.new(visit.account, title, name, visit.visitor.name)
    ended = functools.partial(_note_end, visit, ACTIONS[act], name, which)
    steps = redriving.act_on_all(visit.house.broker, wanted.order, wanted.filter, work, ended)
    try:
        works.start(work, steps)
    except TooManyWorksError:
        raise Refused("So much runs already: wait until something has ended.", 429) from None
    await visit.note(ACTIONS[act], name, f"begun{_to(wanted)}: {which}")
    return Done("It has begun.", visit.links.queue(name, "dead-letters"))


async def _note_end(visit: Visit, action: str, name: str, which: str, told: str) -> None:
    await visit.note(action, name, f"ended ({which}): {told}")


async def cancel(visit: Visit) -> Done:
    """Ends a redrive of everything; what it has moved, it has moved."""
    queue = visit.queue("CancelMessageMoveTask")
    broker, task = visit.house.broker, visit.form.text("task")
    if not any(one.id == task for one in broker.moves(queue.address)):
        raise Refused("There is no such redrive.", 404)
    try:
        moved = (await broker.cancel_move(task)).moved
    except MoveTaskNotFoundError:
        raise Refused("It has ended.", 409) from None
    await visit.note("CancelMessageMoveTask", queue.address.name, f"{moved} were moved")
    return Done(f"The redrive was cancelled; {moved} were moved.", visit.links.queue(queue.address.name))
