"""What AWS Lambda does with a queue and a function, in this process: events as it writes them, and what it deletes.

Source: AWS Lambda developer guide, "Example standard queue message event" and "Implementing partial batch responses".
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..bench import Queues

REGION = "us-east-1"
ACCOUNT = "000000000000"


class Context:
    """Lambda's context object, of a function with so many seconds left."""

    def __init__(self, seconds: float) -> None:
        self._millis = int(seconds * 1000)

    def get_remaining_time_in_millis(self) -> int:
        return self._millis


class Pushed(NamedTuple):
    """One invocation: the ids of its messages, and of those that the function named as failed."""

    ids: list[str]
    failed: list[str]


class Pusher:
    """Pushes batches of a queue to a handler, as often as it is told to."""

    def __init__(self, queues: Queues, queue: str, handler: Callable[..., Any]) -> None:
        self._queues = queues
        self._queue = queue
        self._handler = handler

    def receive(self, *, seconds: int = 0, lease: int = 30) -> list[dict[str, Any]]:
        return self._queues.receive(self._queue, seconds=seconds, lease=lease)

    def push(self, *, seconds: int = 5, lease: int = 30, context: Any = None) -> Pushed:
        """One batch of what is there, or comes within some seconds. It may be empty."""
        return self.push_messages(self.receive(seconds=seconds, lease=lease), context)

    def push_messages(self, messages: Sequence[Mapping[str, Any]], context: Any = None) -> Pushed:
        """Calls the handler, deletes what it did not name."""
        ids = [str(message["MessageId"]) for message in messages]
        if not messages:
            return Pushed([], [])
        answer = self._handler(event_of(self._queue, messages), context)
        assert set(answer) == {"batchItemFailures"}
        failed = [item["itemIdentifier"] for item in answer["batchItemFailures"]]
        assert set(failed) <= set(ids)
        url = self._queues.url(self._queue)
        for message in messages:
            if message["MessageId"] not in failed:
                self._queues.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return Pushed(ids, failed)


def event_of(queue: str, messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Messages of ReceiveMessage as Lambda shows them to a function."""
    return {"Records": [record_of(queue, message) for message in messages]}


def record_of(queue: str, message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message["Attributes"]),
        "messageAttributes": {name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
        "awsRegion": REGION,
    }


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "BinaryValue" in value:
        shown["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    else:
        shown["stringValue"] = value["StringValue"]
    return shown
