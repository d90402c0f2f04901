"""The metrics, each said once: name, unit, meaning, and its statistics from a point.

The names of ``AWS/SQS`` are those of Amazon CloudWatch; what Amazon SQS lacks is under ``Encola/SQS``.

CloudWatch has one sample a minute of a queue. So have we: the sum of a level over five minutes is that of five samples,
whatever the number of times that we looked, and rules and dashboards made for AWS see the magnitudes that they expect.
"""

import math
from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

from encola.engine.metrics import Gauge, Point, ServerPoint, seconds_to_drain

AWS = "AWS/SQS"
OURS = "Encola/SQS"
DIMENSION = "QueueName"

_MINUTE_SECONDS = 60


class Statistics(msgspec.Struct, frozen=True):
    """What CloudWatch knows of some samples. ``low`` or ``high`` is None where it was not measured."""

    count: float
    total: float
    low: float | None
    high: float | None

    @property
    def average(self) -> float:
        return self.total / self.count


class Kind(Enum):
    """How a metric's statistics follow from a point."""

    LEVEL = "level"  # it is sampled: messages that wait, ages, consumers
    COUNT = "count"  # it happens: messages sent
    SIZE = "size"  # each message is a sample
    RATE = "rate"  # it happens, a second
    DRAIN = "drain"  # seconds until nothing waits, at the rates of the interval
    COMMIT_SIZE = "commit size"
    COMMIT_SECONDS = "commit seconds"


class Definition(msgspec.Struct, frozen=True):
    """One metric. ``unit`` is a word of CloudWatch; ``field`` is that of ``Point``, or of ``ServerPoint``."""

    name: str
    unit: str
    kind: Kind
    field: str
    description: str
    namespace: str = AWS

    def measure(self, point: Point | ServerPoint, seconds: float) -> Statistics | None:
        """The statistics of a point that covers so many seconds; None: there was nothing to measure."""
        return _MEASURES[self.kind](self, point, seconds)


def combine(parts: list[Statistics]) -> Statistics:
    """The statistics of all the samples together. ``parts`` must not be empty."""
    if len(parts) == 1:
        return parts[0]
    lows = [part.low for part in parts if part.low is not None]
    highs = [part.high for part in parts if part.high is not None]
    return Statistics(
        sum(part.count for part in parts),
        math.fsum(part.total for part in parts),
        min(lows) if len(lows) == len(parts) else None,
        max(highs) if len(highs) == len(parts) else None,
    )


def _minutes(seconds: float) -> int:
    return max(1, math.ceil(seconds / _MINUTE_SECONDS))


def _of_level(definition: Definition, point: Point | ServerPoint, seconds: float) -> Statistics | None:
    if not point.samples:
        return None
    gauge: Gauge = getattr(point, definition.field)
    minutes = _minutes(seconds)
    return Statistics(minutes, gauge.total / point.samples * minutes, gauge.low, gauge.high)


def _of_count(definition: Definition, point: Point | ServerPoint, seconds: float) -> Statistics:
    happened: int = getattr(point, definition.field)
    minutes = _minutes(seconds)
    return Statistics(minutes, happened, happened / minutes, happened / minutes)


def _of_size(definition: Definition, point: Any, seconds: float) -> Statistics | None:
    return Statistics(point.sent, point.sent_bytes, point.size_min, point.size_max) if point.sent else None


def _of_rate(definition: Definition, point: Point | ServerPoint, seconds: float) -> Statistics:
    return _steady(getattr(point, definition.field) / max(1.0, seconds), seconds)


def _of_drain(definition: Definition, point: Any, seconds: float) -> Statistics | None:
    if not point.samples:
        return None
    length = max(1.0, seconds)
    found = seconds_to_drain(point.visible.total / point.samples, point.sent / length, point.deleted / length)
    return None if found is None else _steady(found, seconds)


def _of_commit_size(definition: Definition, point: Any, seconds: float) -> Statistics | None:
    return Statistics(point.commits, point.calls, None, None) if point.commits else None


def _of_commit_seconds(definition: Definition, point: Any, seconds: float) -> Statistics | None:
    if not point.commits:
        return None
    return Statistics(point.commits, point.commit_seconds, None, point.commit_seconds_max)


