"""What HTTP/1.1 promises to a client: order, keep-alive and close, 100-continue, HEAD, methods."""

import json
import time

import pytest

from ...process import ServerProcess
from .raw import Raw, call, request

SEND = '{"QueueUrl": "order", "MessageBody": "%s"}'


@pytest.fixture(autouse=True)
def _order(port: int) -> None:
    """An empty queue of that name."""
    with Raw(port) as raw:
        assert raw.send(call("CreateQueue", '{"QueueName": "order"}')).answer().status == 200
        assert raw.send(call("PurgeQueue", '{"QueueUrl": "order"}')).answer().status == 200


def test_pipelined_requests_are_answered_in_their_order(port: int) -> None:
    bodies = [f"{n:03}-{'x' * (n * 37 % 500)}" for n in range(60)]
    with Raw(port) as raw:
        raw.send(b"".join(call("SendMessage", SEND % body) for body in bodies))
        ids = [json.loads(raw.answer().body)["MessageId"] for _ in bodies]
        raw.send(
            request(
                "/",
                "X-Amz-Target: Encola.PeekMessages",
                method="POST",
                body=b'{"QueueUrl": "order", "MaxResults": 100}',
            )
        )
        messages = json.loads(raw.answer().body)["Messages"]
        assert [message["Body"] for message in messages] == bodies  # carried out in order ...
        assert [message["MessageId"] for message in messages] == ids  # ... and answered in order


def test_what_comes_behind_a_parked_receive_waits_for_its_turn(port: int) -> None:
    with Raw(port) as raw:
        raw.send(call("ReceiveMessage", '{"QueueUrl": "order", "WaitTimeSeconds": 1}') + request())
        assert raw.answer().body == b"{}"
        assert b"live" in raw.answer().body


def test_more_than_may_wait_stays_with_the_client_until_there_is_room(port: int) -> None:
    """A hundred requests may wait on a connection; then the server reads no more until it has answered them."""
    with Raw(port) as raw:
        raw.send(call("ReceiveMessage", '{"QueueUrl": "order", "WaitTimeSeconds": 1}'))
        for _ in range(3):
            raw.send(request() * 80)
            time.sleep(0.1)  # so that they do not come in one piece, which is refused
        assert raw.answer().body == b"{}"
        assert [raw.answer().status for _ in range(240)] == [200] * 240


def test_a_burst_beyond_the_limit_in_one_piece_is_refused(port: int) -> None:
    with Raw(port) as raw:
        raw.send(request("/a") * 101)
        statuses = set()
        while (status := raw.answer().status) != 429:
            statuses.add(status)
        assert statuses <= {400, 404}
        assert raw.closed()


@pytest.mark.parametrize(
    ("sent", "said", "stays"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", None, True),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "close", False),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: Close, x\r\n\r\n", "close", False),
        (b"GET /health/live HTTP/1.0\r\n\r\n", "close", False),
        (b"GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive", True),
    ],
)
def test_connections_stay_or_end_as_asked(port: int, sent: bytes, said: str | None, stays: bool) -> None:
    with Raw(port).send(sent) as raw:
        answer = raw.answer()
        assert answer.status == 200
        assert answer.headers.get("connection") == said
        if stays:
            assert raw.send(request()).answer().status == 200
        else:
            assert raw.closed()


def test_what_follows_the_wish_to_close_is_not_carried_out(port: int) -> None:
    with Raw(port) as raw:
        raw.send(request("/health/live", "Connection: close") + call("SendMessage", SEND % "too late"))
        assert raw.answer().status == 200
        assert raw.closed()
    with Raw(port) as raw:
        assert raw.send(call("ReceiveMessage", '{"QueueUrl": "order"}')).answer().body == b"{}"


def test_a_client_that_asks_first_is_told_to_go_on(port: int) -> None:
    body = b'{"QueueUrl": "order"}'
    asked = request(
        "/",
        "X-Amz-Target: AmazonSQS.ReceiveMessage",
        "Expect: 100-Continue",
        f"Content-Length: {len(body)}",
        method="POST",
    )
    with Raw(port).send(asked) as raw:
        assert raw.answer().status == 100
        assert raw.send(body).answer().body == b"{}"
        # One that does not wait for the word is not given it.
        assert raw.send(asked + body).answer().status == 200
        # One that is not to send at all is told that instead.
        raw.send(request("/", "Expect: 100-continue", "Content-Length: 2000001", method="POST"))
        assert raw.answer().status == 413
        assert raw.closed()


def test_head_is_answered_as_get_without_the_body(port: int) -> None:
    with Raw(port) as raw:
        by_get = raw.send(request("/health/live")).answer()
        by_head = raw.send(request("/health/live", method="HEAD")).answer(head=True)
        assert by_head.status == by_get.status == 200
        assert int(by_head.headers["content-length"]) == len(by_get.body)
        assert raw.send(request()).answer().status == 200  # nothing is left over on the connection


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH"])
def test_other_methods_are_refused_and_the_connection_goes_on(port: int, method: str) -> None:
    with Raw(port) as raw:
        answer = raw.send(request("/", method=method)).answer()
        assert 400 <= answer.status < 500
        assert b"<Error>" in answer.body
        assert raw.send(request()).answer().status == 200


def test_a_method_that_nobody_knows_is_refused(port: int) -> None:
    with Raw(port).send(request("/", method="BREW")) as raw:
        assert raw.answer().status == 400
        assert raw.closed()


def test_a_wish_for_another_protocol_is_passed_over(port: int) -> None:
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    body = (SEND % "upgraded").encode()
    sent = request("/", "X-Amz-Target: AmazonSQS.SendMessage", *upgrade, method="POST", body=body)
    for rest in (b"", request()):
        with Raw(port).send(sent + rest) as raw:
            assert b"MessageId" in raw.answer().body
            if rest:
                assert b"live" in raw.answer().body
    with Raw(port) as raw:
        for byte in sent:
            raw.send(bytes([byte]))
        assert b"MessageId" in raw.answer().body


def test_a_target_in_absolute_form_means_the_same(port: int) -> None:
    with Raw(port) as raw:
        for target in ("http://a/health/live", "HTTP://a:80/health/live?x", "/health/live?x=y"):
            assert raw.send(request(target)).answer().status == 200


def test_a_body_in_chunks_is_taken_as_one(port: int) -> None:
    body = (SEND % ("y" * 100)).encode()
    chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in (body[:1], body[1:50], body[50:]))
    head = request("/", "X-Amz-Target: AmazonSQS.SendMessage", "Transfer-Encoding: chunked", method="POST")
    with Raw(port) as raw:
        answer = raw.send(head + chunks + b"0\r\nX-Amz-Target: AmazonSQS.DeleteQueue\r\n\r\n").answer()
        assert b"MessageId" in answer.body  # and not what the trailer says
        assert raw.send(call("ReceiveMessage", '{"QueueUrl": "order"}')).answer().status == 200


def test_every_answer_says_who_and_when(impatient: ServerProcess) -> None:
    with Raw(impatient.port).send(request()) as raw:
        headers = raw.answer().headers
    assert headers["server"] == "encola"
    assert headers["date"].endswith(" GMT")
