"""The load generator: one process on its own core, many connections, each with one request under way.

A plain epoll loop and blocking sockets: per request two system calls and some three microseconds of Python, about a
third of what a protocol on an event loop costs. It tells how busy it was itself: near 1.0 it would be the bottleneck
and the figure void.

Reads a Job as JSON from its standard input, answers an Outcome as JSON; any wrong answer ends it with an error.
"""

import gc
import select
import socket
import sys
import time

import msgspec

from benchmarks.job import Job, Outcome
from benchmarks.proc import LOAD_CORE, cpu_seconds, pin
from benchmarks.signing import Signer
from benchmarks.wire import RECEIVE_BYTES, WrongAnswerError, body_of
from benchmarks.workloads import WORKLOADS, Desk, Script

ANSWER_SECONDS_MAX = 60.0


class Connection:
    """One socket and the script that it follows."""

    __slots__ = ("address", "advance", "partial", "receive", "send", "sent_at", "socket")

    def __init__(self, job: Job, script: Script) -> None:
        self.address = (job.host, job.port)
        self.advance = script.send
        self.partial = b""
        self.sent_at = 0.0
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.receive = self.socket.recv
        self.send = self.socket.sendall


class Generator:
    """Runs a job; ``latencies`` has one entry for each answer since the last ``reset``."""

    def __init__(self, job: Job) -> None:
        self.desk = Desk(Signer(f"{job.host}:{job.port}"), job.queue_url, job.messages)
        workload = WORKLOADS[job.workload]
        self.latencies: list[float] = []
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._under_way = 0
        self._stopping = False
        self._reconnect = job.reconnect
        for _ in range(job.connections):
            script = workload(self.desk)
            connection = Connection(job, script)
            self._attach(connection)
            self._ask(connection, script)

    def run_until(self, deadline: float) -> None:
        """Answers and asks until ``deadline`` (of perf_counter), or until every script has ended."""
        clock, poll, connections, latencies = time.perf_counter, self._epoll.poll, self._connections, self.latencies
        while self._under_way and (left := deadline - clock()) > 0:
            for fileno, _ in poll(left):
                connection = connections[fileno]
                data = connection.receive(RECEIVE_BYTES)
                if not data:
                    raise WrongAnswerError("the server closed a connection")
                if connection.partial:
                    data, connection.partial = connection.partial + data, b""
                body = body_of(data)
                if body is None:
                    connection.partial = data
                    continue
                now = clock()
                latencies.append(now - connection.sent_at)
                try:
                    request = connection.advance(body)
                except StopIteration:
                    self._retire(connection)
                    continue
                if self._stopping:
                    self._retire(connection)
                    continue
                connection.sent_at = now
                if self._reconnect:
                    self._renew(connection)
                connection.send(request)

    def finish(self) -> None:
        """Takes the answers that are under way, and asks no more."""
        self._stopping = True
        self.run_until(time.perf_counter() + ANSWER_SECONDS_MAX)
        if self._under_way:
            raise WrongAnswerError(f"{self._under_way} requests had no answer in {ANSWER_SECONDS_MAX:.0f} s")

    def _attach(self, connection: Connection) -> None:
        self._connections[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)

    def _detach(self, connection: Connection) -> None:
        del self._connections[connection.socket.fileno()]
        self._epoll.unregister(connection.socket)
        connection.socket.close()

    def _renew(self, connection: Connection) -> None:
        self._detach(connection)
        connection.connect()
        self._attach(connection)

    def _retire(self, connection: Connection) -> None:
        self._under_way -= 1
        self._detach(connection)

    def _ask(self, connection: Connection, script: Script) -> None:
        try:
            request = next(script)
        except StopIteration:
            return
        self._under_way += 1
        connection.sent_at = time.perf_counter()
        connection.send(request)


def run(job: Job) -> Outcome:
    """Warms up, measures, waits for the last answers. Raises WrongAnswerError, OSError."""
    generator = Generator(job)
    desk, latencies, clock = generator.desk, generator.latencies, time.perf_counter
    generator.run_until(clock() + job.warmup)
    latencies.clear()
    begun, busy, messages = clock(), time.process_time(), desk.messages
    server_busy = cpu_seconds(job.server_pid) if job.server_pid else 0.0
    generator.run_until(begun + job.seconds)
    seconds = clock() - begun
    requests, messages, busy = len(latencies), desk.messages - messages, time.process_time() - busy
    server_busy = cpu_seconds(job.server_pid) - server_busy if job.server_pid else 0.0
    ordered = sorted(latencies) or [0.0]
    generator.finish()
    return Outcome(
        requests=requests,
        messages=messages,
        seconds=seconds,
        p50=ordered[len(ordered) // 2],
        p99=ordered[len(ordered) * 99 // 100],
        sent=desk.sent,
        deleted=desk.deleted,
        empty=desk.empty,
        generator_busy=busy / seconds,
        server_busy=server_busy / seconds,
    )


def main() -> None:
    pin(LOAD_CORE)
    gc.disable()  # nothing here makes cycles, and a collection would look like a slow answer
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.json.encode(run(job)))


if __name__ == "__main__":
    main()
