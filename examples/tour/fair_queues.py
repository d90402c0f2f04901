"""One customer sends hundreds, another ten: who waits? ``python -m examples.tour.fair_queues``"""

import time
from typing import Any

from examples.tour.stage import Stage, saw, step, title, why

BACKLOG = 400
QUIET = 10
IN_WORK = 50
WORK_SECONDS = 0.3


def send(sqs: Any, queue: str, tenant: str, count: int, *, grouped: bool) -> None:
    """In batches of ten. With ``grouped`` each message says whose it is (MessageGroupId)."""
    group = {"MessageGroupId": tenant} if grouped else {}
    for first in range(0, count, 10):
        numbers = range(first, min(first + 10, count))
        entries = [{"Id": str(number), "MessageBody": tenant, **group} for number in numbers]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)


def begin(sqs: Any, queue: str, in_work: list[Any]) -> list[str]:
    """Ten more messages are taken into work; answers whose they are."""
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    in_work += messages
    return [message["Body"] for message in messages]


def finish(sqs: Any, queue: str, in_work: list[Any]) -> None:
    """The ten that have been in work for longest are done."""
    entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(in_work[:10])]
    sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
    del in_work[:10]


def play(sqs: Any, queue: str, *, grouped: bool) -> int:
    """How many messages of the loud customer were begun before the last one of the quiet customer, once it was sent."""
    in_work: list[Any] = []
    send(sqs, queue, "loud", BACKLOG, grouped=grouped)
    while len(in_work) < IN_WORK:
        begin(sqs, queue, in_work)
    time.sleep(WORK_SECONDS)
    send(sqs, queue, "quiet", QUIET, grouped=grouped)
    begun: list[str] = []
    while begun.count("quiet") < QUIET:
        finish(sqs, queue, in_work)
        begun += begin(sqs, queue, in_work)
        time.sleep(WORK_SECONDS * 10 / IN_WORK)
    return begun.count("loud")


def main() -> None:
    title("Fair queues", "Many customers share a queue. One of them must not be able to make all others wait.")
    with Stage() as stage:
        plain = stage.sqs.create_queue(QueueName="plain")["QueueUrl"]
        fair = stage.sqs.create_queue(QueueName="fair")["QueueUrl"]

        step(1, f"'loud' sends {BACKLOG} messages. Consumers work on {IN_WORK} of them. Then 'quiet' sends {QUIET}.")
        waited = play(stage.sqs, plain, grouped=False)
        saw(f"{waited} messages of 'loud' were begun before the last one of 'quiet'.")
        why("First come, first served: who comes late stands behind the whole backlog, and it is not theirs.")

        step(2, "The same, but each message names its customer as its message group. The queue is a standard one.")
        waited_less = play(stage.sqs, fair, grouped=True)
        saw(f"{waited_less} messages of 'loud' were begun before the last one of 'quiet'.")
        assert waited_less < waited
        why(
            f"'loud' holds all {IN_WORK} in work: more than a tenth, and at least 30. So it is noisy. Messages "
            "of others go first as long as that is so. Nothing is refused, and 'loud' has all consumers when nobody "
            "else wants them."
        )
        left = stage.counts(fair)["ready"]
        saw(f"{left} messages of 'loud' are still on the queue: they wait, and none is lost.")
        assert left + waited_less + IN_WORK >= BACKLOG


if __name__ == "__main__":
    main()
