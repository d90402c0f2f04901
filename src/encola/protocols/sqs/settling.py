"""DeleteMessage, ChangeMessageVisibility and their batches."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import UNSET

from encola.engine.lifecycle import Outcome
from encola.engine.message import Receipt
from encola.engine.queue import SECOND, Queue
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.desk import Call, Desk
from encola.protocols.sqs.errors import SqsError, invalid_value, missing
from encola.protocols.sqs.receipts import receipt_of
from encola.protocols.sqs.validate import BATCH_ENTRIES_MAX, check_batch_ids

VISIBILITY_SECONDS_MAX = 43_200


def receipt_of_entry(queue: Queue, handle: str) -> Receipt:
    """What a handle stands for. Raises SqsError."""
    if not handle:
        raise missing("ReceiptHandle")
    receipt = receipt_of(handle, queue.id)
    if receipt is None:
        raise SqsError(
            "ReceiptHandleIsInvalid", f'The input receipt handle "{handle[:1024]}" is not a valid receipt handle.'
        )
    return receipt


# Deleting -------------------------------------------------------------------------------------------


async def delete_message(desk: Desk, call: Call, request: s.DeleteMessageRequest) -> s.Empty:
    queue = desk.queue(call, request.QueueUrl, "DeleteMessage")
    receipt = receipt_of_entry(queue, request.ReceiptHandle)
    (outcome,) = await desk.broker.delete(queue, (receipt,))
    _check_deleted(queue, request.ReceiptHandle, outcome)
    return s.Empty()


def _check_deleted(queue: Queue, handle: str, outcome: Outcome) -> None:
    """A standard queue answers success to a late or repeated delete; a FIFO queue refuses a late one."""
    if queue.ordered and outcome in (Outcome.STALE, Outcome.EXPIRED):
        raise invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")


async def delete_message_batch(desk: Desk, call: Call, request: s.DeleteMessageBatchRequest) -> s.BatchResult:
    return await delete_batch(desk, call, request, BATCH_ENTRIES_MAX)


async def delete_batch(desk: Desk, call: Call, request: s.DeleteMessageBatchRequest, entries_max: int) -> s.BatchResult:
    """Deletes what can be deleted of a batch of up to ``entries_max`` entries."""
    queue = desk.queue(call, request.QueueUrl, "DeleteMessage")
    entries = request.Entries or []
    check_batch_ids([entry.Id for entry in entries], "DeleteMessageBatchRequestEntry", entries_max)
    receipts, failed = each(entries, lambda entry: receipt_of_entry(queue, entry.ReceiptHandle))
    outcomes = await desk.broker.delete(queue, [receipt for _, receipt in receipts]) if receipts else ()
    if not failed and not queue.ordered:  # as _check_deleted would find, without asking it for each
        return s.BatchResult([s.BatchResultEntry(entry.Id) for entry in entries])
    return batch_result(receipts, outcomes, failed, lambda entry, one: _check_deleted(queue, entry.ReceiptHandle, one))


# Visibility -----------------------------------------------------------------------------------------


async def change_message_visibility(desk: Desk, call: Call, request: s.ChangeMessageVisibilityRequest) -> s.Empty:
    queue = desk.queue(call, request.QueueUrl, "ChangeMessageVisibility")
    lease = _lease(queue, request)
    (outcome,) = await desk.broker.extend(queue, (lease,))
    check_extended(request, outcome)
    return s.Empty()


VisibilityEntry = s.ChangeMessageVisibilityRequest | s.ChangeMessageVisibilityBatchRequestEntry


def _lease(queue: Queue, entry: VisibilityEntry) -> tuple[Receipt, int]:
    receipt = receipt_of_entry(queue, entry.ReceiptHandle)
    seconds = entry.VisibilityTimeout
    if seconds is None:
        raise missing("VisibilityTimeout")
    if not 0 <= seconds <= VISIBILITY_SECONDS_MAX:
        raise invalid_value(seconds, "VisibilityTimeout", "Must be >= 0 and <= 43200.")
    return receipt, seconds * SECOND


def check_extended(entry: VisibilityEntry, outcome: Outcome) -> None:
    """Raises SqsError for a lease that could not be changed."""
    if outcome is Outcome.TOO_LONG:
        raise invalid_value(
            entry.VisibilityTimeout,
            "VisibilityTimeout",
            f"Total VisibilityTimeout for the message is beyond the limit [{VISIBILITY_SECONDS_MAX} seconds]",
        )
    if outcome is Outcome.EXPIRED:
        raise SqsError("MessageNotInflight", "The message referred to isn't in flight.")
    if outcome is not Outcome.DONE:
        raise invalid_value(
            entry.ReceiptHandle,
            "ReceiptHandle",
            "Message does not exist or is not available for visibility timeout change.",
        )


async def change_message_visibility_batch(
    desk: Desk, call: Call, request: s.ChangeMessageVisibilityBatchRequest
) -> s.BatchResult:
    queue = desk.queue(call, request.QueueUrl, "ChangeMessageVisibility")
    entries = request.Entries or []
    check_batch_ids([entry.Id for entry in entries], "ChangeMessageVisibilityBatchRequestEntry")
    leases, failed = each(entries, lambda entry: _lease(queue, entry))
    outcomes = await desk.broker.extend(queue, [lease for _, lease in leases]) if leases else ()
    return batch_result(leases, outcomes, failed, check_extended)


# Batches --------------------------------------------------------------------------------------------

BatchEntry = TypeVar(
    "BatchEntry",
    s.DeleteMessageBatchRequestEntry,
    s.ChangeMessageVisibilityBatchRequestEntry,
    s.RejectMessageBatchRequestEntry,
)
Prepared = TypeVar("Prepared")


def each(
    entries: Sequence[BatchEntry], prepare: Callable[[BatchEntry], Prepared]
) -> tuple[list[tuple[BatchEntry, Prepared]], list[s.BatchResultErrorEntry]]:
    """What can be done of a batch, and the entries that can't, with their errors."""
    prepared: list[tuple[BatchEntry, Prepared]] = []
    failed = []
    for entry in entries:
        try:
            prepared.append((entry, prepare(entry)))
        except SqsError as error:
            failed.append(s.BatchResultErrorEntry(entry.Id, True, error.code, error.message))
    return prepared, failed


def batch_result(
    prepared: Sequence[tuple[BatchEntry, Prepared]],
    outcomes: Sequence[Outcome],
    failed: list[s.BatchResultErrorEntry],
    check: Callable[[BatchEntry, Outcome], None],
) -> s.BatchResult:
    """What a batch answers: the entries that were done, and those that were not, with their errors."""
    done = []
    for (entry, _), outcome in zip(prepared, outcomes, strict=True):
        try:
            check(entry, outcome)
            done.append(s.BatchResultEntry(entry.Id))
        except SqsError as error:
            failed.append(s.BatchResultErrorEntry(entry.Id, True, error.code, error.message))
    return s.BatchResult(done, failed or UNSET)
