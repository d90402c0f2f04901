"""What nobody can handle is set aside, and brought back after the mend. ``python -m examples.tour.dead_letters``"""

import json
from collections.abc import Callable
from typing import Any

from examples.tour.stage import Stage, saw, step, title, wait_for, why

RECEIVES_MAX = 3
INVOICES = ("10.00", "12,50", "7.25")  # one has a comma


def today(text: str) -> int:
    """Cents."""
    return round(float(text) * 100)


def after_the_mend(text: str) -> int:
    return today(text.replace(",", "."))


def work(sqs: Any, queue: str, read: Callable[[str], int], rounds: int) -> tuple[list[int], int]:
    """A consumer that looks ``rounds`` times: what it could book, and how many attempts failed."""
    booked, failed = [], 0
    for _ in range(rounds):
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            receipt = message["ReceiptHandle"]
            try:
                booked.append(read(message["Body"]))
            except ValueError:
                failed += 1  # not deleted; visible again at once, so that we need not wait
                sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=0)
            else:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=receipt)
    return booked, failed


def main() -> None:
    title("Dead-letter queue and redrive", "A message that always fails must neither be lost nor be tried for ever.")
    with Stage() as stage:
        sqs = stage.sqs
        queue = sqs.create_queue(QueueName="invoices")["QueueUrl"]
        dead = sqs.create_queue(QueueName="invoices-dead")["QueueUrl"]

        step(
            1,
            f"Invoices of {' and '.join(INVOICES)} are sent. The consumer knows no commas, and there is no rule yet.",
        )
        for text in INVOICES:
            sqs.send_message(QueueUrl=queue, MessageBody=text)
        booked, failed = work(sqs, queue, today, rounds=20)
        saw(f"{len(booked)} booked. One failed {failed} times in 20 rounds. The queue: {stage.told(queue)}.")
        assert (len(booked), failed) == (2, 20)
        why("A poison message comes again and again, and each time costs work. On a FIFO queue it would block others.")

        step(
            2, f"The queue gets a rule: after {RECEIVES_MAX} receives without a delete, to 'invoices-dead'. Once more."
        )
        rule = {"deadLetterTargetArn": stage.arn(dead), "maxReceiveCount": RECEIVES_MAX}
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(rule)})
        sqs.send_message(QueueUrl=queue, MessageBody="8,40")
        booked, failed = work(sqs, queue, today, rounds=20)
        saw(f"'8,40' failed {failed} times. The old one had its receives and was moved without another attempt.")
        saw(f"The queue: {stage.told(queue)}. The dead-letter queue: {stage.told(dead)}.")
        assert (booked, failed) == ([], RECEIVES_MAX)
        assert (stage.counts(queue)["ready"], stage.counts(dead)["ready"]) == (0, 2)
        why("The queue counts the receives, so no consumer has to. The move is one step: on one queue or the other.")

        step(3, "Somebody looks at a dead letter.")
        answer = sqs.receive_message(QueueUrl=dead, VisibilityTimeout=0, MessageSystemAttributeNames=["All"])
        (letter,) = answer["Messages"]
        source = letter["Attributes"]["DeadLetterQueueSourceArn"].rpartition(":")[2]
        saw(f"It says {letter['Body']!r}, and that it came from the queue {source!r}.")
        assert source == "invoices"

        step(4, "The consumer is mended. A redrive (StartMessageMoveTask) sends the dead letters back.")
        sqs.start_message_move_task(SourceArn=stage.arn(dead))
        wait_for(lambda: stage.counts(queue)["ready"] == 2, "the redrive")
        booked, failed = work(sqs, queue, after_the_mend, rounds=5)
        saw(f"{len(booked)} booked, {failed} failed: {' and '.join(map(str, sorted(booked)))} cents.")
        saw(f"The queue: {stage.told(queue)}. The dead-letter queue: {stage.told(dead)}.")
        assert (sorted(booked), failed) == ([840, 1250], 0)
        assert (stage.counts(queue)["ready"], stage.counts(dead)["ready"]) == (0, 0)
        why("Set aside is not lost. Watch the count of the dead-letter queue: more than 0 is work for a human.")


if __name__ == "__main__":
    main()
