"""Sums, some of which nobody can do yet. Start ``encola serve``, then ``python -m examples.dead_letters``.

The consumer does not delete what it cannot handle. After the second receive without a delete, the next one moves the
message to the dead-letter queue. Then a better consumer comes, and the redrive gives it what was set aside.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from examples.endpoint import connect

RECEIVES_MAX = 2
SUMS = {"1+1": 2, "2+3": 5, "one and two": 3}

Solver = Callable[[str], int]


def first_version(text: str) -> int:
    """Knows digits only."""
    return sum(int(part) for part in text.split("+"))


def second_version(text: str) -> int:
    """Knows some words, too."""
    words = {"one": "1", "two": "2"}
    return sum(int(words.get(part, part)) for part in text.replace(" and ", "+").split("+"))


def make_queues(sqs: Any) -> tuple[str, str, str]:
    """The queue, its dead-letter queue, and that one's ARN."""
    dead = sqs.create_queue(QueueName="sums-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": RECEIVES_MAX})
    queue = sqs.create_queue(QueueName="sums", Attributes={"RedrivePolicy": redrive})["QueueUrl"]
    return queue, dead, arn


def work(sqs: Any, queue: str, solve: Solver) -> dict[str, int]:
    """What could be solved, when nothing more comes."""
    solved = {}
    while messages := sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages"):
        for message in messages:
            try:
                solved[message["Body"]] = solve(message["Body"])
            except ValueError:
                # Visible again at once: another try, or the dead-letter queue.
                sqs.change_message_visibility(
                    QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
                )
            else:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return solved


def redrive(sqs: Any, arn: str) -> None:
    """Moves all dead letters back to where they came from."""
    sqs.start_message_move_task(SourceArn=arn)
    while sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]["Status"] == "RUNNING":
        time.sleep(0.1)


def main() -> None:
    sqs = connect()
    queue, dead, arn = make_queues(sqs)
    for text in SUMS:
        sqs.send_message(QueueUrl=queue, MessageBody=text)
    first = work(sqs, queue, first_version)
    print("first version:", first)
    waiting = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert waiting["ApproximateNumberOfMessages"] == "1"
    redrive(sqs, arn)
    second = work(sqs, queue, second_version)
    print("second version, after the redrive:", second)
    assert first | second == SUMS


if __name__ == "__main__":
    main()
