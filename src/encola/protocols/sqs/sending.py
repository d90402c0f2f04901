"""SendMessage and SendMessageBatch."""

import hashlib

from msgspec import UNSET

from encola.broker.broker import Draft
from encola.engine.changes import Stored
from encola.engine.message import size_of
from encola.engine.queue import SECOND, Queue
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.checksums import md5_of, md5_of_attributes
from encola.protocols.sqs.desk import Call, Desk
from encola.protocols.sqs.errors import SqsError, invalid_parameter, invalid_value, missing
from encola.protocols.sqs.validate import (
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    check_attributes,
    check_batch_ids,
    check_body,
    check_id,
    check_system_attributes,
)

DELAY_SECONDS_MAX = 900
NOT_FOR_THIS_TYPE = "The request include parameter that is not valid for this queue type."
NO_GROUP = "The request must contain the parameter MessageGroupId."
NO_DEDUPLICATION_ID = (
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
)

Entry = s.SendMessageRequest | s.SendMessageBatchRequestEntry


async def send_message(desk: Desk, call: Call, request: s.SendMessageRequest) -> s.SendMessageResult:
    queue = desk.queue(call, request.QueueUrl, "SendMessage")
    draft = draft_of(request, queue, call.identity.user_id)
    check_size(draft, queue)
    (stored,) = await desk.broker.send(queue, (draft,))
    return s.SendMessageResult(
        md5_of(draft.body),
        md5_of_attributes(draft.headers) if draft.headers else None,
        _md5_of_system(request) if request.MessageSystemAttributes else None,
        stored.message_id,
        _sequence_number(stored) if queue.ordered else None,
    )


def check_size(draft: Draft, queue: Queue) -> None:
    """Raises SqsError for a message that is longer than the queue takes."""
    if size_of(draft.body, draft.headers) > queue.settings.message_bytes_max:
        raise invalid_parameter(
            "One or more parameters are invalid. Reason: "
            f"Message must be shorter than {queue.settings.message_bytes_max} bytes."
        )


def draft_of(entry: Entry, queue: Queue, sender: str, delay_seconds_max: int = DELAY_SECONDS_MAX) -> Draft:
    """A message as the broker takes it. Raises SqsError."""
    body = check_body(entry.MessageBody)
    headers = check_attributes(entry.MessageAttributes) if entry.MessageAttributes else {}
    properties = {}
    if entry.MessageSystemAttributes:
        found = check_system_attributes(entry.MessageSystemAttributes)
        properties = {name: header.value.decode() for name, header in found.items()}
    group = entry.MessageGroupId
    if group or (group is not None and not queue.ordered):
        check_id(group, "MessageGroupId")
    if queue.ordered:
        return _ordered_draft(entry, queue, Draft(body, sender, group or "", None, None, headers, properties))
    if entry.MessageDeduplicationId is not None:
        raise invalid_value(entry.MessageDeduplicationId[:128], "MessageDeduplicationId", NOT_FOR_THIS_TYPE)
    delay = entry.DelaySeconds
    if delay is not None:
        if not 0 <= delay <= delay_seconds_max:
            raise invalid_value(delay, "DelaySeconds", f"DelaySeconds must be >= 0 and <= {delay_seconds_max}.")
        delay *= SECOND
    return Draft(body, sender, group or "", None, delay, headers, properties)


def _ordered_draft(entry: Entry, queue: Queue, draft: Draft) -> Draft:
    """The rules of FIFO queues: a group, a deduplication id, no delay of a message's own."""
    if not draft.group:
        raise missing("MessageGroupId")
    if entry.DelaySeconds:
        raise invalid_value(entry.DelaySeconds, "DelaySeconds", NOT_FOR_THIS_TYPE)
    given = entry.MessageDeduplicationId
    if given is not None:
        check_id(given, "MessageDeduplicationId")
    elif queue.settings.content_deduplication:
        given = hashlib.sha256(draft.body).hexdigest()
    else:
        raise invalid_parameter(NO_DEDUPLICATION_ID)
    # The key says how far it reaches: an id within its group, or within the queue. No id has a NUL.
    key = f"{draft.group}\0{given}" if queue.settings.group_deduplication else given
    return Draft(draft.body, draft.sender, draft.group, key, None, draft.headers, draft.properties)


