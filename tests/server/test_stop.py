"""The end of a server: parked receives answer empty, running requests finish, then it leaves with status 0."""

import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ..process import ServerProcess, client

RECEIVE = b'{"QueueUrl": "work", "WaitTimeSeconds": 20}'


def request(target: str, body: bytes, *, length: int | None = None) -> bytes:
    """A request of the JSON protocol; ``length`` announces another length than the body's."""
    lines = [
        "POST / HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/x-amz-json-1.0",
        f"X-Amz-Target: AmazonSQS.{target}",
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def connected(server: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def rest(connection: socket.socket) -> bytes:
    """All that still comes until the server closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def parked(server: ServerProcess, count: int) -> list[socket.socket]:
    """Connections with a receive that waits; the server says when all of them do."""
    connections = []
    for _ in range(count):
        connection = connected(server)
        connection.sendall(request("ReceiveMessage", RECEIVE))
        connections.append(connection)
    wait_for(server, f'"waiting_receives":{count}')
    return connections


def wait_for(server: ServerProcess, text: str) -> None:
    """Asks for the server's health until it says so."""
    end = time.monotonic() + 10
    while True:
        with connected(server) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if text.encode() in rest(connection):
                return
        assert time.monotonic() < end


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with ServerProcess(tmp_path, environment={"ENCOLA_QUEUES": '[{"name": "work"}]'}) as server:
        yield server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_parked_receives_answer_empty_and_what_runs_is_finished(server: ServerProcess, number: int) -> None:
    # Given receives that wait, an idle connection, and a request of which half has come
    polls = parked(server, 30)
    idle = connected(server)
    half = connected(server)
    body = b'{"QueueUrl": "work", "MessageBody": "to be kept"}'
    half.sendall(request("SendMessage", body[:20], length=len(body)))
    wait_for(server, '"connections":33')  # with the one that asks
    # When the server is asked to stop
    asked_at = time.monotonic()
    server.send_signal(number)
    # Then the receives are answered, empty, and told that the connection ends
    for poll in polls:
        answer = rest(poll)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n\r\n{}")
        assert b"Connection: close" in answer
    assert time.monotonic() - asked_at < 5
    assert rest(idle) == b""
    # ... nobody new is let in
    with pytest.raises(ConnectionRefusedError):
        connected(server)
    assert server.running
    # ... and the request that was under way is carried out
    half.sendall(body[20:])
    answer = rest(half)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"MessageId" in answer
    assert server.wait() == 0
    server.start()
    assert client(server.url).receive_message(QueueUrl="work")["Messages"][0]["Body"] == "to be kept"


def test_a_client_that_stalls_does_not_hold_it_up_for_ever(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, environment={"ENCOLA_SERVER__GRACE_SECONDS": "0.3"}) as server:
        stalled = connected(server)
        stalled.sendall(request("SendMessage", b"{", length=100))
        wait_for(server, '"connections":2')
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        with suppress(ConnectionResetError):
            assert rest(stalled) == b""


def test_a_second_signal_ends_it_at_once(server: ServerProcess) -> None:
    stalled = connected(server)
    stalled.sendall(request("SendMessage", b"{", length=100))
    wait_for(server, '"connections":2')
    server.send_signal(signal.SIGTERM)
    while "stopping" not in server.logged():
        time.sleep(0.01)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 128 + signal.SIGTERM


def test_sends_that_are_acknowledged_while_it_stops_are_there_afterwards(server: ServerProcess) -> None:
    acknowledged: list[str] = []

    def produce(sqs: Any) -> None:
        try:
            while True:
                acknowledged.append(sqs.send_message(QueueUrl="work", MessageBody="m")["MessageId"])
        except Exception:  # whatever a client sees of a server that leaves
            return

    producers = [threading.Thread(target=produce, args=(client(server.url),)) for _ in range(4)]
    for producer in producers:
        producer.start()
    while len(acknowledged) < 100:
        time.sleep(0.005)
    assert server.stop() == 0
    for producer in producers:
        producer.join()
    server.start()
    sqs = client(server.url)
    found: set[str] = set()
    while messages := sqs.receive_message(QueueUrl="work", MaxNumberOfMessages=10).get("Messages"):
        found.update(message["MessageId"] for message in messages)
    assert set(acknowledged) <= found
