"""The commands for queues: queues, send, receive, peek, purge, redrive, top."""

import itertools
import json
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from ..process import ENCOLA, ServerProcess, client
from .conftest import Cli

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def sqs(server: ServerProcess) -> Any:
    return client(server.url)


@pytest.fixture
def name() -> str:
    return f"work{next(_numbers)}"


@pytest.fixture
def url(sqs: Any, name: str) -> str:
    """The URL of a fresh queue of that name."""
    return str(sqs.create_queue(QueueName=name)["QueueUrl"])


def count(sqs: Any, url: str) -> int:
    """All messages of a queue, in whatever state."""
    names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")]
    return sum(map(int, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()))


def test_queues_are_created_listed_shown_and_deleted(encola: Cli, sqs: Any, name: str) -> None:
    url = encola("queues", "create", name, "-a", "VisibilityTimeout=5", "--tag", "team=a").strip()
    assert url.endswith(f"/111122223333/{name}")
    fifo = encola.json("queues", "create", f"{name}.fifo")["url"]
    assert encola.json("queues", "--prefix", name) == [
        {"name": name, "url": url, "ready": 0, "in flight": 0, "delayed": 0, "paused": False},
        {"name": f"{name}.fifo", "url": fifo, "ready": 0, "in flight": 0, "delayed": 0, "paused": False},
    ]
    table = encola("queues", "--prefix", name)
    assert all(word in table for word in ("queue", "ready", "in flight", "delayed", f"{name}.fifo"))
    shown = encola.json("queues", "show", name)
    assert (shown["url"], shown["attributes"]["VisibilityTimeout"], shown["tags"]) == (url, "5", {"team": "a"})
    assert "FifoQueue" in encola("queues", "show", fifo)

    asked = encola.run("queues", "delete", name, text="n\n")
    assert asked.returncode == 1
    assert "with all its messages?" in asked.stdout + asked.stderr
    assert sqs.list_queues(QueueNamePrefix=name)["QueueUrls"] == [url, fifo]
    encola("queues", "delete", name, text="y\n")
    encola("queues", "delete", "--yes", f"{name}.fifo")
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix=name)


def test_a_message_is_sent_peeked_and_received(encola: Cli, name: str, url: str) -> None:
    message_id = encola("send", name, "hello", "-a", "kind=note").strip()
    encola("send", url, "--delay", "900", text="from standard input")
    peeked = encola.json("peek", name)
    assert [(one["Body"], one["State"]) for one in peeked] == [("hello", "ready"), ("from standard input", "delayed")]
    assert message_id in encola("peek", name, "--max", "1")

    (message,) = encola.json("receive", name, "--max", "10", "--visibility", "60")
    assert (message["MessageId"], message["Body"]) == (message_id, "hello")
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"  # peeking had not counted
    assert message["MessageAttributes"]["kind"]["StringValue"] == "note"
    assert encola("receive", name).strip() == "no messages"


def test_the_newest_and_those_since_a_time_are_peeked_at(encola: Cli, name: str, url: str) -> None:
    encola("send", name, "--lines", text="".join(f"{number}\n" for number in range(120)))
    newest = encola.json("peek", name, "--newest", "--max", "110")
    assert [one["Body"] for one in newest] == [str(number) for number in range(119, 9, -1)]
    assert len(encola.json("peek", name, "--since", "10m", "--max", "200")) == 120
    sent = newest[0]["SentTimestamp"] / 1000
    since = datetime.fromtimestamp(sent - 3600, UTC).isoformat()
    assert len(encola.json("peek", name, "--since", since, "--newest", "--max", "200")) == 120
    later = datetime.fromtimestamp(sent + 3600, UTC).isoformat()
    assert encola("peek", name, "--since", later).strip() == "no messages"
    for wrong in ("soon", "10", "m", "-3m", "1e9d", "9" * 30 + "d"):
        assert "--since" in encola.refusal("peek", name, f"--since={wrong}", status=2)


def test_a_queue_is_paused_shown_and_resumed(encola: Cli, name: str, url: str) -> None:
    encola("send", name, "hello")
    assert encola("pause", name) == encola("pause", url) == ""
    (told,) = encola.json("queues", "--prefix", name)
    assert (told["paused"], told["ready"]) == (True, 1)
    assert "paused" in encola("queues", "--prefix", name)
    assert encola("receive", name).strip() == "no messages"
    encola("resume", name)
    assert not encola.json("queues", "--prefix", name)[0]["paused"]
    assert "hello" in encola("receive", name)


def test_of_an_endpoint_that_is_no_encola_server_no_pauses_are_told(bare: Cli) -> None:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        bare("queues", "create", "work", "--endpoint", endpoint)
        assert bare.json("queues", "--endpoint", endpoint) == [
            {"name": "work", "url": f"{endpoint}/123456789012/work", "ready": 0, "in flight": 0, "delayed": 0}
        ]
        assert "encola:" in bare.refusal("pause", "work", "--endpoint", endpoint)
    finally:
        moto.stop()


