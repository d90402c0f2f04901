"""The event that a function gets: one record a message, as Lambda writes it. Pure.

Source: AWS Lambda developer guide, "Example standard queue message event" and "Example FIFO queue message event".
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from encola.engine.message import Delivery, Header, MessageId, QueueId
from encola.engine.queue import Address, Queue

encode = msgspec.json.Encoder().encode


class Words(msgspec.Struct, frozen=True):
    """How the SQS protocol writes a receipt and digests attributes: handed in, since mappings know no protocol."""

    handle_of: Callable[[QueueId, MessageId, int], str]
    md5_of_attributes: Callable[[Mapping[str, Header]], str | None]


def record_of(delivery: Delivery, queue: Queue, source: str, words: Words) -> dict[str, Any]:
    """A delivery as a record of the event; ``source`` is the queue's ARN."""
    region = source.split(":")[3]
    envelope = delivery.envelope
    record: dict[str, Any] = {
        "messageId": envelope.message_id,
        "receiptHandle": words.handle_of(queue.id, delivery.id, delivery.lease),
        "body": delivery.body.decode(errors="replace"),
        "attributes": _attributes(delivery, queue, region),
        "messageAttributes": {name: _attribute(header) for name, header in envelope.headers.items()},
    }
    digest = words.md5_of_attributes(envelope.headers)
    if digest is not None:
        record["md5OfMessageAttributes"] = digest
    record["md5OfBody"] = hashlib.md5(delivery.body, usedforsecurity=False).hexdigest()
    record["eventSource"] = "aws:sqs"
    record["eventSourceARN"] = source
    record["awsRegion"] = region
    return record


def _attributes(delivery: Delivery, queue: Queue, region: str) -> dict[str, str]:
    envelope = delivery.envelope
    attributes = {
        "ApproximateReceiveCount": str(delivery.receives),
        "SentTimestamp": str(delivery.sent_at),
        "SenderId": envelope.sender,
        "ApproximateFirstReceiveTimestamp": str(delivery.first_received_at),
    }
    if envelope.group:
        attributes["MessageGroupId"] = envelope.group
    if queue.ordered:
        attributes["SequenceNumber"] = f"{delivery.id:020}"
        attributes["MessageDeduplicationId"] = envelope.deduplication_id.rpartition("\0")[2]
    if "AWSTraceHeader" in envelope.properties:
        attributes["AWSTraceHeader"] = envelope.properties["AWSTraceHeader"]
    if envelope.dead_letter_source:
        attributes["DeadLetterQueueSourceArn"] = arn_of_queue(region, Address.parse(envelope.dead_letter_source))
    return attributes


def _attribute(header: Header) -> dict[str, Any]:
    if header.type.startswith("Binary"):
        value = {"binaryValue": base64.b64encode(header.value).decode()}
    else:
        value = {"stringValue": header.value.decode(errors="replace")}
    return {**value, "stringListValues": [], "binaryListValues": [], "dataType": header.type}


def arn_of_queue(region: str, address: Address) -> str:
    return f"arn:aws:sqs:{region}:{address.account}:{address.name}"
