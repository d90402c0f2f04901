"""Events: those of SQS, as Lambda writes them, and those that are none."""

from typing import Any

import pytest

import encola
from encola.consumers import pushed

SAMPLE = {
    "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
    "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
    "body": "Test message.",
    "attributes": {
        "ApproximateReceiveCount": "1",
        "SentTimestamp": "1545082649183",
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": "1545082649185",
    },
    "messageAttributes": {},
    "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
    "eventSource": "aws:sqs",
    "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue",
    "awsRegion": "us-east-2",
}


def test_the_documented_event_is_read() -> None:
    record = SAMPLE | {
        "messageAttributes": {
            "text": {
                "stringValue": "a",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "String",
            },
            "bytes": {"binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
        }
    }
    (message,) = pushed.messages_of({"Records": [record]})
    assert (message.queue, message.body, message.receives) == ("my-queue", "Test message.", 1)
    assert message.attributes == {"text": "a"}
    assert message.values["bytes"].binary_value == b"\x00\xff"  # type: ignore[attr-defined]


def test_a_copy_of_a_worker_that_is_pushed_knows_how_often_it_was_received() -> None:
    values = {"encola.receives": "4", "encola.sent": "1545000000000"}
    attributes = {name: {"stringValue": value, "dataType": "String"} for name, value in values.items()}
    (message,) = pushed.messages_of({"Records": [SAMPLE | {"messageAttributes": attributes}]})
    assert (message.receives, message.sent_at) == (5, 1545000000000)


def test_an_event_without_records_has_no_failures(app: encola.App) -> None:
    assert app.lambda_handler()({"Records": []}) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "text",
        {},
        {"Records": None},
        {"Records": [None]},
        {"Records": [{}]},
        {"version": "2.0", "routeKey": "$default", "body": "an HTTP request"},
        {"Records": [SAMPLE | {"eventSource": "aws:sns"}]},
        {"Records": [SAMPLE | {"attributes": {}}]},
        {"Records": [SAMPLE | {"attributes": {"ApproximateReceiveCount": "many", "SentTimestamp": "1"}}]},
        {"Records": [SAMPLE | {"body": 7}]},
        {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}}}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "m"}}]},
        {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": "AA=="}, "eventSourceARN": "arn"}]},
    ],
)
def test_an_event_that_is_none_of_sqs_is_refused(app: encola.App, event: Any) -> None:
    with pytest.raises(ValueError, match=r"messages from SQS|invalid literal"):
        app.lambda_handler()(event)
