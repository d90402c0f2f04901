"""Queues, messages and functions to tell stories with."""

from typing import Any

from encola.engine.message import Delivery, Envelope, MessageId, QueueId
from encola.engine.queue import SECOND, Address, Queue, Settings
from encola.mappings.event import Words
from encola.mappings.functions import DeclaredFunction
from encola.protocols.sqs.checksums import md5_of_attributes
from encola.protocols.sqs.receipts import handle_of

ACCOUNT = "111122223333"
REGION = "eu-west-1"
SOURCE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:work"
WORDS = Words(handle_of, md5_of_attributes)


def queue(*, ordered: bool = False, visibility: int = 30) -> Queue:
    name = "work.fifo" if ordered else "work"
    settings = Settings(lease=visibility * SECOND)
    return Queue(
        id=QueueId(7), address=Address(ACCOUNT, name), ordered=ordered, settings=settings, created_at=1, modified_at=1
    )


def delivery(body: bytes = b"hello", number: int = 1, **envelope: Any) -> Delivery:
    return Delivery(
        id=MessageId(number),
        lease=1,
        lease_until=31_000,
        receives=2,
        sent_at=500,
        first_received_at=900,
        envelope=Envelope(f"message-{number}", sender=ACCOUNT, **envelope),
        body=body,
    )


def function(**more: Any) -> DeclaredFunction:
    return DeclaredFunction(**{"name": "f", "target": "http://127.0.0.1:1/", "account": ACCOUNT, **more})
