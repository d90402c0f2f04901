"""The SQS endpoint: one request in, one response out, in the protocol in which it was asked.

    authenticate -> find the operation -> decode -> perform -> encode

Whatever goes wrong on the way is answered in the same protocol; what is our own fault is logged, without its payload.
"""

import logging
from collections.abc import Awaitable, Coroutine
from typing import Any

from encola.broker.broker import Broker
from encola.broker.errors import QueueGoneError
from encola.broker.message_ids import MessageIds
from encola.engine.store import StoreError
from encola.protocols.aws.identity import Authenticator, AuthError, Identity
from encola.protocols.http.failures import log_failure
from encola.protocols.http.message import Request, Response
from encola.protocols.sqs import wire_json, wire_query
from encola.protocols.sqs.desk import Call, Desk, SqsOptions
from encola.protocols.sqs.errors import SqsError, no_queue
from encola.protocols.sqs.naming import FIFO_SUFFIX
from encola.protocols.sqs.operations import OPERATIONS, TARGETS, Operation
from encola.protocols.sqs.queues import create_queue
from encola.protocols.sqs.shapes import CreateQueueRequest, Shape

_log = logging.getLogger("encola.sqs")

_AUTH_SHAPES = {"SignatureDoesNotMatch": "InvalidSignatureException"}
"""Where the JSON protocol has its own name for what the Query protocol calls otherwise."""

UNAVAILABLE = "The service is not available now: nothing was stored. Try again later."


class SqsEndpoint:
    """See the module; ``handle`` is what the HTTP listener calls."""

    def __init__(self, broker: Broker, authenticator: Authenticator, options: SqsOptions | None = None) -> None:
        self.desk = Desk(broker, options or SqsOptions())
        self._authenticator = authenticator
        self._request_ids = MessageIds()

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Answers any request; raises nothing but cancellation."""
        target = request.headers.get("x-amz-target")
        if target is not None:
            return self._handle_json(request, target)
        if request.headers.get("content-type", "").startswith("application/x-amz-json"):
            return self._handle_json(request, "")
        return self._handle_query(request)

    # The two protocols ------------------------------------------------------------------------------

    async def _handle_json(self, request: Request, target: str) -> Response:
        request_id = self._request_ids.new()
        try:
            identity = self._authenticator.authenticate(request)
            operation = TARGETS.get(target)
            if operation is None or request.method != "POST":
                raise SqsError("UnknownOperationException", f"The operation {target[:100] or '(none)'} is not known.")
            asked = wire_json.decode(operation.decoder, request.body)
            result = await self._perform(operation, asked, identity, request)
            return wire_json.answer(result, request_id)
        except SqsError as error:
            return wire_json.error_answer(error, request_id)
        except QueueGoneError:
            return wire_json.error_answer(no_queue(), request_id)
        except AuthError as error:
            return wire_json.failure(
                _AUTH_SHAPES.get(error.code, error.code), error.code, error.message, error.status, request_id
            )
        except Exception as error:
            return wire_json.error_answer(_ours(error, target), request_id)

    async def _handle_query(self, request: Request) -> Response:
        request_id = self._request_ids.new()
        name = ""
        try:
            identity = self._authenticator.authenticate(request)
            fields = _fields(request)
            name = fields.get("Action", "")
            operation = OPERATIONS.get(name)
            if operation is None:
                raise _no_action(name)
            fields.setdefault("QueueUrl", _path_url(request))
            asked = wire_query.decode(name, operation.input, fields)
            result = await self._perform(operation, asked, identity, request)
            return wire_query.answer(name, result, request_id)
        except SqsError as error:
            return wire_query.error_answer(error, request_id)
        except QueueGoneError:
            return wire_query.error_answer(no_queue(), request_id)
        except AuthError as error:
            return wire_query.failure(error.code, error.message, error.status, request_id)
        except Exception as error:
            return wire_query.error_answer(_ours(error, name), request_id)

    # What both do -----------------------------------------------------------------------------------

    def _perform(self, operation: Operation, asked: Shape, identity: Identity, request: Request) -> Awaitable[Shape]:
        operation.check(asked)
        call = self.desk.call(identity, request)
        if operation.creates and self.desk.options.auto_create_queues:
            return self._perform_creating(operation, call, asked)
        return operation.perform(self.desk, call, asked)

    async def _perform_creating(self, operation: Operation, call: Call, asked: Shape) -> Shape:
        try:
            return await operation.perform(self.desk, call, asked)
        except SqsError as error:
            if error.shape != "QueueDoesNotExist":
                raise
        await self._create(call, asked)
        return await operation.perform(self.desk, call, asked)

    async def _create(self, call: Call, asked: Shape) -> None:
        """Creates the queue that a request names but nobody has created (a switch for development)."""
        url = getattr(asked, "QueueUrl", "") or getattr(asked, "QueueName", "")
        address = self.desk.address(call, url)
        owner = getattr(asked, "QueueOwnerAWSAccountId", None) or address.account
        if owner != call.identity.account:
            raise no_queue()
        name = address.name
        fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if name.endswith(FIFO_SUFFIX) else None
        await create_queue(self.desk, call, CreateQueueRequest(name, fifo))


def _fields(request: Request) -> dict[str, str]:
    """The fields of the query string and, for a POST, of the form in its body. Raises SqsError."""
    fields = wire_query.fields_of(request.target.partition("?")[2])
    if request.method == "POST":
        try:
            text = request.body.decode()
        except UnicodeDecodeError:
            raise SqsError("SerializationException", "The request is not a valid form.") from None
        fields = {**fields, **wire_query.fields_of(text)}
    elif request.method != "GET":
        raise SqsError("UnknownOperationException", f"The method {request.method[:20]} is not supported.")
    return fields


def _path_url(request: Request) -> str:
    """A request to a queue's own path means that queue."""
    path = request.target.partition("?")[0]
    return path if path.strip("/") else ""


def _no_action(name: str) -> SqsError:
    if not name:
        return SqsError("MissingRequiredParameterException", "The request must contain the parameter Action.")
    return SqsError("UnknownOperationException", f"The action {name[:100]} is not valid for this endpoint.")


def _ours(error: Exception, operation: str) -> SqsError:
    """A failure that is not the caller's."""
    if isinstance(error, StoreError):
        return SqsError("ServiceUnavailable", UNAVAILABLE)
    log_failure(_log, operation[:100], error)
    return SqsError("InternalFailure", "The request failed for a reason on our side.")
