"""What is exported, each said once: for Prometheus, and for OpenTelemetry.

Names follow Prometheus: base units, ``_total`` for what only grows. ``cloudwatch`` is the name of the same thing in
CloudWatch's API (``encola.metrics.definitions``), where there is one.
"""

import math
from collections.abc import Callable, Sequence

import msgspec

from encola.engine.metrics import COMMIT_BUCKETS, GROUP_BUCKETS
from encola.engine.queue import Queue
from encola.metrics.lines import ServerSnapshot, Snapshot

GAUGE, COUNTER = "gauge", "counter"
Value = int | float


class Facts(msgspec.Struct, frozen=True):
    """What is known of the server besides what is sampled. ``free_bytes`` are those of the store's disk (-1: none)."""

    version: str = ""
    started_seconds: float = 0.0
    full: bool = False
    free_bytes: int = -1
    cpu_seconds: float = 0.0
    resident_bytes: int = 0
    history_dropped: int = 0


class Family(msgspec.Struct, frozen=True):
    """A metric of each queue."""

    name: str
    kind: str
    help: str
    value: Callable[[Queue, Snapshot], Value]
    unit: str = ""
    cloudwatch: str = ""


class ServerFamily(msgspec.Struct, frozen=True):
    """A metric of the server."""

    name: str
    kind: str
    help: str
    value: Callable[[ServerSnapshot, Facts], Value | None]
    unit: str = ""


class Histogram(msgspec.Struct, frozen=True):
    """How often something was how large. ``read`` answers the counts by bucket, and the sum."""

    name: str
    help: str
    bounds: Sequence[float]
    read: Callable[[ServerSnapshot], tuple[Sequence[int], float]]
    unit: str = ""


def _drain(queue: Queue, seen: Snapshot) -> float:
    return math.inf if seen.drain_seconds is None else seen.drain_seconds


_Q = "encola_queue_"

QUEUE = (
    Family(f"{_Q}messages_visible", GAUGE, "Messages that can be received now.",
           lambda queue, seen: seen.backlog.counts.ready, "messages", "ApproximateNumberOfMessagesVisible"),
    Family(f"{_Q}messages_not_visible", GAUGE, "Messages in flight: received, neither deleted nor visible again.",
           lambda queue, seen: seen.backlog.counts.leased, "messages", "ApproximateNumberOfMessagesNotVisible"),
    Family(f"{_Q}messages_delayed", GAUGE, "Messages whose delay is not over.",
           lambda queue, seen: seen.backlog.counts.delayed, "messages", "ApproximateNumberOfMessagesDelayed"),
    Family(f"{_Q}oldest_message_age_seconds", GAUGE, "Age of the oldest message, whatever its state.",
           lambda queue, seen: seen.age, "s", "ApproximateAgeOfOldestMessage"),
    Family(f"{_Q}oldest_new_message_age_seconds", GAUGE, "Age of the oldest message that nobody has received yet.",
           lambda queue, seen: seen.age_new, "s", "ApproximateAgeOfOldestNewMessage"),
    Family(f"{_Q}oldest_retrying_message_age_seconds", GAUGE,
           "Age of the oldest message that was received and came back.",
           lambda queue, seen: seen.age_retrying, "s", "ApproximateAgeOfOldestRetryingMessage"),
    Family(f"{_Q}messages_sent_total", COUNTER, "Messages that were sent to the queue.",
           lambda queue, seen: seen.tally.sent, "messages", "NumberOfMessagesSent"),
    Family(f"{_Q}sent_bytes_total", COUNTER, "Size of the messages that were sent, with their attributes.",
           lambda queue, seen: seen.tally.sent_bytes, "By", "SentMessageSize"),
    Family(f"{_Q}messages_received_total", COUNTER, "Messages that were received, each time counted.",
           lambda queue, seen: seen.tally.received, "messages", "NumberOfMessagesReceived"),
    Family(f"{_Q}messages_deleted_total", COUNTER, "Messages that were deleted by their receivers.",
           lambda queue, seen: seen.tally.deleted, "messages", "NumberOfMessagesDeleted"),
    Family(f"{_Q}empty_receives_total", COUNTER, "Receives that were answered without a message.",
           lambda queue, seen: seen.tally.empty_receives, "receives", "NumberOfEmptyReceives"),
    Family(f"{_Q}messages_dead_lettered_total", COUNTER, "Messages that left for the dead-letter queue.",
           lambda queue, seen: seen.tally.dead_lettered, "messages", "NumberOfMessagesDeadLettered"),
    Family(f"{_Q}arrivals_per_second", GAUGE, "Messages sent, a second, over the last minute.",
           lambda queue, seen: seen.arrival_rate, "messages/s", "ArrivalRate"),
    Family(f"{_Q}services_per_second", GAUGE, "Messages deleted, a second, over the last minute.",
           lambda queue, seen: seen.service_rate, "messages/s", "ServiceRate"),
    Family(f"{_Q}dead_letters_per_second", GAUGE, "Messages dead-lettered, a second, over the last minute.",
           lambda queue, seen: seen.dead_letter_rate, "messages/s"),
    Family(f"{_Q}drain_seconds", GAUGE, "Until no message waits, at these rates; +Inf: never.",
           _drain, "s", "TimeToDrain"),
    Family(f"{_Q}consumers_busy", GAUGE, "Consumers that work, of those that report themselves.",
           lambda queue, seen: seen.busy, "consumers", "ConsumersBusy"),
    Family(f"{_Q}consumers_idle", GAUGE, "Consumers that wait, of those that report themselves.",
           lambda queue, seen: seen.idle, "consumers", "ConsumersIdle"),
    Family(f"{_Q}parked_receives", GAUGE, "Receives that wait for a message.",
           lambda queue, seen: seen.parked, "receives", "ParkedPolls"),
    Family(f"{_Q}paused", GAUGE, "1 while the queue is paused.", lambda queue, seen: int(queue.paused), "1"),
)  # fmt: skip
"""One sample a queue, with the labels ``account`` and ``queue``."""

