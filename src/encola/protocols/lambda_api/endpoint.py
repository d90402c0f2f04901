"""The Lambda endpoint: five operations on mappings, told apart by method and path.

    authenticate -> find the operation -> decode -> may the caller? -> perform -> encode

A caller needs the right to the action on the mapping's queue; he sees and touches mappings of his own account only.
"""

import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from encola.broker.message_ids import MessageIds
from encola.engine.store import StoreError
from encola.mappings.functions import reference_of
from encola.mappings.manager import Mappings, View
from encola.mappings.model import MappingError, Settings
from encola.mappings.validate import queue_of_source
from encola.protocols.aws.identity import Authenticator, AuthError, Identity
from encola.protocols.http.failures import log_failure
from encola.protocols.http.message import Request, Response
from encola.protocols.lambda_api.errors import OF_AUTHENTICATION, SHAPES, body_of
from encola.protocols.lambda_api.mapping import answer_of, merged, missing, settings_of
from encola.protocols.lambda_api.shapes import CreateRequest, UpdateRequest

PREFIX = "/2015-03-31/"
COLLECTION = f"{PREFIX}event-source-mappings"
PAGE_MAX = 100
ITEMS_MAX = 10_000
QUERY_FIELDS_MAX = 20
ACTIONS = (
    "CreateEventSourceMapping",
    "GetEventSourceMapping",
    "ListEventSourceMappings",
    "UpdateEventSourceMapping",
    "DeleteEventSourceMapping",
)

_log = logging.getLogger("encola.lambda")
_create = msgspec.json.Decoder(CreateRequest)
_update = msgspec.json.Decoder(UpdateRequest)

Answer = tuple[int, dict[str, Any]]
Operation = Callable[[Identity, Request, str], Awaitable[Answer]]