def test_lines_become_messages_and_can_be_deleted_as_they_are_received(
    encola: Cli, sqs: Any, name: str, url: str
) -> None:
    encola("send", name, "--lines", text="".join(f"line {n}\n\n" for n in range(25)))
    table = encola("receive", name, "--max", "25", "--delete")
    assert all(f"line {n} " in table for n in range(25))
    assert count(sqs, url) == 0


def test_lines_that_fail_are_told_and_the_others_sent(encola: Cli, sqs: Any, name: str, url: str) -> None:
    done = encola.run("send", name, "--lines", "--json", text="good\n\x01\nfine\n")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["sent"] == count(sqs, url) == 2
    assert [one["code"] for one in told["failed"]] == ["InvalidMessageContents"]


def test_a_group_and_a_deduplication_id_go_to_a_fifo_queue(encola: Cli, sqs: Any, name: str) -> None:
    url = sqs.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    for _ in range(2):
        encola("send", f"{name}.fifo", "m", "--group", "g", "--deduplication-id", "d")
    (message,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"], MaxNumberOfMessages=2)["Messages"]
    assert message["Attributes"]["MessageGroupId"] == "g"
    assert message["Attributes"]["MessageDeduplicationId"] == "d"


def test_purge_asks_first(encola: Cli, sqs: Any, name: str, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="m")
    assert encola.run("purge", name, text="n\n").returncode == 1
    assert count(sqs, url) == 1
    encola("purge", name, "--yes")
    assert count(sqs, url) == 0


def test_redrive_moves_shows_and_cancels(encola: Cli, sqs: Any, name: str, url: str) -> None:
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": rule})
    for n in range(12):
        sqs.send_message(QueueUrl=dead, MessageBody=str(n))
    (moved,) = encola.json("redrive", f"{name}-dead", "--to", name)
    assert (moved["Status"], moved["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 12)
    assert count(sqs, url) == 12

    for n in range(9):
        sqs.send_message(QueueUrl=dead, MessageBody=str(n))
    (running,) = encola.json("redrive", arn, "--to", name, "--rate", "1", "--no-wait")
    assert running["Status"] == "RUNNING"
    (cancelled,) = encola.json("redrive", dead, "--cancel")
    assert cancelled["Status"] == "CANCELLED"
    assert "no move is running" in encola.refusal("redrive", arn, "--cancel")
    table = encola("redrive", arn, "--list")
    assert "COMPLETED" in table
    assert "CANCELLED" in table


def test_top_shows_the_queues_again_and_again(encola: Cli, sqs: Any, name: str, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="m")
    assert name in encola("top", "--prefix", name, "--count", "2", "--every", "0.2")
    looks = encola("top", "--prefix", name, "--count", "2", "--every", "0.2", "--json")
    # One document a look, one after the other.
    first, end = json.JSONDecoder().raw_decode(looks)
    second = json.loads(looks[end:])
    assert [[(one["name"], one["ready"]) for one in look] for look in (first, second)] == [[(name, 1)]] * 2


def test_what_a_message_holds_does_not_command_the_terminal(encola: Cli, sqs: Any, name: str, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="[red]markup[/red] \u202e\ttab\r\nline \u009b31m")
    for command in ("peek", "receive"):
        shown = encola(command, name)
        assert "[red]markup[/red]" in shown
        assert not set("\u202e\t\r\u009b") & set(shown)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("send", "nothing-there", "m"), 1, "NonExistentQueue"),
        (("peek", "nothing-there"), 1, "NonExistentQueue"),
        (("queues", "--endpoint", "http://127.0.0.1:1"), 1, "connect"),
        (("queues", "--endpoint", "nonsense"), 1, "nonsense"),
        (("queues", "--profile", "nobody"), 1, "nobody"),
        (("queues", "create", "a", "-a", "novalue"), 2, "NAME=VALUE"),
        (("send", "q", "body", "--lines"), 2, "--lines"),
        (("peek", "q", "--endpoint", "aws"), 1, "without receiving"),
        (("pause", "q", "--endpoint", "aws"), 1, "no way to pause"),
        (("resume", "nothing-there"), 1, "NonExistentQueue"),
        (("receive", "q", "--wait", "21"), 2, "--wait"),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_errors_are_said_in_words(encola: Cli, arguments: tuple[str, ...], status: int, said: str) -> None:
    assert said in encola.refusal(*arguments, status=status)


def test_a_wrong_key_is_told_as_such(encola: Cli, url: str) -> None:
    for command in (("queues",), ("peek", url)):
        assert "SignatureDoesNotMatch" in encola.refusal(*command, AWS_SECRET_ACCESS_KEY="wrong")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:99999", "ftp://127.0.0.1", "nowhere"])
def test_an_endpoint_that_is_none_is_told_in_a_line(encola: Cli, endpoint: str) -> None:
    assert encola.refusal("queues", "--endpoint", endpoint).startswith("encola: ")


def test_what_is_no_text_is_not_sent(encola: Cli, url: str) -> None:
    assert encola.refusal("send", url, b"bad \xff") == "encola: what is to be sent is not valid UTF-8\n"  # type: ignore[arg-type]
    done = subprocess.run(
        [ENCOLA, "send", url, "--lines"], input=b"a\n\xff\n", env=encola.environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (1, b"encola: what is to be sent is not valid UTF-8\n")