def _steady(value: float, seconds: float) -> Statistics:
    minutes = _minutes(seconds)
    return Statistics(minutes, value * minutes, value, value)


_MEASURES: dict[Kind, Callable[[Definition, Any, float], Statistics | None]] = {
    Kind.LEVEL: _of_level,
    Kind.COUNT: _of_count,
    Kind.SIZE: _of_size,
    Kind.RATE: _of_rate,
    Kind.DRAIN: _of_drain,
    Kind.COMMIT_SIZE: _of_commit_size,
    Kind.COMMIT_SECONDS: _of_commit_seconds,
}


QUEUE = (
    Definition("ApproximateNumberOfMessagesVisible", "Count", Kind.LEVEL, "visible",
               "Messages that can be received now."),
    Definition("ApproximateNumberOfMessagesNotVisible", "Count", Kind.LEVEL, "not_visible",
               "Messages in flight: received, neither deleted nor visible again."),
    Definition("ApproximateNumberOfMessagesDelayed", "Count", Kind.LEVEL, "delayed",
               "Messages whose delay is not over."),
    Definition("ApproximateAgeOfOldestMessage", "Seconds", Kind.LEVEL, "age",
               "The age of the oldest message that is not deleted, whatever its state."),
    Definition("NumberOfMessagesSent", "Count", Kind.COUNT, "sent", "Messages that were added to the queue."),
    Definition("NumberOfMessagesReceived", "Count", Kind.COUNT, "received",
               "Messages that were received, each time counted."),
    Definition("NumberOfMessagesDeleted", "Count", Kind.COUNT, "deleted", "Messages that were deleted."),
    Definition("NumberOfEmptyReceives", "Count", Kind.COUNT, "empty_receives",
               "Receives that were answered without a message."),
    Definition("SentMessageSize", "Bytes", Kind.SIZE, "sent_bytes",
               "The size of the messages that were added, with their attributes."),
    Definition("ApproximateAgeOfOldestNewMessage", "Seconds", Kind.LEVEL, "age_new",
               "The age of the oldest message that nobody has received yet.", OURS),
    Definition("ApproximateAgeOfOldestRetryingMessage", "Seconds", Kind.LEVEL, "age_retrying",
               "The age of the oldest message that was received and came back.", OURS),
    Definition("NumberOfMessagesDeadLettered", "Count", Kind.COUNT, "dead_lettered",
               "Messages that left for the dead-letter queue.", OURS),
    Definition("ArrivalRate", "Count/Second", Kind.RATE, "sent", "Messages that were added, a second.", OURS),
    Definition("ServiceRate", "Count/Second", Kind.RATE, "deleted", "Messages that were deleted, a second.", OURS),
    Definition("TimeToDrain", "Seconds", Kind.DRAIN, "visible",
               "Until no message waits, at the present rates; no value while the queue does not shrink.", OURS),
    Definition("ConsumersBusy", "Count", Kind.LEVEL, "busy", "Consumers that work, of those that report themselves.",
               OURS),
    Definition("ConsumersIdle", "Count", Kind.LEVEL, "idle", "Consumers that wait, of those that report themselves.",
               OURS),
    Definition("ParkedPolls", "Count", Kind.LEVEL, "parked", "Receives that wait for a message.", OURS),
)  # fmt: skip
"""The metrics of a queue."""

SERVER = (
    Definition("Commits", "Count", Kind.COUNT, "commits", "Commits of the store.", OURS),
    Definition("CommitSize", "Count", Kind.COMMIT_SIZE, "calls", "Calls that one commit made durable.", OURS),
    Definition("CommitSeconds", "Seconds", Kind.COMMIT_SECONDS, "commit_seconds", "How long a commit took.", OURS),
    Definition("Connections", "Count", Kind.LEVEL, "connections", "Open connections of clients.", OURS),
    Definition("ParkedPolls", "Count", Kind.LEVEL, "parked", "Receives that wait for a message, of all queues.", OURS),
    Definition("StoreSize", "Bytes", Kind.LEVEL, "store_bytes", "What the store takes on its disk.", OURS),
)
"""The metrics of the server as a whole."""

QUEUE_BY_NAME = {(one.namespace, one.name): one for one in QUEUE}
SERVER_BY_NAME = {(one.namespace, one.name): one for one in SERVER}
