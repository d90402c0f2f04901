"""The CloudWatch endpoint: one request in, one response out, in the protocol in which it was asked.

    authenticate -> decode -> find the operation -> may the caller? -> perform -> encode

Three protocols: Query, which SDKs spoke for long; JSON; and CBOR, which newer SDKs prefer. Each makes a tree of the
request, which becomes the same shape.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from types import ModuleType
from typing import Any

import msgspec

from encola.broker.broker import Broker
from encola.broker.message_ids import MessageIds
from encola.engine.store import StoreError
from encola.protocols.aws.identity import Authenticator, AuthError, Identity
from encola.protocols.cloudwatch import data, listing, shapes, statistics, wire_cbor, wire_json, wire_query
from encola.protocols.cloudwatch.desk import Desk, Source
from encola.protocols.cloudwatch.errors import OF_AUTHENTICATION, SHAPES, CloudWatchError, invalid
from encola.protocols.http.failures import log_failure
from encola.protocols.http.message import Request, Response

SERVICE = "monitoring"
"""What signatures are for."""
TARGET_PREFIX = wire_json.PREFIX
PATH_PREFIX = "/service/"
ACTIONS = (data.ACTION, statistics.ACTION, listing.ACTION)

_SCOPE = f"/{SERVICE}/"
_SCOPE_IN_QUERY = f"%2F{SERVICE}%2F"

_log = logging.getLogger("encola.cloudwatch")

_Perform = Callable[[Desk, Identity, Any], Awaitable[shapes.Shape]]

OPERATIONS: dict[str, tuple[type[shapes.Shape], _Perform]] = {
    data.ACTION: (shapes.GetMetricDataRequest, data.get_metric_data),
    statistics.ACTION: (shapes.GetMetricStatisticsRequest, statistics.get_metric_statistics),
    listing.ACTION: (shapes.ListMetricsRequest, listing.list_metrics),
}


def is_ours(request: Request) -> bool:
    """Is a request without X-Amz-Target for CloudWatch? Its path tells, or what it is signed for."""
    return (
        _SCOPE in request.headers.get("authorization", "")
        or request.target.startswith(PATH_PREFIX)
        or _SCOPE_IN_QUERY in request.target
        or _SCOPE in request.target
    )


class CloudWatchEndpoint:
    """See the module; ``handle`` is what the HTTP listener calls."""

    def __init__(self, broker: Broker, source: Source, authenticator: Authenticator) -> None:
        self._desk = Desk(broker, source)
        self._authenticator = authenticator
        self._request_ids = MessageIds()

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Answers any request; raises nothing but cancellation."""
        if request.target.startswith(PATH_PREFIX):
            return self._handle(request, wire_cbor)
        if "x-amz-target" in request.headers:
            return self._handle(request, wire_json)
        return self._handle(request, wire_query)

    async def _handle(self, request: Request, wire: ModuleType) -> Response:
        request_id = self._request_ids.new()
        name = ""
        try:
            identity = self._authenticator.authenticate(request)
            name, tree = wire.decode(request)
            result = await self._perform(name, tree, identity, strict=wire is not wire_query)
            answered: Response = wire.answer(name, result, request_id)
            return answered
        except CloudWatchError as error:
            return _failure(wire, error, request_id)
        except AuthError as error:
            shape = OF_AUTHENTICATION.get(error.code, error.code)
            refused: Response = wire.failure(error.code, shape, error.message, error.status, request_id)
            return refused
        except Exception as error:
            return _failure(wire, _ours(error, name), request_id)

    async def _perform(self, name: str, tree: dict[str, Any], identity: Identity, *, strict: bool) -> dict[str, Any]:
        found = OPERATIONS.get(name)
        if found is None:
            raise CloudWatchError(
                "InvalidAction", f"Of CloudWatch {', '.join(OPERATIONS)} are served, not {name[:100] or 'this'}."
            )
        shape, perform = found
        if not identity.may(name):
            raise CloudWatchError(
                "AccessDenied", f"User: {identity.arn} is not authorized to perform: cloudwatch:{name}"
            )
        try:
            asked = msgspec.convert(tree, shape, strict=strict)
        except msgspec.ValidationError as error:
            raise invalid(f"The request has an invalid parameter: {error}") from None
        result: dict[str, Any] = msgspec.to_builtins(await perform(self._desk, identity, asked))
        return result


def _failure(wire: ModuleType, error: CloudWatchError, request_id: str) -> Response:
    shape = SHAPES[error.code]
    response: Response = wire.failure(error.code, shape.shape, error.message, shape.status, request_id)
    return response


def _ours(error: Exception, operation: str) -> CloudWatchError:
    """A failure that is not the caller's."""
    if isinstance(error, StoreError):
        return CloudWatchError("ServiceUnavailable", "The service is not available now. Try again later.")
    log_failure(_log, operation[:100], error)
    return CloudWatchError("InternalServiceError", "The request failed for a reason on our side.")
