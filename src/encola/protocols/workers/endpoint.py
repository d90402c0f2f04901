"""The list of workers over HTTP (targets ``EncolaWorkers.*``): they report, people look, and ask one to stop.

Workers belong to the account of the credentials that they report with: there is no way to see those of another.
"""

from bisect import bisect_right
from typing import Annotated

import msgspec
from msgspec import Meta

from encola.broker.workers import TooManyWorkersError, Workers
from encola.engine.message import Instant
from encola.engine.records import Name, Owner
from encola.engine.workers import WORKERS_MAX, Orders, Report, Seen
from encola.protocols.aws import json_endpoint
from encola.protocols.aws.identity import Authenticator
from encola.protocols.aws.json_endpoint import JsonEndpoint, JsonError, Operation

PREFIX = "EncolaWorkers."
ACTIONS = ("ListWorkers", "ReportWorker", "StopWorker")
"""What a credential may be limited to."""

STATUSES = {**json_endpoint.STATUSES, "TooManyWorkers": 400, "WorkerNotFound": 400}
"""The errors of these operations, besides those of a signature."""

LISTED_MAX = 100
"""Workers in one answer: with all that they may say of themselves, these are some megabytes."""


class ListRequest(msgspec.Struct):
    """A page of workers by id: those behind ``After``."""

    After: Name = ""
    Limit: Annotated[int, Meta(ge=1, le=LISTED_MAX)] = LISTED_MAX


class ListAnswer(msgspec.Struct, omit_defaults=True):
    """``Now`` is the clock of their instants. With ``Next`` there are more: it is the next ``After``."""

    Workers: list[Seen]
    Now: Instant
    Next: str = ""


class StopRequest(msgspec.Struct):
    """``Worker`` is an id."""

    Worker: Owner


class StopAnswer(msgspec.Struct):
    """It hears of it at its next report."""


class WorkersEndpoint(JsonEndpoint):
    """See the module."""

    def __init__(self, workers: Workers, authenticator: Authenticator) -> None:
        self._workers = workers
        operations = {
            "EncolaWorkers.List": Operation("ListWorkers", msgspec.json.Decoder(ListRequest), self._list),
            "EncolaWorkers.Report": Operation("ReportWorker", msgspec.json.Decoder(Report), self._report),
            "EncolaWorkers.Stop": Operation("StopWorker", msgspec.json.Decoder(StopRequest), self._stop),
        }
        super().__init__("encola.workers", authenticator, operations, statuses=STATUSES)

    async def _report(self, account: str, asked: Report) -> Orders:
        try:
            return self._workers.report(account, asked)
        except TooManyWorkersError:
            raise JsonError("TooManyWorkers", f"No more than {WORKERS_MAX} workers of an account are listed.") from None

    async def _list(self, account: str, asked: ListRequest) -> ListAnswer:
        found = self._workers.all(account)
        begin = bisect_right(found, asked.After, key=lambda one: one.id)
        page = list(found[begin : begin + asked.Limit])
        more = begin + len(page) < len(found)
        return ListAnswer(page, self._workers.now(), page[-1].id if more else "")

    async def _stop(self, account: str, asked: StopRequest) -> StopAnswer:
        if not self._workers.stop(account, asked.Worker):
            raise JsonError("WorkerNotFound", f"No worker {asked.Worker[:100]} has reported lately.")
        return StopAnswer()
