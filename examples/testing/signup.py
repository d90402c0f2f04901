"""The code under test: a sign-up that asks for a welcome mail through a queue, and the worker that sends it."""

from collections.abc import Callable
from typing import Any

QUEUE = "welcome-mails"


def sign_up(sqs: Any, address: str) -> None:
    """Answers at once; the mail is sent later."""
    queue = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=address)


def send_next_mail(sqs: Any, send: Callable[[str], None]) -> bool:
    """Whether there was one. If ``send`` raises, the mail stays on the queue."""
    queue = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    for message in sqs.receive_message(QueueUrl=queue, VisibilityTimeout=30).get("Messages", []):
        send(message["Body"])
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return True
    return False
