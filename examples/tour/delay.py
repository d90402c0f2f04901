"""Later, but not forgotten: delays are kept by the queue. ``python -m examples.tour.delay``"""

import time
from typing import Any

from botocore.exceptions import ClientError

import encola
from examples.tour.stage import Stage, saw, step, title, why

SECONDS = 2
DAY = 86_400

app = encola.App("tour-delay")


@app.task(queue="reminders")
def remind(customer: str) -> None:
    """Nobody runs it in this tour: it is due next week."""


def receive(sqs: Any, queue: str, wait: int = 0) -> list[str]:
    """The bodies of what is ready, deleted."""
    messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=wait, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in messages]


def main() -> None:
    title("Delay", "A message can be sent now and come later. Nobody holds it in memory meanwhile.")
    with Stage() as stage:
        sqs = stage.sqs
        queue = sqs.create_queue(QueueName="mails")["QueueUrl"]

        step(1, f"'how did you like it?' is sent with a delay of {SECONDS} s, then 'welcome' without one.")
        began = time.monotonic()
        sqs.send_message(QueueUrl=queue, MessageBody="how did you like it?", DelaySeconds=SECONDS)
        sqs.send_message(QueueUrl=queue, MessageBody="welcome")
        told = stage.told(queue)
        now = receive(sqs, queue)
        saw(f"The queue: {told}. A consumer gets {' and '.join(map(repr, now))} at once.")
        assert now == ["welcome"]
        why("A delayed message is on the queue's disk, but no receive sees it before its time.")

        step(2, "The consumer waits for the next one (a long poll).")
        late = receive(sqs, queue, wait=20)
        after = time.monotonic() - began
        saw(f"It got {' and '.join(map(repr, late))}, {after:.2f} s after it was sent.")
        assert late == ["how did you like it?"]
        assert after >= SECONDS - 0.1
        why("A delay is the earliest moment, not an appointment: with no consumer free, it is later.")

        step(3, f"A queue can delay all its messages. This one does, by {SECONDS} s; two are sent, one asks for 0 s.")
        slow = sqs.create_queue(QueueName="slow-mails", Attributes={"DelaySeconds": str(SECONDS)})["QueueUrl"]
        sqs.send_message(QueueUrl=slow, MessageBody="as the queue says")
        sqs.send_message(QueueUrl=slow, MessageBody="at once", DelaySeconds=0)
        told = stage.told(slow)
        saw(f"The queue: {told}.")
        assert receive(sqs, slow) == ["at once"]
        why("What a message says for itself goes before what the queue says (on a FIFO queue only the queue may say).")

        step(4, "A reminder for next week. The SQS API delays by 15 minutes at most; an encola task by 14 days.")
        reminders = sqs.create_queue(QueueName="reminders")["QueueUrl"]
        try:
            sqs.send_message(QueueUrl=reminders, MessageBody="next week", DelaySeconds=7 * DAY)
            refusal = ""
        except ClientError as error:
            refusal = error.response["Error"]["Code"]
        remind.options(delay=7 * DAY).send("Ada")
        saw(f"SendMessage was refused: {refusal}. The task was sent; its queue: {stage.told(reminders)}.")
        assert refusal == "InvalidParameterValue"
        assert stage.counts(reminders)["delayed"] == 1
        why("A process that sleeps for a week is restarted before it wakes up. The queue's disk keeps the reminder.")
    app.close()


if __name__ == "__main__":
    main()
