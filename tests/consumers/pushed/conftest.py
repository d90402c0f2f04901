"""Queues as an operator makes them, and what pushes their messages to an application."""

import json
from collections.abc import Callable

import pytest

import encola

from ..bench import Queues
from .pushing import Pusher


@pytest.fixture
def make_queue(queues: Queues) -> Callable[[str], str]:
    """Makes a queue with a dead-letter queue, as an operator does before there are workers."""

    def make(name: str) -> str:
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        dead = name.replace(".fifo", "") + "-dead" + (".fifo" if fifo else "")
        queues.sqs.create_queue(QueueName=dead, Attributes=fifo)
        arn = f"arn:aws:sqs:us-east-1:000000000000:{dead}"
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 100})
        queues.sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy, **fifo})
        return name

    return make


@pytest.fixture
def pusher(app: encola.App, queues: Queues, queue: str, make_queue: Callable[[str], str]) -> Pusher:
    """Of the test's queue to the test's application."""
    make_queue(queue)
    return Pusher(queues, queue, app.lambda_handler())
