"""boto3, unmodified, at queues that an operator pauses and resumes: to it, a paused queue is an empty one."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from encola.cli.client import call

from ..process import ServerProcess, client
from .test_boto3 import bodies, receive

pytestmark = pytest.mark.clients

SECONDS_MAX = 20
Poll = Callable[..., "Future[list[dict[str, Any]]]"]


@pytest.fixture
def poll() -> Iterator[Poll]:
    """Receives in a thread."""
    with ThreadPoolExecutor(4) as pool:
        yield lambda *arguments, **more: pool.submit(receive, *arguments, **more)


def until_waiting(server: ServerProcess, count: int) -> None:
    """Until so many receives are parked."""
    end = time.monotonic() + SECONDS_MAX
    while True:
        with urlopen(f"{server.url}/health") as answer:
            waiting = json.load(answer)["waiting_receives"]
        if waiting == count:
            return
        assert time.monotonic() < end, f"{waiting} receives wait"
        time.sleep(0.01)


def test_a_parked_long_poll_goes_on_waiting_and_gets_its_message_when_the_queue_is_resumed(
    open_server: ServerProcess, new_name: Callable[..., str], poll: Poll
) -> None:
    sqs = client(open_server.url)
    url = sqs.create_queue(QueueName=new_name())["QueueUrl"]
    waiting = poll(client(open_server.url), url, WaitTimeSeconds=SECONDS_MAX)
    until_waiting(open_server, 1)
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    call(sqs, "PauseQueue", {"QueueUrl": url})
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] == before
    sent = sqs.send_message(QueueUrl=url, MessageBody="hello")
    assert receive(sqs, url) == []
    assert receive(sqs, url, WaitTimeSeconds=1) == []
    assert not waiting.done()
    call(sqs, "ResumeQueue", {"QueueUrl": url})
    (message,) = waiting.result(SECONDS_MAX)
    assert message["MessageId"] == sent["MessageId"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_a_fifo_queue_that_was_paused_goes_on_in_order(
    open_server: ServerProcess, new_name: Callable[..., str], poll: Poll
) -> None:
    sqs = client(open_server.url)
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName=new_name(".fifo"), Attributes=attributes)["QueueUrl"]
    for number in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(number), MessageGroupId="g")
    (first,) = receive(sqs, url, 1, ReceiveRequestAttemptId="a")
    call(sqs, "PauseQueue", {"QueueUrl": url})
    assert receive(sqs, url, 1, ReceiveRequestAttemptId="a") == []
    waiting = poll(client(open_server.url), url, WaitTimeSeconds=SECONDS_MAX, ReceiveRequestAttemptId="b")
    until_waiting(open_server, 1)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])  # its group is free
    sqs.send_message(QueueUrl=url, MessageBody="3", MessageGroupId="g")
    assert receive(sqs, url) == []
    call(sqs, "ResumeQueue", {"QueueUrl": url})
    assert bodies(waiting.result(SECONDS_MAX)) == ["1", "2", "3"]


def test_a_pause_outlasts_a_server_that_is_killed(tmp_path: Path, poll: Poll) -> None:
    with ServerProcess(tmp_path) as server:
        sqs = client(server.url)
        urls = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("held", "free")]
        for url in urls:
            sqs.send_message(QueueUrl=url, MessageBody="kept")
            call(sqs, "PauseQueue", {"QueueUrl": url})
        call(sqs, "ResumeQueue", {"QueueUrl": urls[1]})
        server.restart()
        sqs = client(server.url)
        held, free = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in ("held", "free"))
        assert call(sqs, "ListPausedQueues", {})["QueueUrls"] == [held]
        assert bodies(receive(sqs, free)) == ["kept"]
        assert receive(sqs, held) == []
        waiting = poll(client(server.url), held, WaitTimeSeconds=SECONDS_MAX)
        until_waiting(server, 1)
        call(sqs, "ResumeQueue", {"QueueUrl": held})
        assert bodies(waiting.result(SECONDS_MAX)) == ["kept"]
        assert "QueueUrls" not in call(sqs, "ListPausedQueues", {})
