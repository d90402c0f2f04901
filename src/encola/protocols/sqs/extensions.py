"""Operations of ours besides those of Amazon SQS (targets ``Encola.*``, in the JSON protocol only).

Another service does not know them: that is how a client learns whom it talks to.
"""

from encola import __version__
from encola.engine.lifecycle import Outcome
from encola.engine.message import Header, Receipt
from encola.engine.queue import DAY, SECOND, Queue
from encola.engine.records import TEXT_LENGTH_MAX
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.desk import Call, Desk
from encola.protocols.sqs.errors import SqsError, invalid_value, missing
from encola.protocols.sqs.queues import listed
from encola.protocols.sqs.receiving import receive
from encola.protocols.sqs.sending import send_batch
from encola.protocols.sqs.settling import batch_result, check_extended, delete_batch, each, receipt_of_entry
from encola.protocols.sqs.validate import NOT_XML, check_batch_ids

ENTRIES_MAX = 100
"""Messages in one request of ours: of small ones, a request for ten costs as much as one for a hundred."""

DELAY_SECONDS_MAX = 14 * DAY // SECOND
REASON_LENGTH_MAX = 256
ERROR_LENGTH_MAX = TEXT_LENGTH_MAX

REASON = "encola.reason"
ERROR = "encola.error"


async def describe_server(desk: Desk, call: Call, request: s.Empty) -> s.DescribeServerResult:
    """Who answers here, and what o'clock it is for its queues."""
    return s.DescribeServerResult("encola", __version__, desk.broker.clock.now(), DELAY_SECONDS_MAX, ENTRIES_MAX)


async def send_message_batch(desk: Desk, call: Call, request: s.SendMessageBatchRequest) -> s.SendMessageBatchResult:
    """As in SQS, but messages may be delayed for days; the retention of those counts from when they come due."""
    return await send_batch(desk, call, request, DELAY_SECONDS_MAX, ENTRIES_MAX)


async def receive_message(desk: Desk, call: Call, request: s.ReceiveMessageRequest) -> s.ReceiveMessageResult:
    """As in SQS, but up to ``ENTRIES_MAX`` messages."""
    return await receive(desk, call, request, ENTRIES_MAX)


async def delete_message_batch(desk: Desk, call: Call, request: s.DeleteMessageBatchRequest) -> s.BatchResult:
    """As in SQS, but up to ``ENTRIES_MAX`` messages."""
    return await delete_batch(desk, call, request, ENTRIES_MAX)


# Pause ----------------------------------------------------------------------------------------------


async def pause_queue(desk: Desk, call: Call, request: s.QueueRequest) -> s.Empty:
    """Nobody receives from the queue any more; whoever waits for messages goes on waiting, and all else goes on."""
    await desk.broker.pause(desk.queue(call, request.QueueUrl, "SetQueueAttributes"))
    return s.Empty()


async def resume_queue(desk: Desk, call: Call, request: s.QueueRequest) -> s.Empty:
    await desk.broker.resume(desk.queue(call, request.QueueUrl, "SetQueueAttributes"))
    return s.Empty()


async def list_paused_queues(desk: Desk, call: Call, request: s.ListQueuesRequest) -> s.ListQueuesResult:
    """As ListQueues, of those that are paused: no attribute of SQS tells."""
    return listed(desk, call, request, lambda queue: queue.paused)


# Release --------------------------------------------------------------------------------------------


async def release_message_batch(
    desk: Desk, call: Call, request: s.ChangeMessageVisibilityBatchRequest
) -> s.BatchResult:
    """Takes deliveries back as if they had never happened: they do not count, and the messages come again later."""
    queue = desk.queue(call, request.QueueUrl, "ChangeMessageVisibility")
    entries = request.Entries or []
    check_batch_ids([entry.Id for entry in entries], "ReleaseMessageBatchRequestEntry", ENTRIES_MAX)
    receipts, failed = each(entries, lambda entry: _pause(queue, entry))
    outcomes = await desk.broker.release(queue, [one for _, one in receipts]) if receipts else ()
    return batch_result(receipts, outcomes, failed, check_extended)


def _pause(queue: Queue, entry: s.ChangeMessageVisibilityBatchRequestEntry) -> tuple[Receipt, int]:
    receipt = receipt_of_entry(queue, entry.ReceiptHandle)
    seconds = entry.VisibilityTimeout
    if seconds is None:
        raise missing("VisibilityTimeout")
    if not 0 <= seconds <= DELAY_SECONDS_MAX:
        raise invalid_value(seconds, "VisibilityTimeout", f"Must be >= 0 and <= {DELAY_SECONDS_MAX}.")
    return receipt, seconds * SECOND


# Reject ---------------------------------------------------------------------------------------------


async def reject_message_batch(desk: Desk, call: Call, request: s.RejectMessageBatchRequest) -> s.BatchResult:
    """Moves deliveries to the queue's dead-letter queue in one step, with attributes that say why."""
    queue = desk.queue(call, request.QueueUrl, "DeleteMessage")
    entries = request.Entries or []
    check_batch_ids([entry.Id for entry in entries], "RejectMessageBatchRequestEntry", ENTRIES_MAX)
    rejections, failed = each(entries, lambda entry: _rejection(queue, entry))
    outcomes = await desk.broker.reject(queue, [one for _, one in rejections]) if rejections else ()
    return batch_result(rejections, outcomes, failed, _check_rejected)


def _rejection(queue: Queue, entry: s.RejectMessageBatchRequestEntry) -> tuple[Receipt, dict[str, Header]]:
    receipt = receipt_of_entry(queue, entry.ReceiptHandle)
    if not entry.Reason:
        raise missing("Reason")
    return receipt, {
        REASON: _text(entry.Reason, REASON_LENGTH_MAX),
        ERROR: _text(entry.Error or "", ERROR_LENGTH_MAX),
    }


def _text(text: str, length_max: int) -> Header:
    """What is too long is cut, and what no message can hold replaced: an error must not stand in its own way."""
    return Header("String", NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text[:length_max]).encode())


def _check_rejected(entry: s.RejectMessageBatchRequestEntry, outcome: Outcome) -> None:
    """A message that is gone may have been rejected by this very request, whose first answer got lost."""
    if outcome is Outcome.NO_TARGET:
        raise SqsError("NoDeadLetterQueue", "The queue has no dead-letter queue, or it does not exist.")
    if outcome not in (Outcome.DONE, Outcome.GONE):
        raise invalid_value(entry.ReceiptHandle, "ReceiptHandle", "The receipt handle has expired.")