SERVER = (
    ServerFamily("encola_queues", GAUGE, "Queues that exist.", lambda seen, facts: seen.queues, "queues"),
    ServerFamily("encola_connections", GAUGE, "Open connections of clients.",
                 lambda seen, facts: seen.connections, "connections"),
    ServerFamily("encola_parked_receives", GAUGE, "Receives that wait for a message, of all queues.",
                 lambda seen, facts: seen.parked, "receives"),
    ServerFamily("encola_store_bytes", GAUGE, "What the messages take on the disk.",
                 lambda seen, facts: seen.vitals.bytes, "By"),
    ServerFamily("encola_store_free_bytes", GAUGE, "What is free on the disk of the messages.",
                 lambda seen, facts: facts.free_bytes if facts.free_bytes >= 0 else None, "By"),
    ServerFamily("encola_store_full", GAUGE, "1 while the store refuses writes for want of room.",
                 lambda seen, facts: int(facts.full), "1"),
    ServerFamily("encola_sampler_ticks_total", COUNTER, "How often these metrics were sampled.",
                 lambda seen, facts: seen.ticks, "ticks"),
    ServerFamily("encola_sampler_seconds_total", COUNTER, "What sampling these metrics cost the event loop.",
                 lambda seen, facts: seen.tick_seconds_total, "s"),
    ServerFamily("encola_sampler_look_seconds", GAUGE, "What the last look at all backlogs took, in its own thread.",
                 lambda seen, facts: seen.look_seconds, "s"),
    ServerFamily("encola_history_dropped_total", COUNTER, "Writes of the history that were dropped.",
                 lambda seen, facts: facts.history_dropped, "writes"),
    ServerFamily("process_start_time_seconds", GAUGE, "When the server started, in seconds since 1970.",
                 lambda seen, facts: facts.started_seconds, "s"),
    ServerFamily("process_cpu_seconds_total", COUNTER, "Processor time of the server, in user and system mode.",
                 lambda seen, facts: facts.cpu_seconds, "s"),
    ServerFamily("process_resident_memory_bytes", GAUGE, "Memory of the server.",
                 lambda seen, facts: facts.resident_bytes, "By"),
)  # fmt: skip
"""One sample each."""

HISTOGRAMS = (
    Histogram("encola_commit_seconds", "How long a commit took, its fsync included.", COMMIT_BUCKETS,
              lambda seen: (seen.vitals.commit_buckets, seen.vitals.commit_seconds), "s"),
    Histogram("encola_commit_calls", "How many calls one commit made durable.", GROUP_BUCKETS,
              lambda seen: (seen.vitals.group_buckets, seen.vitals.calls), "calls"),
)  # fmt: skip
