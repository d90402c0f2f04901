"""A Celery application for test_celery.py: its tasks leave lines in a file, so that a test sees their effects."""

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task

EFFECTS = Path(os.environ["EFFECTS"])

app = Celery("tests", broker=os.environ["BROKER"])
app.conf.update(
    task_default_queue=os.environ["QUEUE"],
    broker_transport_options={
        "is_secure": False,
        "region": "us-east-1",
        "wait_time_seconds": 2,
        "polling_interval": 0.1,
        "visibility_timeout": 4,
    },
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=1,
)


def leave(line: str) -> None:
    with EFFECTS.open("a") as effects:
        effects.write(f"{line}\n")  # one short write in append mode: lines of several processes do not mix


@app.task
def note(word: str) -> None:
    leave(f"note {word}")


@app.task(bind=True, max_retries=3)
def stumble(self: "Task[Any, Any]", times: int) -> None:
    """Fails so many times before it succeeds."""
    tried = self.request.retries
    leave(f"stumble {tried}")
    if tried < times:
        raise self.retry(countdown=0.2)


@app.task
def linger(word: str, seconds: float) -> None:
    """Takes its time; whoever kills the worker meanwhile keeps it from its end."""
    leave(f"begin {word}")
    time.sleep(seconds)
    leave(f"end {word}")


@app.task
def double(number: int) -> int:
    leave(f"double {number}")
    return 2 * number
