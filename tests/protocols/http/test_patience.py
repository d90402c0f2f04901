"""Slow, silent, half-gone and greedy clients: each wait has an end, and nobody else notices.

The server of these tests waits 0.6 s for headers and for a body (or 1,000 bytes a second), 2 s between requests.
"""

import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from ...process import ServerProcess, client
from .raw import Raw, call, request

PATIENCE = 10.0  # for what takes a second or two on a quiet machine


def health(port: int) -> bytes:
    with Raw(port).send(request()) as raw:
        answer = raw.answer()
    assert answer.status == 200
    return answer.body


def wait_until_told(port: int, text: bytes) -> None:
    """Asks for the health until it says so."""
    end = time.monotonic() + PATIENCE
    while text not in health(port):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    "sent",
    [b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", request(body=b"12345678")[:-3], b"\r\n"],
    ids=["a letter", "headers", "a body", "a blank line"],
)
def test_a_request_that_does_not_go_on_is_ended(port: int, sent: bytes) -> None:
    begun = time.monotonic()
    with Raw(port).send(sent) as raw:
        assert raw.answer().status == 408
        assert raw.closed()
    assert 0.4 < time.monotonic() - begun < PATIENCE


def test_a_connection_that_says_nothing_is_closed_without_a_word(port: int) -> None:
    begun = time.monotonic()
    with Raw(port) as silent, Raw(port).send(request()) as talker:
        assert talker.answer().status == 200
        assert silent.closed()
        assert talker.closed()
    assert 1.5 < time.monotonic() - begun < PATIENCE


@pytest.mark.parametrize("head", [True, False], ids=["headers", "body"])
def test_drops_of_bytes_do_not_buy_more_time(port: int, head: bool) -> None:
    with Raw(port) as raw:
        raw.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n" if head else request(body=b"x" * 100_000)[:-99_000])
        raw.socket.settimeout(0.05)
        begun = time.monotonic()
        while True:
            raw.send(b"X: y\r\n" if head else b"x")
            with suppress(TimeoutError):
                assert raw.answer().status == 408
                break
            assert time.monotonic() - begun < PATIENCE


def test_a_long_body_that_comes_steadily_is_taken(port: int) -> None:
    body = b"x" * 30_000
    sent = request("/", "X-Amz-Target: AmazonSQS.Nonsense", method="POST", body=body)
    with Raw(port) as raw:
        for start in range(0, len(sent), 1500):  # in about 1.6 s, which is more than the 0.6 s of a body
            raw.send(sent[start : start + 1500])
            time.sleep(0.08)
        assert raw.answer().status in (400, 404)


def test_a_request_may_come_byte_by_byte(port: int) -> None:
    sent = call("SendMessage", '{"QueueUrl": "work", "MessageBody": "drop by drop"}')
    with Raw(port) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in sent:
            raw.send(bytes([byte]))
        assert raw.answer().status == 200
        raw.send(call("ReceiveMessage", '{"QueueUrl": "work", "WaitTimeSeconds": 1}'))
        assert b"drop by drop" in raw.answer().body
        raw.send(call("PurgeQueue", '{"QueueUrl": "work"}')).answer()


def test_who_closes_the_sending_side_still_gets_the_answer(port: int) -> None:
    with Raw(port).send(call("SendMessage", '{"QueueUrl": "work", "MessageBody": "last words"}')).end() as raw:
        assert raw.answer().status == 200
        assert raw.closed()
    with Raw(port).send(request() * 20).end() as raw:
        assert [raw.answer().status for _ in range(20)] == [200] * 20
        assert raw.closed()
    with Raw(port).send(b"GET / HTTP/1.1\r\nHo").end() as raw:
        assert raw.closed()  # nothing whole was asked


