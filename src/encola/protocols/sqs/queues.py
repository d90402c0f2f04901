"""Operations on queues: create, find, list, describe, change, purge, delete."""

import base64
import binascii
from collections.abc import Callable, Sequence

from msgspec import UNSET

from encola.broker.errors import PurgeInProgressError, QueueDeletedRecentlyError, QueueExistsError
from encola.engine.queue import SECOND, Address, Queue, Settings
from encola.protocols.sqs import mapping
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.desk import Call, Desk
from encola.protocols.sqs.errors import SqsError, invalid_value, unknown_attribute
from encola.protocols.sqs.naming import check_name
from encola.protocols.sqs.tags import check_tags
from encola.protocols.sqs.validate import check_range

LISTED_MAX = 1000


async def create_queue(desk: Desk, call: Call, request: s.CreateQueueRequest) -> s.CreateQueueResult:
    given = request.Attributes or {}
    fifo = "FifoQueue" in given  # the suffix alone makes no FIFO queue: check_name refuses it
    attributes = mapping.checked(given, fifo=fifo, creating=True)
    check_name(request.QueueName, fifo=fifo)
    tags = request.tags or {}
    check_tags(tags)
    desk.access.check_name(call.identity, "CreateQueue", request.QueueName, call.region)
    address = Address(call.identity.account, request.QueueName)
    existing = desk.broker.find(address)
    if existing is None:
        settings = mapping.settings_of(mapping.merged({}, attributes))
        _check_dead_letter(desk, call, address, settings, ordered=fifo)
        try:
            existing = await desk.broker.create(address, ordered=fifo, settings=settings, tags=tags)
        except QueueDeletedRecentlyError:
            raise SqsError(
                "QueueDeletedRecently",
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
            ) from None
        except QueueExistsError:  # somebody was quicker
            existing = desk.broker.find(address)
    if existing is not None:
        _check_same(existing, attributes)
    return s.CreateQueueResult(call.url(address))


def _check_same(queue: Queue, attributes: dict[str, str]) -> None:
    """CreateQueue may be repeated with the attributes that the queue has."""
    current = {**queue.settings.attributes, **mapping.attributes_of(queue)}
    for name, value in attributes.items():
        if current.get(name, "") != value:
            raise SqsError(
                "QueueNameExists",
                f"A queue already exists with the same name and a different value for attribute {name}",
            )


def _check_dead_letter(desk: Desk, call: Call, source: Address, settings: Settings, *, ordered: bool) -> None:
    """A dead-letter queue must exist, in the same account, of the same type, and allow this source."""
    rule = settings.dead_letter
    if rule is None:
        return
    target = desk.broker.find(rule.target)
    reason = ""
    if target is None or rule.target.account != source.account:
        reason = "Dead letter target does not exist."  # to another account as well
    elif rule.target == source:
        reason = "A queue can't be its own dead-letter queue."
    elif target.ordered is not ordered:
        reason = "Dead-letter queue must be same type of queue as the source."
    elif not mapping.redrive_allowed(target, call.arn(source)):
        reason = "The dead-letter queue's redrive allow policy does not permit this queue."
    if reason:
        raise mapping.bad_redrive_policy(settings.attributes["RedrivePolicy"], reason)


async def delete_queue(desk: Desk, call: Call, request: s.QueueRequest) -> s.Empty:
    await desk.broker.drop(desk.queue(call, request.QueueUrl, "DeleteQueue"))
    return s.Empty()


async def purge_queue(desk: Desk, call: Call, request: s.QueueRequest) -> s.Empty:
    queue = desk.queue(call, request.QueueUrl, "PurgeQueue")
    try:
        await desk.broker.purge(queue)
    except PurgeInProgressError:
        name = queue.address.name
        raise SqsError(
            "PurgeQueueInProgress", f"Only one PurgeQueue operation on {name} is allowed every 60 seconds."
        ) from None
    return s.Empty()


