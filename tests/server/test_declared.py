"""Queues that are declared in the configuration file are there when the server is ready, as declared."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..process import NotStartedError, ServerProcess, client

FIRST = """
[[queues]]
name = "orders.fifo"
tags = { team = "a" }
[queues.attributes]
VisibilityTimeout = 60
ContentBasedDeduplication = true
RedrivePolicy = { deadLetterTargetArn = "dead.fifo", maxReceiveCount = 3 }

[[queues]]
name = "dead.fifo"
[queues.attributes]
RedriveAllowPolicy = { redrivePermission = "byQueue", sourceQueueArns = ["orders.fifo"] }

[[queues]]
name = "other"
account = "444455556666"
"""

SECOND = """
[[queues]]
name = "orders.fifo"
tags = { stage = "b" }
[queues.attributes]
VisibilityTimeout = 90
"""


def attributes(sqs: Any, name: str) -> dict[str, str]:
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return dict(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])


def test_queues_are_made_as_declared_and_changed_with_their_declaration(tmp_path: Path) -> None:
    file = tmp_path / "encola.toml"
    file.write_text(FIRST)
    server = ServerProcess(tmp_path, "--config", str(file))
    with server:
        sqs = client(server.url)
        found = attributes(sqs, "orders.fifo")
        assert (found["FifoQueue"], found["VisibilityTimeout"], found["ContentBasedDeduplication"]) == (
            "true",
            "60",
            "true",
        )
        rule = json.loads(found["RedrivePolicy"])
        assert rule == {"deadLetterTargetArn": attributes(sqs, "dead.fifo")["QueueArn"], "maxReceiveCount": 3}
        allowed = json.loads(attributes(sqs, "dead.fifo")["RedriveAllowPolicy"])
        assert allowed["sourceQueueArns"] == [found["QueueArn"]]
        other = client(server.url, aws_access_key_id="444455556666")
        assert other.get_queue_url(QueueName="other")["QueueUrl"].endswith("/444455556666/other")
        with pytest.raises(sqs.exceptions.QueueDoesNotExist):
            sqs.get_queue_url(QueueName="other")
        url = sqs.get_queue_url(QueueName="orders.fifo")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="kept", MessageGroupId="g")
        assert server.stop() == 0

        # What is declared later changes what it names, and leaves everything else as it is.
        file.write_text(SECOND)
        server.start()
        sqs = client(server.url)
        changed = attributes(sqs, "orders.fifo")
        assert (changed["VisibilityTimeout"], changed["RedrivePolicy"]) == ("90", found["RedrivePolicy"])
        url = sqs.get_queue_url(QueueName="orders.fifo")["QueueUrl"]
        assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a", "stage": "b"}
        assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "kept"
        assert sqs.list_queues()["QueueUrls"][0].endswith("/dead.fifo")


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        ('name = "a b"', "a b"),
        ('name = "a"\nattributes = { Nonsense = 1 }', "Nonsense"),
        ('name = "a"\nattributes = { DelaySeconds = 901 }', "DelaySeconds"),
        (
            'name = "a"\nattributes = { RedrivePolicy = { deadLetterTargetArn = "none", maxReceiveCount = 1 } }',
            "queue a",
        ),
    ],
)
def test_a_declaration_that_cannot_be_keeps_the_server_from_starting(tmp_path: Path, queue: str, said: str) -> None:
    file = tmp_path / "encola.toml"
    file.write_text(f"[[queues]]\n{queue}\n")
    server = ServerProcess(tmp_path, "--config", str(file))
    with pytest.raises(NotStartedError, match="exit status 2"):
        server.start()
    assert said in server.logged()
    assert "Traceback" not in server.logged()


def test_a_declared_queue_that_was_deleted_a_moment_ago_does_not_stand_in_the_way(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, environment={"ENCOLA_QUEUES": '[{"name": "work"}]'})
    with server:
        sqs = client(server.url)
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="work")["QueueUrl"])
        server.restart()
        assert client(server.url).get_queue_url(QueueName="work")


def test_a_declaration_is_carried_out_whatever_the_queues_policy_says(tmp_path: Path) -> None:
    file = tmp_path / "encola.toml"
    deny = '{"Statement":{"Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"*"}}'
    for seconds in (30, 60):
        values = f"VisibilityTimeout = {seconds}\nPolicy = '{deny}'"
        file.write_text(f'[[queues]]\nname = "work"\ntags = {{ n = "{seconds}" }}\n[queues.attributes]\n{values}\n')
        with ServerProcess(tmp_path, "--config", str(file)) as server:
            assert attributes(client(server.url), "work")["VisibilityTimeout"] == str(seconds)


def test_a_ready_file_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "encola", "serve", "--port", "0", "--store", "memory"]
    done = subprocess.run([*command, "--ready-file", str(tmp_path / "no" / "ready")], capture_output=True, timeout=30)
    assert done.returncode == 1
    assert b"cannot write server.ready_file" in done.stderr
    assert b"Traceback" not in done.stderr
