"""The records of jobs over HTTP (targets ``EncolaJobs.*``): the broker's records, by account.

Keys belong to the caller's account: there is no way to name those of another.
"""

import msgspec

from encola.broker.records import Records
from encola.engine.changes import Refused
from encola.engine.records import JobSearch
from encola.protocols.aws.identity import Authenticator
from encola.protocols.aws.json_endpoint import JsonEndpoint, JsonError, Operation
from encola.protocols.jobs.wire import (
    STATUSES,
    ApplyAnswer,
    ApplyRequest,
    FindAnswer,
    GetAnswer,
    GetRequest,
    check_results,
)

PREFIX = "EncolaJobs."
ACTIONS = ("ApplyJobs", "FindJobs", "GetJobs")
"""What a credential may be limited to: the operations, with "Jobs" behind their names."""

UNAVAILABLE = "The service is not available now. Commands may have been carried out: they can be repeated."


class JobsEndpoint(JsonEndpoint):
    """See the module."""

    def __init__(self, records: Records, authenticator: Authenticator) -> None:
        self._records = records
        operations = {
            "EncolaJobs.Apply": Operation("ApplyJobs", msgspec.json.Decoder(ApplyRequest), self._apply),
            "EncolaJobs.Find": Operation("FindJobs", msgspec.json.Decoder(JobSearch), self._find),
            "EncolaJobs.Get": Operation("GetJobs", msgspec.json.Decoder(GetRequest), self._get),
        }
        super().__init__("encola.jobs", authenticator, operations, statuses=STATUSES, unavailable=UNAVAILABLE)

    async def _apply(self, account: str, asked: ApplyRequest) -> ApplyAnswer:
        check_results(asked.Commands)
        replies = await self._records.apply(account, asked.Commands)
        for place, reply in enumerate(replies):
            if isinstance(reply, Refused):
                raise JsonError(
                    "WrongRecord", f"{reply.reason} - at `$.Commands[{place}]`. The other commands were carried out."
                )
        return ApplyAnswer(replies)  # type: ignore[arg-type]  # none of them was refused

    async def _get(self, account: str, asked: GetRequest) -> GetAnswer:
        return GetAnswer(list(await self._records.get(account, asked.Keys)))

    async def _find(self, account: str, asked: JobSearch) -> FindAnswer:
        found = await self._records.find(account, asked)
        return FindAnswer(found.jobs, found.next)
