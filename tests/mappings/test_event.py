"""The event is what Lambda gives a function: names, texts for numbers, and only what a message has."""

import base64
import hashlib
import json

from encola.engine.message import Header
from encola.mappings.batching import payload_of
from encola.mappings.event import encode, record_of

from .samples import ACCOUNT, REGION, SOURCE, WORDS, delivery, queue


def test_a_record_of_a_standard_queue_has_these_fields() -> None:
    message = delivery(b'{"month": "2026-10"}')
    record = json.loads(encode(record_of(message, queue(), SOURCE, WORDS)))
    assert record == {
        "messageId": "message-1",
        "receiptHandle": WORDS.handle_of(queue().id, message.id, message.lease),
        "body": '{"month": "2026-10"}',
        "attributes": {
            "ApproximateReceiveCount": "2",
            "SentTimestamp": "500",
            "SenderId": ACCOUNT,
            "ApproximateFirstReceiveTimestamp": "900",
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(b'{"month": "2026-10"}').hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": SOURCE,
        "awsRegion": REGION,
    }


def test_a_record_of_a_fifo_queue_says_its_place_and_its_group() -> None:
    message = delivery(group="g", deduplication_id="g\0once")
    attributes = record_of(message, queue(ordered=True), SOURCE, WORDS)["attributes"]
    assert attributes["MessageGroupId"] == "g"
    assert attributes["MessageDeduplicationId"] == "once"
    assert attributes["SequenceNumber"] == "00000000000000000001"


def test_what_else_a_message_may_have_is_in_its_attributes() -> None:
    message = delivery(group="tenant", dead_letter_source=f"{ACCOUNT}/dead", properties={"AWSTraceHeader": "Root=1"})
    attributes = record_of(message, queue(), SOURCE, WORDS)["attributes"]
    assert attributes["MessageGroupId"] == "tenant"
    assert attributes["AWSTraceHeader"] == "Root=1"
    assert attributes["DeadLetterQueueSourceArn"] == f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
    assert "SequenceNumber" not in attributes


def test_message_attributes_are_typed_and_digested() -> None:
    headers = {"n": Header("Number.int", b"42"), "b": Header("Binary", b"\x00\xff")}
    record = record_of(delivery(headers=headers), queue(), SOURCE, WORDS)
    empty = {"stringListValues": [], "binaryListValues": []}
    assert record["messageAttributes"] == {
        "n": {"stringValue": "42", "dataType": "Number.int", **empty},
        "b": {"binaryValue": base64.b64encode(b"\x00\xff").decode(), "dataType": "Binary", **empty},
    }
    assert record["md5OfMessageAttributes"] == WORDS.md5_of_attributes(headers)


def test_bytes_that_are_no_text_do_not_stop_a_mapping() -> None:
    assert record_of(delivery(b"\xffa"), queue(), SOURCE, WORDS)["body"] == "\ufffda"


def test_an_event_is_its_records() -> None:
    records = [encode(record_of(delivery(number=n), queue(), SOURCE, WORDS)) for n in (1, 2)]
    event = json.loads(payload_of(records))
    assert [record["messageId"] for record in event["Records"]] == ["message-1", "message-2"]
