"""Event source mappings: which queue goes to which function, how that goes; enable, disable, change, delete.

Rights are those of Lambda's API: an action on the mapping's queue. What an act may not do, and how it says so, is
decided by the same code as there.
"""

from collections.abc import Awaitable, Sequence

import msgspec

from encola.dashboard.fields import Fields
from encola.dashboard.page import Done, NotFound, Page, Refused, Visit
from encola.dashboard.paging import Paging
from encola.engine.message import Instant
from encola.engine.queue import Address
from encola.mappings.manager import View
from encola.mappings.model import SETTLED, MappingError, Settings
from encola.mappings.status import Problem
from encola.mappings.validate import BATCH_SIZE_MAX, CONCURRENCY_MAX, CONCURRENCY_MIN, WINDOW_SECONDS_MAX
from encola.protocols.lambda_api.errors import SHAPES
from encola.protocols.lambda_api.mapping import merged
from encola.protocols.lambda_api.shapes import ScalingConfig, UpdateRequest

ROWS = 100
DIGITS_MAX = 9


class MappingRow(msgspec.Struct):
    """``running`` of ``limit`` batches are under way. ``received`` to ``returned`` count messages, ``invocations`` to
    ``refusals`` calls, all since the server's start. ``problems``: the newest first."""

    uuid: str
    state: str
    queue: str
    function: str
    function_arn: str
    declared: bool
    batch_size: int
    window_seconds: int
    maximum_concurrency: int | None
    pollers: tuple[int, int] | None
    reports_failures: bool
    filters: Sequence[str]
    modified_at: Instant
    running: int
    limit: int
    invocations: int
    failures: int
    refusals: int
    received: int
    done: int
    failed: int
    filtered: int
    returned: int
    last_invoked_at: Instant | None
    last_result: str
    problems: list[Problem]


class MappingsPage(msgspec.Struct):
    """The twin."""

    search: str
    rows: list[MappingRow]
    paging: Paging


class MappingPage(msgspec.Struct):
    """The twin of one mapping's page."""

    mapping: MappingRow


async def page(visit: Visit) -> Page:
    """``search`` in the address is looked for in queue, function and state; ``queue`` is one queue."""
    search, queue = visit.query.text("search"), visit.query.text("queue")
    found = [
        row_of(view) for view in visit.house.mappings.all(visit.account) if _may(visit, "ListEventSourceMappings", view)
    ]
    said = search.lower()
    fitting = [
        one
        for one in found
        if queue in ("", one.queue) and said in f"{one.queue} {one.function} {one.state} {one.uuid}".lower()
    ]
    fitting.sort(key=lambda one: (one.queue, one.function))
    paging = Paging.of(len(fitting), visit.query.number("page", 1, 1, 1_000_000), ROWS)
    twin = MappingsPage(search, fitting[paging.first : paging.first + ROWS], paging)
    return Page("mappings.html", "Event source mappings", twin, {"any": bool(found)})


async def one(visit: Visit) -> Page:
    """One mapping, and a form that changes it."""
    view = _found(visit, "GetEventSourceMapping")
    row = row_of(view)
    queue = visit.house.broker.find(Address(visit.account, row.queue))
    more = {
        "values": _values(row, visit.form),
        "may_update": _may(visit, "UpdateEventSourceMapping", view),
        "may_delete": _may(visit, "DeleteEventSourceMapping", view),
        "settled": view.state in SETTLED,
        "fifo": queue is not None and queue.ordered,
        "limits": {
            "batch": BATCH_SIZE_MAX,
            "window": WINDOW_SECONDS_MAX,
            "lowest": CONCURRENCY_MIN,
            "highest": CONCURRENCY_MAX,
        },
    }
    return Page("mapping.html", f"{row.queue} → {row.function}", MappingPage(row), more)


def row_of(view: View) -> MappingRow:
    """A mapping as pages show it."""
    mapping, settings, status = view.mapping, view.mapping.settings, view.status
    return MappingRow(
        uuid=mapping.uuid,
        state=view.state.value,
        queue=mapping.queue.name,
        function=settings.function,
        function_arn=view.function_arn,
        declared=mapping.declared,
        batch_size=settings.batch_size,
        window_seconds=settings.window,
        maximum_concurrency=settings.maximum_concurrency,
        pollers=(settings.pollers.minimum, settings.pollers.maximum) if settings.pollers else None,
        reports_failures=settings.reports_failures,
        filters=settings.filters,
        modified_at=mapping.modified_at,
        running=status.running,
        limit=status.limit,
        invocations=status.invocations,
        failures=status.failures,
        refusals=status.refusals,
        received=status.received,
        done=status.done,
        failed=status.failed,
        filtered=status.filtered,
        returned=status.returned,
        last_invoked_at=status.last_invoked_at,
        last_result=status.last_result,
        problems=list(status.problems)[::-1],
    )


