"""A producer asks for reports; a consumer makes them. Start ``encola serve``, then ``python -m examples.quickstart``.

A message is deleted after its work is done. If the consumer dies before, the message comes back when its visibility
timeout is over, and somebody else does the work.
"""

from typing import Any

from examples.endpoint import connect

MONTHS = ("January", "February", "March")


def ask(sqs: Any, queue: str) -> None:
    """The producer. Each message is on the server's disk when ``send_message`` returns."""
    for month in MONTHS:
        sqs.send_message(QueueUrl=queue, MessageBody=month)


def work(sqs: Any, queue: str) -> list[str]:
    """The consumer, until nothing has come for a second."""
    made = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages"):
        for message in messages:
            made.append(f"report for {message['Body']}")
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return made


def main() -> None:
    sqs = connect()
    queue = sqs.create_queue(QueueName="reports", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    ask(sqs, queue)
    made = work(sqs, queue)
    print("\n".join(made))
    assert sorted(made) == sorted(f"report for {month}" for month in MONTHS)


if __name__ == "__main__":
    main()
