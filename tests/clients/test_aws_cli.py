"""The AWS command line interface against a real server, each command a process."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..process import KEY, SECRET, ServerProcess, clean_environment

pytestmark = pytest.mark.clients

AWS = str(Path(sys.executable).with_name("aws"))
NewName = Callable[..., str]


class Cli:
    def __init__(self, url: str, secret: str = SECRET) -> None:
        # The CLI has an endpoint of its own for SQS, which goes before the environment's.
        self._command = [AWS, "--endpoint-url", url, "sqs"]
        self._environment = clean_environment(
            {
                "AWS_DEFAULT_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": KEY,
                "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_MAX_ATTEMPTS": "1",
            }
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*self._command, *arguments], env=self._environment, capture_output=True, text=True)

    def __call__(self, *arguments: str) -> Any:
        """What a command that succeeds prints, read as JSON; None if it prints nothing."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture
def aws(keyed_server: ServerProcess) -> Cli:
    return Cli(keyed_server.url)


def test_a_queue_from_its_making_to_its_end(aws: Cli, new_name: NewName) -> None:
    name = new_name()
    url = aws("create-queue", "--queue-name", name, "--attributes", "VisibilityTimeout=60", "--tags", "team=a")[
        "QueueUrl"
    ]
    at = ("--queue-url", url)
    assert aws("get-queue-url", "--queue-name", name) == {"QueueUrl": url}
    assert aws("list-queues", "--queue-name-prefix", name, "--page-size", "1") == {"QueueUrls": [url]}
    aws("set-queue-attributes", *at, "--attributes", "DelaySeconds=0,ReceiveMessageWaitTimeSeconds=1")
    attributes = aws("get-queue-attributes", *at, "--attribute-names", "All")["Attributes"]
    assert attributes["QueueArn"].startswith("arn:aws:sqs:eu-west-1:")
    assert (attributes["VisibilityTimeout"], attributes["ReceiveMessageWaitTimeSeconds"]) == ("60", "1")
    aws("tag-queue", *at, "--tags", "stage=test")
    aws("untag-queue", *at, "--tag-keys", "team")
    assert aws("list-queue-tags", *at) == {"Tags": {"stage": "test"}}
    aws("add-permission", *at, "--label", "l", "--aws-account-ids", "444455556666", "--actions", "SendMessage")
    aws("remove-permission", *at, "--label", "l")
    aws("purge-queue", *at)
    assert aws("delete-queue", *at) is None
    refused = aws.run("get-queue-url", "--queue-name", name)
    assert refused.returncode != 0
    assert "AWS.SimpleQueueService.NonExistentQueue" in refused.stderr


def test_messages_alone_and_in_batches(aws: Cli, new_name: NewName) -> None:
    at = ("--queue-url", aws("create-queue", "--queue-name", new_name())["QueueUrl"])
    attributes = '{"kind": {"DataType": "String", "StringValue": "note"}}'
    sent = aws("send-message", *at, "--message-body", "hello", "--message-attributes", attributes)
    names = ("--message-attribute-names", "All", "--message-system-attribute-names", "All")
    (message,) = aws("receive-message", *at, *names, "--wait-time-seconds", "1")["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "hello")
    assert message["MessageAttributes"]["kind"]["StringValue"] == "note"
    handle = ("--receipt-handle", message["ReceiptHandle"])
    aws("change-message-visibility", *at, *handle, "--visibility-timeout", "30")
    aws("delete-message", *at, *handle)
    assert aws("receive-message", *at) is None

    entries = json.dumps([{"Id": str(n), "MessageBody": f"{n}"} for n in range(3)])
    assert len(aws("send-message-batch", *at, "--entries", entries)["Successful"]) == 3
    messages = aws("receive-message", *at, "--max-number-of-messages", "10")["Messages"]
    handles = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
    hidden = json.dumps([{**one, "VisibilityTimeout": 9} for one in handles])
    assert len(aws("change-message-visibility-batch", *at, "--entries", hidden)["Successful"]) == 3
    assert len(aws("delete-message-batch", *at, "--entries", json.dumps(handles))["Successful"]) == 3


def test_dead_letters_and_their_redrive(aws: Cli, new_name: NewName) -> None:
    dead = aws("create-queue", "--queue-name", new_name())["QueueUrl"]
    names = ("--attribute-names", "QueueArn")
    arn = aws("get-queue-attributes", "--queue-url", dead, *names)["Attributes"]["QueueArn"]
    rule = json.dumps({"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})})
    work = aws("create-queue", "--queue-name", new_name(), "--attributes", rule)["QueueUrl"]
    assert aws("list-dead-letter-source-queues", "--queue-url", dead) == {"queueUrls": [work]}
    aws("send-message", "--queue-url", dead, "--message-body", "back")
    started = aws(
        "start-message-move-task",
        "--source-arn",
        arn,
        "--destination-arn",
        f"{arn.rpartition(':')[0]}:{work.rpartition('/')[2]}",
    )
    assert started["TaskHandle"]
    (message,) = aws("receive-message", "--queue-url", work, "--wait-time-seconds", "10")["Messages"]
    assert message["Body"] == "back"
    (task,) = aws("list-message-move-tasks", "--source-arn", arn)["Results"]
    assert task["ApproximateNumberOfMessagesMoved"] == 1
    refused = aws.run("cancel-message-move-task", "--task-handle", "bm9uc2Vuc2U=")
    assert refused.returncode != 0


def test_a_wrong_secret_is_told_as_such(keyed_server: ServerProcess) -> None:
    refused = Cli(keyed_server.url, secret="wrong").run("list-queues")
    assert refused.returncode != 0
    assert "SignatureDoesNotMatch" in refused.stderr
