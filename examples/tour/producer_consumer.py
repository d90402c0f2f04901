"""Producers and consumers that do not know each other. ``python -m examples.tour.producer_consumer``"""

import threading
import time
from typing import Any

from examples.tour.stage import Stage, saw, step, title, why

ORDERS = 60
WORK_SECONDS = 0.03
TEAM = 4


def produce(sqs: Any, queue: str) -> None:
    """The shop. It knows the queue, and not who works on it."""
    for number in range(ORDERS):
        sqs.send_message(QueueUrl=queue, MessageBody=f"order {number}")


def consume(sqs: Any, queue: str, done: list[str], most: int = ORDERS) -> None:
    """Takes a message, works, deletes it; until nothing is left, or it has done ``most``."""
    for _ in range(most):
        messages = sqs.receive_message(QueueUrl=queue).get("Messages", [])
        if not messages:
            return
        time.sleep(WORK_SECONDS)  # packing
        done.append(messages[0]["Body"])
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=messages[0]["ReceiptHandle"])


def main() -> None:
    title("Producer and consumer", "Two sides that share nothing but a queue: neither waits for the other.")
    with Stage() as stage:
        queue = stage.sqs.create_queue(QueueName="orders")["QueueUrl"]

        step(1, f"A shop takes {ORDERS} orders in a burst. Packing one takes {WORK_SECONDS * 1000:.0f} ms.")
        began = time.monotonic()
        produce(stage.sqs, queue)
        burst = time.monotonic() - began
        saw(f"The shop was done after {burst:.2f} s. {stage.counts(queue)['ready']} messages wait on the queue.")
        assert stage.counts(queue)["ready"] == ORDERS
        why("The queue takes in as fast as the shop is, whatever the packers do. It is the buffer between two speeds.")

        alone = ORDERS // 3
        step(2, f"One packer comes and packs {alone} orders. Each is received, packed, and then deleted.")
        first: list[str] = []
        began = time.monotonic()
        consume(stage.sqs, queue, first, alone)
        one = (time.monotonic() - began) / alone
        saw(f"{len(first)} orders packed, {one * 1000:.0f} ms each. {stage.counts(queue)['ready']} still wait.")
        assert stage.counts(queue) == {"ready": ORDERS - alone, "in flight": 0, "delayed": 0}

        step(3, f"{TEAM} packers take the rest, with the same code and on the same queue. Nobody told the shop.")
        shares: list[list[str]] = [[] for _ in range(TEAM)]
        team = [threading.Thread(target=consume, args=(stage.sqs, queue, share)) for share in shares]
        began = time.monotonic()
        for packer in team:
            packer.start()
        for packer in team:
            packer.join()
        rest = sum(map(len, shares))
        each = (time.monotonic() - began) / rest
        saw(f"{rest} orders packed, one every {each * 1000:.0f} ms. Shares: {', '.join(str(len(s)) for s in shares)}.")
        packed = first + [order for share in shares for order in share]
        assert sorted(packed) == sorted(f"order {number}" for number in range(ORDERS))
        assert each < one
        assert min(map(len, shares)) > 0
        saw(f"Of {ORDERS} orders, {len(set(packed))} were packed, and {len(packed) - len(set(packed))} twice.")
        why(
            "Consumers compete: a message that one has received is hidden from the others. So more consumers are more "
            "speed, and no one has to divide the work. Whoever is quicker takes more."
        )


if __name__ == "__main__":
    main()
