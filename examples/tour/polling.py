"""Asking all the time, or asking once and being told. ``python -m examples.tour.polling``"""

import threading
import time
from typing import Any

from examples.tour.stage import Stage, saw, step, title, why

QUIET_SECONDS = 1
PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 20


def poll_short(sqs: Any, queue: str, seconds: float) -> tuple[int, float]:
    """Asks at intervals, until a message comes or the time is over: the number of requests, and when it came."""
    began = time.monotonic()
    requests = 0
    while time.monotonic() < began + seconds:
        requests += 1
        if sqs.receive_message(QueueUrl=queue).get("Messages"):
            break
        time.sleep(PAUSE_SECONDS)
    return requests, time.monotonic()


def poll_long(sqs: Any, queue: str, seconds: int) -> tuple[int, float]:
    """Asks once; the answer comes when there is something to tell, or the time is over."""
    sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=seconds)
    return 1, time.monotonic()


def send_later(sqs: Any, queue: str, sent: list[float]) -> None:
    sent.append(time.monotonic())
    sqs.send_message(QueueUrl=queue, MessageBody="here I am")


def main() -> None:
    title("Long against short polling", "A consumer can ask again and again, or ask once and be answered later.")
    with Stage() as stage:
        sqs = stage.sqs
        queue = sqs.create_queue(QueueName="news", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]

        step(1, f"Nothing comes for {QUIET_SECONDS} s. One consumer asks every {PAUSE_SECONDS * 1000:.0f} ms.")
        short, _ = poll_short(sqs, queue, QUIET_SECONDS)
        saw(f"{short} requests, all of them in vain.")

        step(2, f"Another asks once, and lets the queue wait for up to {QUIET_SECONDS} s (WaitTimeSeconds).")
        began = time.monotonic()
        long, ended = poll_long(sqs, queue, QUIET_SECONDS)
        saw(f"{long} request, answered empty after {ended - began:.2f} s.")
        assert long < short
        assert ended - began >= QUIET_SECONDS - 0.1
        why("Each request costs work on both sides, and on AWS money. A long poll is one request for up to 20 s.")

        step(3, "Now a message is sent while each of them waits.")
        for name, poll in (("short", poll_short), ("long", poll_long)):
            sent: list[float] = []
            # Not a multiple of the pause: the short poll has just asked, and sleeps.
            threading.Timer(PAUSE_SECONDS * 2.3, send_later, (sqs, queue, sent)).start()
            began = time.monotonic()
            requests, came = poll(sqs, queue, PATIENCE_SECONDS)
            late = came - sent[0]
            saw(f"Requests of the {name} poll: {requests}. It had the message {late * 1000:.0f} ms after the send.")
            assert began < sent[0] < came < began + PATIENCE_SECONDS
            assert (requests == 1) == (name == "long")
        why(
            "A short poll finds a message at its next look: half a pause late on average. Asking more often costs more "
            "requests. A long poll is parked in the server, and the send wakes it: few requests and no delay."
        )

        step(4, "The queue can make every receive a long poll (ReceiveMessageWaitTimeSeconds).")
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"ReceiveMessageWaitTimeSeconds": "1"})
        began = time.monotonic()
        sqs.receive_message(QueueUrl=queue)
        waited = time.monotonic() - began
        saw(f"A receive that says nothing of waiting was answered after {waited:.2f} s.")
        assert waited >= 0.9


if __name__ == "__main__":
    main()