def _values(row: MappingRow, form: Fields) -> dict[str, str]:
    """What the form shows: what was filled in, else what is."""
    kept = {
        "batch_size": str(row.batch_size),
        "window": str(row.window_seconds),
        "concurrency": "" if row.maximum_concurrency is None else str(row.maximum_concurrency),
    }
    return {**kept, **{name: value for name, value in form.flat().items() if name in kept}}


# Acts -------------------------------------------------------------------------------------------------


async def act(visit: Visit) -> Done:
    """``act`` in the form is enable, disable or change; all are updates."""
    view = _found(visit, "UpdateEventSourceMapping")
    chosen, form = visit.form.text("act"), visit.form
    if chosen in ("enable", "disable"):
        request = UpdateRequest(enabled=chosen == "enable")
        said = f"It is {chosen}d as soon as what runs has ended." if chosen == "disable" else "It is enabled."
    elif chosen == "change":
        request = UpdateRequest(
            batch_size=_number(form, "batch_size", "batch size"),
            maximum_batching_window_in_seconds=_number(form, "window", "window"),
            scaling_config=ScalingConfig(_number(form, "concurrency", "concurrency", may_be_empty=True)),
        )
        said = "Changed."
    else:
        raise Refused("There is no such act.", 404)
    settings = merged(view.mapping.settings, request)  # nothing that it refuses can be in our form
    if settings == view.mapping.settings:
        return Done("Nothing was changed.", _address(visit, view))
    await _refusing(visit.house.mappings.update(visit.account, view.mapping.uuid, settings))
    await visit.note("UpdateEventSourceMapping", _named(view), _difference(view.mapping.settings, settings))
    return Done(said, _address(visit, view))


async def confirm(visit: Visit) -> Page:
    """Names the queue and the function before a mapping is deleted."""
    view = _found(visit, "GetEventSourceMapping")
    row = row_of(view)
    more = {
        "section": "Mappings",
        "lines": [
            f"The mapping of the queue {row.queue} to {row.function} will be deleted.",
            f"{row.running} {'batch runs' if row.running == 1 else 'batches run'} now, and may end.",
            "The queue stays, and what it holds: it is not handed to the function any more.",
        ],
        "button": f"Delete the mapping of {row.queue}",
        "back": _address(visit, view),
        "may": _may(visit, "DeleteEventSourceMapping", view),
    }
    return Page("sure.html", f"Delete the mapping of {row.queue}", MappingPage(row), more)


async def delete(visit: Visit) -> Done:
    """As DeleteEventSourceMapping does it."""
    view = _found(visit, "DeleteEventSourceMapping")
    await _refusing(visit.house.mappings.delete(visit.account, view.mapping.uuid))
    await visit.note("DeleteEventSourceMapping", _named(view), view.mapping.uuid)
    return Done("It is deleted as soon as what runs has ended.", visit.links.to("mappings"))


def _found(visit: Visit, action: str) -> View:
    """The mapping of the path, if the visitor may do this with it. Raises NotFound, Refused."""
    try:
        view = visit.house.mappings.get(visit.account, visit.names["uuid"])
    except MappingError:
        raise NotFound("There is no such event source mapping.") from None
    if not _may(visit, action, view):
        who = visit.visitor.identity.arn
        raise Refused(f"User: {who} is not authorized to perform: lambda:{action}", 403)
    return view


def _may(visit: Visit, action: str, view: View) -> bool:
    if visit.visitor.read_only and not action.startswith(("Get", "List")):
        return False
    return visit.visitor.identity.allows(action, view.mapping.queue.name)


async def _refusing(doing: Awaitable[View]) -> View:
    """Raises Refused for what Lambda's API would refuse."""
    try:
        return await doing
    except MappingError as error:
        raise _refused(error) from None


def _refused(error: MappingError) -> Refused:
    return Refused(error.message, SHAPES[error.code].status)


def _number(form: Fields, name: str, label: str, *, may_be_empty: bool = False) -> int | None:
    text = form.text(name)
    if not text and may_be_empty:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
        raise Refused(f"The {label} must be a whole number.")
    return int(text)


def _difference(before: Settings, after: Settings) -> str:
    fields = before.__struct_fields__
    return ", ".join(
        f"{name}={getattr(after, name)}" for name in fields if getattr(before, name) != getattr(after, name)
    )


def _named(view: View) -> str:
    return f"{view.mapping.queue.name} to {view.mapping.settings.function}"


def _address(visit: Visit, view: View) -> str:
    return visit.links.to("mappings", view.mapping.uuid)
