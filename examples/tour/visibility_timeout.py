"""What keeps two consumers from one message, and what a dead one leaves behind.

``python -m examples.tour.visibility_timeout``
"""

import time
from typing import Any

from examples.tour.stage import Stage, saw, step, title, why

TIMEOUT = 2
LONGER = 60


def receive(sqs: Any, queue: str, wait: int = 0) -> list[Any]:
    """What one consumer gets; with ``wait`` it is patient for so many seconds."""
    answer = sqs.receive_message(
        QueueUrl=queue, WaitTimeSeconds=wait, MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )
    messages: list[Any] = answer.get("Messages", [])
    return messages


def main() -> None:
    title("Visibility timeout", "A received message is hidden, not gone. It comes back unless it is deleted in time.")
    with Stage() as stage:
        sqs = stage.sqs
        queue = sqs.create_queue(QueueName="invoices", Attributes={"VisibilityTimeout": str(TIMEOUT)})["QueueUrl"]
        sqs.send_message(QueueUrl=queue, MessageBody="invoice 1")

        step(1, f"Ada receives the invoice. The queue hides it from others for {TIMEOUT} seconds.")
        began = time.monotonic()
        (adas,) = receive(sqs, queue)
        saw(f"Bob, who asks at once, gets {len(receive(sqs, queue))} messages. The queue: {stage.told(queue)}.")
        assert stage.counts(queue) == {"ready": 0, "in flight": 1, "delayed": 0}
        why("Ada has a lease on the message. It is still on the queue's disk, in flight.")

        step(2, "Nothing more is heard of Ada: her machine is dead, it seems. Bob waits for a message.")
        (bobs,) = receive(sqs, queue, wait=20)
        after = time.monotonic() - began
        count = bobs["Attributes"]["ApproximateReceiveCount"]
        saw(f"Bob got it {after:.2f} s after Ada had. It is the same message, and this is receive number {count}.")
        assert (bobs["MessageId"], count) == (adas["MessageId"], "2")
        assert after >= TIMEOUT - 0.1
        why("Nobody has to notice a death. A lease that is not renewed ends by itself, and the message is ready again.")

        step(3, "Ada was not dead, only slow. She finishes, and deletes the message with her old receipt.")
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=adas["ReceiptHandle"])
        saw(f"The message is still there. The queue: {stage.told(queue)}.")
        assert stage.counts(queue)["in flight"] == 1
        why(
            "Only the newest receipt counts, and Bob has it. But both have done the work by now: that is why consumers "
            "must be able to do it twice without harm (the tour has a page on it: idempotency)."
        )

        step(4, f"Bob sees that he needs longer. Before his time is over he asks for {LONGER} seconds from now.")
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=bobs["ReceiptHandle"], VisibilityTimeout=LONGER)
        others = receive(sqs, queue, wait=TIMEOUT + 1)
        saw(f"Cleo waits for {TIMEOUT + 1} s, longer than the timeout, and gets {len(others)} messages.")
        assert others == []
        why("A short timeout with a heartbeat: a dead consumer is replaced soon, a slow one keeps its message.")

        step(5, "Bob gives up, and says so: he sets the timeout of his message to 0. Cleo asks, and deletes.")
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=bobs["ReceiptHandle"], VisibilityTimeout=0)
        (cleos,) = receive(sqs, queue)
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=cleos["ReceiptHandle"])
        count = cleos["Attributes"]["ApproximateReceiveCount"]
        saw(f"Cleo got it at once, as receive number {count}. The queue: {stage.told(queue)}.")
        assert count == "3"
        assert stage.counts(queue) == {"ready": 0, "in flight": 0, "delayed": 0}


if __name__ == "__main__":
    main()
