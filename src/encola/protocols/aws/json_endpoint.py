"""Operations of our own in the JSON protocol of AWS: one request in, one response out.

    authenticate -> may he? -> decode -> perform -> encode

``X-Amz-Target`` names the operation, ``__type`` an error. What they are about belongs to an account, not to a queue.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from encola.broker.message_ids import MessageIds
from encola.engine.store import StoreError
from encola.protocols.aws.identity import Authenticator, AuthError, Identity
from encola.protocols.aws.json_wire import CONTENT_TYPE
from encola.protocols.http.failures import log_failure
from encola.protocols.http.message import Request, Response

STATUSES = {
    "ValidationException": 400,
    "SerializationException": 400,
    "UnknownOperationException": 400,
    "AccessDeniedException": 403,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
}
"""The errors that any operation may have, besides those of a signature."""

_AUTH_CODES = {"SignatureDoesNotMatch": "InvalidSignatureException"}
"""Where JSON protocols have their own name for what others call otherwise."""

_encode = msgspec.json.Encoder().encode


class JsonError(Exception):
    """An answer that is an error; ``code`` is one of those that the endpoint knows the status of."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Operation(NamedTuple):
    """``action`` is what a credential may be limited to. ``perform`` gets the account and what was decoded."""

    action: str
    decoder: "msgspec.json.Decoder[Any]"
    perform: Callable[[str, Any], Awaitable[msgspec.Struct]]


class JsonEndpoint:
    """See the module; ``handle`` is what the HTTP listener calls.

    ``space`` is the namespace of its errors; ``operations`` are by target. ``statuses`` are those of its own errors.
    ``unavailable`` says that the store cannot do it now.
    """

    def __init__(
        self,
        space: str,
        authenticator: Authenticator,
        operations: Mapping[str, Operation],
        *,
        statuses: Mapping[str, int] = STATUSES,
        unavailable: str = "The service is not available now.",
    ) -> None:
        self._space = space
        self._authenticator = authenticator
        self._operations = operations
        self._statuses = statuses
        self._unavailable = unavailable
        self._log = logging.getLogger(space)
        self._request_ids = MessageIds()

    async def handle(self, request: Request) -> Response:
        """Answers any request; raises nothing but cancellation."""
        request_id = self._request_ids.new()
        target = request.headers.get("x-amz-target", "")
        try:
            identity = self._authenticator.authenticate(request)
            action, decoder, perform = self._operation(target, request)
            if not may(identity, action):
                raise JsonError(
                    "AccessDeniedException", f"User: {identity.arn} is not authorized to perform: {action.lower()}"
                )
            result = await perform(identity.account, decode(decoder, request.body))
            return Response(200, _encode(result), (("x-amzn-RequestId", request_id), CONTENT_TYPE))
        except JsonError as error:
            return self._failure(error.code, error.message, self._statuses[error.code], request_id)
        except AuthError as error:
            code = _AUTH_CODES.get(error.code, error.code)
            return self._failure(code, error.message, error.status, request_id)
        except Exception as error:
            ours = self._ours(error, target)
            return self._failure(ours.code, ours.message, self._statuses[ours.code], request_id)

    def _operation(self, target: str, request: Request) -> Operation:
        found = self._operations.get(target)
        if found is None or request.method != "POST":
            raise JsonError("UnknownOperationException", f"The operation {target[:100] or '(none)'} is not known.")
        return found

    def _ours(self, error: Exception, operation: str) -> JsonError:
        """A failure that is not the caller's."""
        if isinstance(error, StoreError):
            return JsonError("ServiceUnavailable", self._unavailable)
        log_failure(self._log, operation[:100], error)
        return JsonError("InternalFailure", "The request failed for a reason on our side.")

    def _failure(self, code: str, message: str, status: int, request_id: str) -> Response:
        headers = (("x-amzn-RequestId", request_id), CONTENT_TYPE, ("x-amzn-errortype", code))
        return Response(status, _encode({"__type": f"{self._space}#{code}", "message": message}), headers)


def may(identity: Identity, action: str) -> bool:
    """What belongs to an account is no queue: who is limited to some queues needs the action by its name.

    ``actions = ["*"]`` with ``queues = ["mine-*"]`` is everything on some queues, and nothing else.
    """
    if identity.allows(action, ""):
        return True
    named = [pattern for pattern in identity.actions if pattern.lower().removeprefix("sqs:").strip("*")]
    return msgspec.structs.replace(identity, actions=tuple(named), queues=("*",)).allows(action, "")


def decode(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    """The request's shape, all its limits checked. Raises JsonError."""
    try:
        body.decode()  # parts may be kept as they come, so nobody else looks at their characters
        return decoder.decode(body or b"{}")
    except msgspec.ValidationError as error:
        raise JsonError("ValidationException", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise JsonError("SerializationException", "The request body is not valid JSON.") from None
