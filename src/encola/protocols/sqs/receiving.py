"""ReceiveMessage: what is asked for, and a delivery in SQS's words."""

from collections.abc import Sequence

from encola.broker.errors import TooManyLeasedError
from encola.engine.message import Delivery, Envelope, Header
from encola.engine.queue import LEASED_MAX, SECOND, Address, Queue
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.checksums import md5_of, md5_of_attributes
from encola.protocols.sqs.desk import Call, Desk
from encola.protocols.sqs.errors import SqsError, invalid_value
from encola.protocols.sqs.receipts import handle_of
from encola.protocols.sqs.validate import check_id

MESSAGES_MAX = 10
WAIT_SECONDS_MAX = 20
VISIBILITY_SECONDS_MAX = 43_200
SYSTEM_NAMES = (
    "All",
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
)


async def receive_message(desk: Desk, call: Call, request: s.ReceiveMessageRequest) -> s.ReceiveMessageResult:
    return await receive(desk, call, request, MESSAGES_MAX)


async def receive(
    desk: Desk, call: Call, request: s.ReceiveMessageRequest, messages_max: int
) -> s.ReceiveMessageResult:
    """Receives up to ``messages_max`` messages."""
    queue = desk.queue(call, request.QueueUrl, "ReceiveMessage")
    limit, lease, wait = _checked(request, messages_max)
    attempt = request.ReceiveRequestAttemptId
    if attempt is not None:
        check_id(attempt, "ReceiveRequestAttemptId")
    names = _system_names(request)

    def wanted() -> bool:
        """Before and after a wait: is the client still there, and may it still receive?"""
        call.request.parked = True  # from now on what it may have got goes back if it leaves
        return not call.request.hung_up and desk.permits(call, queue.address, "ReceiveMessage")

    try:
        deliveries = await desk.broker.receive(
            queue, limit=limit, lease=lease, wait=wait, attempt_id=attempt, wanted=wanted
        )
    except TooManyLeasedError:
        raise SqsError("OverLimit", f"Too many messages in flight: the maximum for a queue is {LEASED_MAX}.") from None
    if not deliveries:
        return s.ReceiveMessageResult()
    chosen = request.MessageAttributeNames
    return s.ReceiveMessageResult([message_of(call, queue, one, names, chosen) for one in deliveries])


def _checked(request: s.ReceiveMessageRequest, messages_max: int) -> tuple[int, int | None, int | None]:
    """Number of messages, lease and wait in milliseconds. Raises SqsError."""
    limit, visibility, wait = request.MaxNumberOfMessages, request.VisibilityTimeout, request.WaitTimeSeconds
    if limit is None:
        limit = 1
    elif not 1 <= limit <= messages_max:
        raise invalid_value(limit, "MaxNumberOfMessages", f"Must be between 1 and {messages_max}, if provided.")
    if visibility is not None:
        if not 0 <= visibility <= VISIBILITY_SECONDS_MAX:
            raise invalid_value(visibility, "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.")
        visibility *= SECOND
    if wait is not None:
        if not 0 <= wait <= WAIT_SECONDS_MAX:
            raise invalid_value(wait, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
        wait *= SECOND
    return limit, visibility, wait


def _system_names(request: s.ReceiveMessageRequest) -> Sequence[str]:
    """The system attributes that are asked for, by the newer parameter or the older one."""
    names = [*(request.MessageSystemAttributeNames or ()), *(request.AttributeNames or ())]
    for name in request.MessageSystemAttributeNames or ():
        if name not in SYSTEM_NAMES:
            raise SqsError("InvalidAttributeName", f"Unknown Attribute {name}.")
    return names


def message_of(
    call: Call, queue: Queue, delivery: Delivery, names: Sequence[str], wanted: Sequence[str] | None
) -> s.Message:
    """A delivery as ReceiveMessage answers it, with the attributes that were asked for."""
    body = delivery.body
    message = s.Message(
        delivery.envelope.message_id,
        handle_of(queue.id, delivery.id, delivery.lease),
        md5_of(body),
        body.decode(),
    )
    if names:
        message.Attributes = _system_attributes(call, queue, delivery, names) or None
    if wanted and delivery.envelope.headers:
        chosen = _chosen(delivery.envelope.headers, wanted)
        message.MessageAttributes = attributes_of(chosen) or None
        message.MD5OfMessageAttributes = md5_of_attributes(chosen)
    return message


def _system_attributes(call: Call, queue: Queue, delivery: Delivery, names: Sequence[str]) -> dict[str, str]:
    envelope = delivery.envelope
    attributes = {
        "SenderId": envelope.sender,
        "SentTimestamp": str(envelope.sent_at or delivery.sent_at),
        "ApproximateReceiveCount": str(delivery.receives),
        "ApproximateFirstReceiveTimestamp": str(delivery.first_received_at),
    }
    if envelope.group:
        attributes["MessageGroupId"] = envelope.group
    if queue.ordered:
        attributes["SequenceNumber"] = f"{delivery.id:020}"
        attributes["MessageDeduplicationId"] = deduplication_id_of(envelope)
    if "AWSTraceHeader" in envelope.properties:
        attributes["AWSTraceHeader"] = envelope.properties["AWSTraceHeader"]
    if envelope.dead_letter_source:
        attributes["DeadLetterQueueSourceArn"] = call.arn(Address.parse(envelope.dead_letter_source))
    if "All" in names:
        return attributes
    return {name: attributes[name] for name in names if name in attributes}


def deduplication_id_of(envelope: Envelope) -> str:
    """The id as the producer gave it: the key of a group's own scope begins with the group."""
    return envelope.deduplication_id.rpartition("\0")[2]


def attributes_of(headers: dict[str, Header]) -> s.AttributeValues:
    """Headers as message attributes."""
    return {
        name: s.MessageAttributeValue(header.type, BinaryValue=header.value)
        if header.type.startswith("Binary")
        else s.MessageAttributeValue(header.type, header.value.decode())
        for name, header in headers.items()
    }


def _chosen(headers: dict[str, Header], wanted: Sequence[str]) -> dict[str, Header]:
    """The attributes that ``MessageAttributeNames`` asks for: names, ``prefix.*``, ``.*`` or ``All``."""
    if "All" in wanted or ".*" in wanted:
        return headers
    prefixes = tuple(name[:-2] for name in wanted if name.endswith(".*"))
    return {
        name: header for name, header in headers.items() if name in wanted or (prefixes and name.startswith(prefixes))
    }