class LambdaEndpoint:
    """See the module; ``handle`` is what the HTTP listener calls for paths below ``PREFIX``."""

    def __init__(self, mappings: Mappings, authenticator: Authenticator) -> None:
        self._mappings = mappings
        self._authenticator = authenticator
        self._request_ids = MessageIds()
        self._of_collection: dict[str, Operation] = {"POST": self._create, "GET": self._list}
        self._of_one: dict[str, Operation] = {"GET": self._get, "PUT": self._update, "DELETE": self._delete}

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Answers any request; raises nothing but cancellation."""
        return self._handle(request)

    async def _handle(self, request: Request) -> Response:
        request_id = self._request_ids.new()
        try:
            identity = self._authenticator.authenticate(request)
            operation, name = self._operation(request)
            status, answer = await operation(identity, request, name)
            return _response(status, msgspec.json.encode(answer), request_id)
        except MappingError as error:
            return _refusal(error.code, error.message, request_id)
        except AuthError as error:
            return _refusal(OF_AUTHENTICATION.get(error.code, "ValidationException"), error.message, request_id)
        except StoreError:
            return _refusal("ServiceException", "The service is not available now: nothing was stored.", request_id)
        except Exception as error:
            log_failure(_log, request.method, error)
            return _refusal("ServiceException", "The request failed for a reason on our side.", request_id)

    def _operation(self, request: Request) -> tuple[Operation, str]:
        """The operation that is meant, and the UUID in the path. Raises MappingError."""
        path = request.target.partition("?")[0]
        if path.rstrip("/") == COLLECTION:
            operation, name = self._of_collection.get(request.method), ""
        elif path.startswith(f"{COLLECTION}/"):
            operation, name = self._of_one.get(request.method), unquote(path.removeprefix(f"{COLLECTION}/")).rstrip("/")
        else:
            operation, name = None, ""
        if operation is None:
            raise MappingError("UnknownOperationException", "Of AWS Lambda only event source mappings are served here.")
        return operation, name

    # Operations -------------------------------------------------------------------------------------

    async def _create(self, identity: Identity, request: Request, _: str) -> Answer:
        asked = _decoded(_create, request)
        if asked.event_source_arn is None:
            raise missing("eventSourceArn")
        queue, _region = queue_of_source(asked.event_source_arn)
        _check(identity, "CreateEventSourceMapping", queue.name)
        view = await self._mappings.create(
            identity.account, identity.region, asked.event_source_arn, settings_of(asked), asked.tags
        )
        return 202, answer_of(view)

    async def _get(self, identity: Identity, request: Request, name: str) -> Answer:
        return 200, answer_of(self._found(identity, "GetEventSourceMapping", name))

    async def _update(self, identity: Identity, request: Request, name: str) -> Answer:
        view = self._found(identity, "UpdateEventSourceMapping", name)
        settings: Settings = merged(view.mapping.settings, _decoded(_update, request))
        return 202, answer_of(await self._mappings.update(identity.account, name, settings))

    async def _delete(self, identity: Identity, request: Request, name: str) -> Answer:
        self._found(identity, "DeleteEventSourceMapping", name)
        return 202, answer_of(await self._mappings.delete(identity.account, name))

    async def _list(self, identity: Identity, request: Request, _: str) -> Answer:
        query = _query(request)
        views = [
            view
            for view in self._mappings.all(identity.account)
            if identity.allows("ListEventSourceMappings", view.mapping.queue.name)
        ]
        if "EventSourceArn" in query:
            queue, _region = queue_of_source(query["EventSourceArn"])
            views = [view for view in views if view.mapping.queue == queue]
        if "FunctionName" in query:
            reference = reference_of(query["FunctionName"], identity.account)
            views = [view for view in views if view.mapping.settings.function == reference.name]
        after = _after(query.get("Marker", ""))
        views = [view for view in views if view.mapping.uuid > after]
        page = views[: min(_items(query.get("MaxItems")), PAGE_MAX)]
        answer: dict[str, Any] = {"EventSourceMappings": [answer_of(view) for view in page]}
        if len(page) < len(views):
            answer["NextMarker"] = base64.urlsafe_b64encode(page[-1].mapping.uuid.encode()).decode()
        return 200, answer

    def _found(self, identity: Identity, action: str, name: str) -> View:
        """The mapping of a UUID, if the caller may do this with it. Raises MappingError."""
        view = self._mappings.get(identity.account, name)
        _check(identity, action, view.mapping.queue.name)
        return view


def _check(identity: Identity, action: str, queue_name: str) -> None:
    if not identity.allows(action, queue_name):
        raise MappingError(
            "AccessDeniedException", f"User: {identity.arn} is not authorized to perform: lambda:{action}"
        )


def _decoded(decoder: msgspec.json.Decoder[Any], request: Request) -> Any:
    try:
        return decoder.decode(request.body or b"{}")
    except (msgspec.DecodeError, RecursionError):
        raise MappingError("SerializationException", "The body is not what the operation takes.") from None


def _query(request: Request) -> dict[str, str]:
    try:
        fields = parse_qs(
            request.target.partition("?")[2], keep_blank_values=False, max_num_fields=QUERY_FIELDS_MAX, errors="strict"
        )
    except ValueError:
        raise MappingError("ValidationException", "The query of the request cannot be read.") from None
    return {name: values[0] for name, values in fields.items()}


def _items(text: str | None) -> int:
    if text is None:
        return PAGE_MAX
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= ITEMS_MAX):
        raise MappingError(
            "ValidationException",
            f"1 validation error detected: Value '{text[:50]}' at 'maxItems' failed to satisfy constraint: "
            f"Member must be between 1 and {ITEMS_MAX}",
        )
    return int(text)


def _after(marker: str) -> str:
    try:
        return base64.urlsafe_b64decode(marker.encode("ascii")).decode()
    except (binascii.Error, UnicodeError):
        raise MappingError("InvalidParameterValueException", "Invalid value for the parameter Marker.") from None


def _refusal(code: str, message: str, request_id: str) -> Response:
    return _response(SHAPES[code].status, body_of(code, message), request_id, (("x-amzn-ErrorType", code),))


def _response(status: int, body: bytes, request_id: str, more: tuple[tuple[str, str], ...] = ()) -> Response:
    return Response(status, body, (("Content-Type", "application/json"), ("x-amzn-RequestId", request_id), *more))