@pytest.mark.parametrize("way", ["half", "close", "reset"])
def test_a_parked_receive_whose_client_has_left_takes_no_message(impatient: ServerProcess, way: str) -> None:
    port = impatient.port
    sqs = client(impatient.url)
    sqs.create_queue(QueueName=f"left-{way}")
    with ExitStack() as stack:
        for _ in range(10):
            raw = stack.enter_context(Raw(port))
            raw.send(call("ReceiveMessage", f'{{"QueueUrl": "left-{way}", "WaitTimeSeconds": 20}}'))
            wait_until_told(port, b'"waiting_receives":1')
            if way == "half":
                raw.end()
            elif way == "reset":
                raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raw.close()
            else:
                raw.close()
            wait_until_told(port, b'"waiting_receives":0')
    sqs.send_message(QueueUrl=f"left-{way}", MessageBody="for who stayed")
    (message,) = sqs.receive_message(QueueUrl=f"left-{way}", AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_a_client_that_does_not_read_is_cut_off_and_costs_little(impatient: ServerProcess) -> None:
    port = impatient.port
    sqs = client(impatient.url)
    sqs.create_queue(QueueName="large")
    for _ in range(3):
        sqs.send_message(QueueUrl="large", MessageBody="x" * 1_000_000)
    before = impatient.resident_bytes
    peek = request("/", "X-Amz-Target: Encola.PeekMessages", method="POST", body=b'{"QueueUrl": "large"}')
    with ExitStack() as stack:
        greedy = [stack.enter_context(Raw(port)) for _ in range(8)]
        for raw in greedy:
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
            raw.send(peek * 40)  # asks for 120 MB
        wait_until_told(port, b'"connections":1,')
    assert impatient.resident_bytes - before < 100_000_000
    sqs.delete_queue(QueueUrl="large")


def test_storms_of_connections_that_break_off_leave_nothing_behind(port: int) -> None:
    pieces = [b"", b"GET", request()[:-2], request(body=b"12345")[:-2], request(), request() * 5, b"\x00"]
    for n in range(700):
        raw = Raw(port).send(pieces[n % len(pieces)])
        if n % 2:
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
    wait_until_told(port, b'"connections":1,')


# Many connections -----------------------------------------------------------------------------------


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process, too, needs a file descriptor for each connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4000:
        pytest.skip("needs 4,000 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_thousands_of_idle_connections_cost_little_and_hinder_nobody(tmp_path: Path) -> None:
    count = 2500
    with ServerProcess(tmp_path, environment={"ENCOLA_QUEUES": '[{"name": "work"}]'}) as server, ExitStack() as stack:
        health(server.port)
        before = server.resident_bytes
        for n in range(count):
            raw = stack.enter_context(Raw(server.port))
            if n % 2:
                raw.send(request())
                raw.answer()
        wait_until_told(server.port, b'"connections":%d,' % (count + 1))
        grown = server.resident_bytes - before
        assert grown / count < 20_000, f"{grown / count:.0f} bytes a connection"
        sqs = client(server.url)
        for _ in range(20):
            sqs.send_message(QueueUrl="work", MessageBody="m")
        assert sqs.receive_message(QueueUrl="work")["Messages"]
        stack.close()
        wait_until_told(server.port, b'"connections":2,')  # the SDK keeps one


def test_past_the_limit_of_connections_one_is_told_so_and_let_in_when_others_leave(tmp_path: Path) -> None:
    variables = {"ENCOLA_LIMITS__CONNECTIONS_MAX": "20"}
    with ServerProcess(tmp_path, environment=variables) as server, ExitStack() as stack:
        early = [stack.enter_context(Raw(server.port)) for _ in range(20)]
        assert early[-1].send(request()).answer().status == 200
        for _ in range(5):
            with Raw(server.port).send(request()) as late:
                answer = late.answer()
                assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert early[0].send(request()).answer().status == 200
        early[1].close()
        wait_until_served(server.port)


def wait_until_served(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with Raw(port).send(request()) as raw, suppress(ConnectionError):
            if raw.answer().status == 200:
                return
        assert time.monotonic() < end


def test_a_server_allows_itself_the_open_files_that_it_may_need(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = ServerProcess(tmp_path, environment={"ENCOLA_LIMITS__CONNECTIONS_MAX": "900"})
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # the server inherits it
    try:
        server.launch()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with server.wait_ready():
        assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[0] == min(1000, hard)


@pytest.mark.usefixtures("many_files")
def test_a_server_out_of_file_descriptors_goes_on_with_who_is_there_and_recovers(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, environment={"ENCOLA_QUEUES": '[{"name": "work"}]'}) as server, ExitStack() as stack:
        guest = stack.enter_context(Raw(server.port))
        assert guest.send(request()).answer().status == 200
        _, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (60, hard))
        with ExitStack() as crowd:
            for _ in range(200):
                crowd.enter_context(Raw(server.port))
            for _ in range(10):
                guest.send(call("SendMessage", '{"QueueUrl": "work", "MessageBody": "m"}'))
                assert guest.answer().status == 200
        wait_until_served(server.port)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (hard, hard))
        wait_until_served(server.port)
        assert len(server.logged()) < 100_000  # it does not fill the disk with it
        assert server.stop() == 0


@pytest.mark.parametrize("way", ["half", "close"])
def test_a_message_that_comes_right_after_a_client_has_left_is_for_the_next(impatient: ServerProcess, way: str) -> None:
    sqs = client(impatient.url)
    queue = f"next-{way}"
    sqs.create_queue(QueueName=queue)
    for number in range(5):
        with ExitStack() as stack:
            gone = [stack.enter_context(Raw(impatient.port)) for _ in range(3)]
            for raw in gone:
                raw.send(call("ReceiveMessage", f'{{"QueueUrl": "{queue}", "WaitTimeSeconds": 20}}'))
            wait_until_told(impatient.port, b'"waiting_receives":3')
            for raw in gone:
                raw.end() if way == "half" else raw.close()
            sqs.send_message(QueueUrl=queue, MessageBody=f"message {number}")
            (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5, AttributeNames=["All"])["Messages"]
        assert (message["Body"], message["Attributes"]["ApproximateReceiveCount"]) == (f"message {number}", "1")
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