async def get_queue_url(desk: Desk, call: Call, request: s.GetQueueUrlRequest) -> s.GetQueueUrlResult:
    account = request.QueueOwnerAWSAccountId or call.identity.account
    address = Address(account, request.QueueName)
    queue = desk.broker.find(address)
    if queue is None:
        raise SqsError("QueueDoesNotExist", "The specified queue does not exist.")
    try:
        desk.access.check(call.identity, call.request, queue, "GetQueueUrl")
    except SqsError:
        if account == call.identity.account:
            raise
        # To another account, a queue that it may not use is a queue that is not there.
        raise SqsError(
            "QueueDoesNotExist", "The specified queue does not exist or you do not have access to it."
        ) from None
    return s.GetQueueUrlResult(call.url(address))


async def list_queues(desk: Desk, call: Call, request: s.ListQueuesRequest) -> s.ListQueuesResult:
    return listed(desk, call, request, lambda queue: True)


def listed(desk: Desk, call: Call, request: s.ListQueuesRequest, wanted: Callable[[Queue], bool]) -> s.ListQueuesResult:
    """A page of the caller's queues that are wanted. Raises SqsError."""
    desk.access.check_unbound(call.identity, "ListQueues")
    prefix = request.QueueNamePrefix or ""
    queues = [queue for queue in desk.broker.queues(call.identity.account) if wanted(queue)]
    names = [queue.address for queue in queues if queue.address.name.startswith(prefix)]
    page, token = _page(names, request.NextToken, request.MaxResults)
    return s.ListQueuesResult([call.url(address) for address in page] or None, token)


async def list_dead_letter_source_queues(
    desk: Desk, call: Call, request: s.ListDeadLetterSourceQueuesRequest
) -> s.ListDeadLetterSourceQueuesResult:
    queue = desk.queue(call, request.QueueUrl, "ListDeadLetterSourceQueues")
    sources = [source.address for source in desk.broker.sources_of(queue.address)]
    page, token = _page(sources, request.NextToken, request.MaxResults)
    return s.ListDeadLetterSourceQueuesResult([call.url(address) for address in page], token or UNSET)


def _page(addresses: Sequence[Address], token: str | None, limit: int | None) -> tuple[Sequence[Address], str | None]:
    """A page of sorted addresses after the one that the token names. A token is given only where a limit was."""
    check_range(limit, 1, LISTED_MAX, "MaxResults", "Must be between 1 and 1000, if provided.")
    if token:
        after = _token_name(token)
        addresses = [address for address in addresses if address.name > after]
    page = addresses[: limit or LISTED_MAX]
    more = limit is not None and len(addresses) > len(page)
    return page, base64.urlsafe_b64encode(page[-1].name.encode()).decode() if more else None


def _token_name(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise invalid_value(token[:100], "NextToken", "Invalid or expired next token.") from None


async def get_queue_attributes(
    desk: Desk, call: Call, request: s.GetQueueAttributesRequest
) -> s.GetQueueAttributesResult:
    queue = desk.queue(call, request.QueueUrl, "GetQueueAttributes")
    wanted = request.AttributeNames or []
    for name in wanted:
        if name != "All" and name not in mapping.CHECKS and name not in mapping.READ_ONLY:
            raise unknown_attribute(name)
    if not wanted:
        return s.GetQueueAttributesResult()
    attributes = {
        "QueueArn": call.arn(queue.address),
        "CreatedTimestamp": str(queue.created_at // SECOND),
        "LastModifiedTimestamp": str(queue.modified_at // SECOND),
        **mapping.attributes_of(queue),
    }
    if "All" in wanted or any(name in mapping.COUNTED for name in wanted):
        counts = await desk.broker.counts(queue)
        values = (counts.ready, counts.leased, counts.delayed)
        attributes |= {name: str(value) for name, value in zip(mapping.COUNTED, values, strict=True)}
    if "All" not in wanted:
        attributes = {name: value for name, value in attributes.items() if name in wanted}
    return s.GetQueueAttributesResult(attributes or None)


async def set_queue_attributes(desk: Desk, call: Call, request: s.SetQueueAttributesRequest) -> s.Empty:
    queue = desk.queue(call, request.QueueUrl, "SetQueueAttributes")
    given = mapping.checked(request.Attributes or {}, fifo=queue.ordered, creating=False)
    given.pop("FifoQueue", None)
    settings = mapping.settings_of(mapping.merged(queue.settings.attributes, given), queue.settings)
    if "RedrivePolicy" in given:
        _check_dead_letter(desk, call, queue.address, settings, ordered=queue.ordered)
    await desk.broker.update(queue, settings=settings)
    return s.Empty()
