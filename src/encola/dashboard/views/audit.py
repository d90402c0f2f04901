"""The audit log: who did what, when."""

from collections.abc import Sequence

import msgspec

from encola.dashboard.audit import Entry
from encola.dashboard.page import Page, Visit

ROWS = 200


class Noted(msgspec.Struct):
    """One act."""

    at: int
    who: str
    address: str
    what: str
    on: str
    detail: str
    outcome: str


class AuditPage(msgspec.Struct):
    """The twin, the newest first."""

    search: str
    entries: list[Noted]


async def page(visit: Visit) -> Page:
    """``search`` in the address is looked for in all that an entry says."""
    visit.check("ListQueues")
    search = visit.query.text("search")
    entries: Sequence[Entry] = visit.house.audit.newest(visit.account, ROWS, search)
    noted = [Noted(one.at, one.who, one.address, one.what, one.on, one.detail, one.outcome) for one in entries]
    return Page("audit.html", "Audit log", AuditPage(search, noted))
