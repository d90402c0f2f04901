"""The records of jobs over HTTP: one request in, one response out (targets ``EncolaJobs.*``).

    authenticate -> may he? -> decode -> the broker's records -> encode

Keys belong to the caller's account: there is no way to name those of another.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from encola.broker.message_ids import MessageIds
from encola.broker.records import Records
from encola.engine.changes import Refused
from encola.engine.records import JobSearch
from encola.engine.store import StoreError
from encola.protocols.aws.identity import Authenticator, AuthError, Identity
from encola.protocols.http.message import Request, Response
from encola.protocols.jobs import wire
from encola.protocols.jobs.wire import STATUSES, ApplyAnswer, ApplyRequest, FindAnswer, GetAnswer, GetRequest, JobsError

PREFIX = "EncolaJobs."
ACTIONS = ("ApplyJobs", "FindJobs", "GetJobs")
"""What a credential may be limited to: the operations, with "Jobs" behind their names."""

UNAVAILABLE = "The service is not available now. Commands may have been carried out: they can be repeated."

_AUTH_CODES = {"SignatureDoesNotMatch": "InvalidSignatureException"}
"""Where JSON protocols have their own name for what others call otherwise."""

_log = logging.getLogger("encola.jobs")

_Perform = Callable[[str, Any], Awaitable[msgspec.Struct]]


class JobsEndpoint:
    """See the module; ``handle`` is what the HTTP listener calls."""

    def __init__(self, records: Records, authenticator: Authenticator) -> None:
        self._records = records
        self._authenticator = authenticator
        self._request_ids = MessageIds()
        self._operations: dict[str, tuple[str, msgspec.json.Decoder[Any], _Perform]] = {
            "EncolaJobs.Apply": ("ApplyJobs", msgspec.json.Decoder(ApplyRequest), self._apply),
            "EncolaJobs.Find": ("FindJobs", msgspec.json.Decoder(JobSearch), self._find),
            "EncolaJobs.Get": ("GetJobs", msgspec.json.Decoder(GetRequest), self._get),
        }

    async def handle(self, request: Request) -> Response:
        """Answers any request; raises nothing but cancellation."""
        request_id = self._request_ids.new()
        target = request.headers.get("x-amz-target", "")
        try:
            identity = self._authenticator.authenticate(request)
            action, decoder, perform = self._operation(target, request)
            if not may(identity, action):
                raise JobsError(
                    "AccessDeniedException", f"User: {identity.arn} is not authorized to perform: {action.lower()}"
                )
            result = await perform(identity.account, wire.decode(decoder, request.body))
            return wire.answer(result, request_id)
        except JobsError as error:
            return wire.failure(error.code, error.message, STATUSES[error.code], request_id)
        except AuthError as error:
            code = _AUTH_CODES.get(error.code, error.code)
            return wire.failure(code, error.message, error.status, request_id)
        except Exception as error:
            ours = _ours(error, target)
            return wire.failure(ours.code, ours.message, STATUSES[ours.code], request_id)

    def _operation(self, target: str, request: Request) -> "tuple[str, msgspec.json.Decoder[Any], _Perform]":
        found = self._operations.get(target)
        if found is None or request.method != "POST":
            raise JobsError("UnknownOperationException", f"The operation {target[:100] or '(none)'} is not known.")
        return found

    async def _apply(self, account: str, asked: ApplyRequest) -> ApplyAnswer:
        replies = await self._records.apply(account, asked.Commands)
        for place, reply in enumerate(replies):
            if isinstance(reply, Refused):
                raise JobsError(
                    "WrongRecord", f"{reply.reason} - at `$.Commands[{place}]`. The other commands were carried out."
                )
        return ApplyAnswer(replies)  # type: ignore[arg-type]  # none of them was refused

    async def _get(self, account: str, asked: GetRequest) -> GetAnswer:
        return GetAnswer(list(await self._records.get(account, asked.Keys)))

    async def _find(self, account: str, asked: JobSearch) -> FindAnswer:
        found = await self._records.find(account, asked)
        return FindAnswer(found.jobs, found.next)


def may(identity: Identity, action: str) -> bool:
    """Records are an account's, not a queue's: who is limited to some queues needs the action by its name.

    ``actions = ["*"]`` with ``queues = ["mine-*"]`` is everything on some queues, and nothing else.
    """
    if identity.allows(action, ""):
        return True
    named = [pattern for pattern in identity.actions if pattern.lower().removeprefix("sqs:").strip("*")]
    return msgspec.structs.replace(identity, actions=tuple(named), queues=("*",)).allows(action, "")


def _ours(error: Exception, operation: str) -> JobsError:
    """A failure that is not the caller's."""
    if isinstance(error, StoreError):
        return JobsError("ServiceUnavailable", UNAVAILABLE)
    # Neither the request nor the error's own text: both may hold what clients sent.
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s failed with %s\n%s", operation[:100], type(error).__name__, frames)
    return JobsError("InternalFailure", "The request failed for a reason on our side.")
