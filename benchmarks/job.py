"""What a load generator is told to do, and what it tells afterwards: JSON between two processes."""

import msgspec

CONNECTIONS = 128
BODY_BYTES = 1024
BATCH = 10


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run against one queue. ``messages`` ends a run that has a natural end (a fill) before its time.

    ``reconnect`` is for a server that closes each connection after one answer.
    """

    host: str = "127.0.0.1"
    port: int
    workload: str
    queue_url: str
    connections: int = CONNECTIONS
    warmup: float = 0.5
    seconds: float = 2.0
    messages: int | None = None
    server_pid: int | None = None
    reconnect: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured between warm-up and end. Times in seconds; the latencies are of single requests.

    ``sent`` and ``deleted`` count from the first request to the last answer, so that a queue can be checked against
    them. ``generator_busy`` and ``server_busy`` are shares of one core.
    """

    requests: int
    messages: int
    seconds: float
    p50: float
    p99: float
    sent: int
    deleted: int
    empty: int
    generator_busy: float
    server_busy: float

    @property
    def requests_a_second(self) -> float:
        return self.requests / self.seconds

    @property
    def messages_a_second(self) -> float:
        return self.messages / self.seconds