def _md5_of_system(entry: Entry) -> str | None:
    return md5_of_attributes(check_system_attributes(entry.MessageSystemAttributes))


def _sequence_number(stored: Stored) -> str:
    return f"{stored.message:020}"


async def send_message_batch(desk: Desk, call: Call, request: s.SendMessageBatchRequest) -> s.SendMessageBatchResult:
    return await send_batch(desk, call, request, DELAY_SECONDS_MAX)


async def send_batch(
    desk: Desk,
    call: Call,
    request: s.SendMessageBatchRequest,
    delay_seconds_max: int,
    entries_max: int = BATCH_ENTRIES_MAX,
) -> s.SendMessageBatchResult:
    """Sends what can be sent of a batch; each entry may be delayed for up to ``delay_seconds_max``."""
    queue = desk.queue(call, request.QueueUrl, "SendMessage")
    entries = request.Entries or []
    check_batch_ids([entry.Id for entry in entries], "SendMessageBatchRequestEntry", entries_max)
    if queue.ordered:
        _check_ordered_batch(entries, queue)
    accepted: list[tuple[s.SendMessageBatchRequestEntry, Draft]] = []
    failed: list[s.BatchResultErrorEntry] = []
    total = 0
    for entry in entries:
        try:
            draft = draft_of(entry, queue, call.identity.user_id, delay_seconds_max)
        except SqsError as error:
            failed.append(s.BatchResultErrorEntry(entry.Id, True, error.code, error.message))
            total += len(entry.MessageBody.encode("utf-8", "replace"))
            continue
        size = size_of(draft.body, draft.headers)
        total += size
        if size > queue.settings.message_bytes_max:
            failed.append(_too_long(entry.Id, queue))
        else:
            accepted.append((entry, draft))
    if total > BATCH_BYTES_MAX:
        raise SqsError(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {BATCH_BYTES_MAX} bytes. You have sent {total} bytes.",
        )
    stored = await desk.broker.send(queue, [draft for _, draft in accepted]) if accepted else ()
    return s.SendMessageBatchResult(
        [_entry_of(queue, *pair, one) for pair, one in zip(accepted, stored, strict=True)],
        failed or UNSET,
    )


def _check_ordered_batch(entries: list[s.SendMessageBatchRequestEntry], queue: Queue) -> None:
    """An entry without its group or deduplication id fails the whole batch, as AWS answers it."""
    if not all(entry.MessageGroupId for entry in entries):
        raise invalid_parameter(NO_GROUP)
    if not queue.settings.content_deduplication and any(entry.MessageDeduplicationId is None for entry in entries):
        raise invalid_parameter(NO_DEDUPLICATION_ID)


def _too_long(entry_id: str, queue: Queue) -> s.BatchResultErrorEntry:
    return s.BatchResultErrorEntry(
        entry_id,
        True,
        "InvalidParameterValue",
        "One or more parameters cannot be validated. Reason: "
        f"Message must be shorter than {queue.settings.message_bytes_max} bytes.",
    )


def _entry_of(
    queue: Queue, entry: s.SendMessageBatchRequestEntry, draft: Draft, stored: Stored
) -> s.SendMessageBatchResultEntry:
    return s.SendMessageBatchResultEntry(
        entry.Id,
        stored.message_id,
        md5_of(draft.body),
        md5_of_attributes(draft.headers) if draft.headers else None,
        _md5_of_system(entry) if entry.MessageSystemAttributes else None,
        _sequence_number(stored) if queue.ordered else None,
    )
