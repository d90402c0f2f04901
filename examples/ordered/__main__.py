"""Orders of several customers. Start ``encola serve``, then ``python -m examples.ordered``.

The message group is the customer. While a message of a group is out with a consumer, the others of this group wait; the
other groups go on. A send that is repeated under the same deduplication id within five minutes is stored once.
"""

import uuid
from typing import Any

from examples.endpoint import connect

CUSTOMERS = ("ada", "grace", "edsger")
STEPS = ("ordered", "paid", "shipped")


def send(sqs: Any, queue: str, customer: str, step: str, attempt: str) -> str:
    """Answers the message id."""
    answer = sqs.send_message(
        QueueUrl=queue,
        MessageBody=step,
        MessageGroupId=customer,
        MessageDeduplicationId=f"{attempt}-{customer}-{step}",
    )
    return str(answer["MessageId"])


def work(sqs: Any, queue: str) -> dict[str, list[str]]:
    """What each customer's messages said, in the order in which they came."""
    heard: dict[str, list[str]] = {customer: [] for customer in CUSTOMERS}
    while messages := sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=2, WaitTimeSeconds=1, MessageSystemAttributeNames=["MessageGroupId"]
    ).get("Messages"):
        for message in messages:
            heard[message["Attributes"]["MessageGroupId"]].append(message["Body"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return heard


def main() -> None:
    sqs = connect()
    queue = sqs.create_queue(QueueName="orders.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    attempt = str(uuid.uuid4())
    for step in STEPS:
        for customer in CUSTOMERS:
            sent = send(sqs, queue, customer, step, attempt)
            # The answer got lost, so the producer sends again; the server knows the message.
            assert send(sqs, queue, customer, step, attempt) == sent
    heard = work(sqs, queue)
    for customer, steps in heard.items():
        print(f"{customer}: {', '.join(steps)}")
    assert heard == {customer: list(STEPS) for customer in CUSTOMERS}


if __name__ == "__main__":
    main()
