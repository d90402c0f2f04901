"""One job's message, taken back from a dead-letter queue to the queue that its tasks are on.

SQS can only move all messages of a dead-letter queue. For a single one, it is received, sent again and then deleted, in
this order: if the command is stopped in between there are two messages of one job, which runs once, and never none.
Messages that are in front of it are received, too, and given back.
"""

import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from encola.cli import client as sqs
from encola.cli.peek import peeked
from encola.consumers import letters

if TYPE_CHECKING:
    from encola.engine.records import Job

HELD_SECONDS = 60
"""For so long messages of the dead-letter queue are hidden from others while one of them is looked for."""

BATCH = 10
LOOKED_AT_MAX = 100_000

Message = dict[str, Any]


class NotThereError(Exception):
    """The message is not to be had; the text says why."""


class DeadLetters:
    """The dead-letter queue of the queue on which a job was received last. Raises botocore's errors throughout."""

    def __init__(self, client: Any, queue: str, *, is_encola: bool) -> None:
        """Raises NotThereError if the queue has none."""
        self._client = client
        self._is_encola = is_encola
        self._home = sqs.queue_url(client, queue)
        self.name = _dead_letter_queue(client, self._home, queue)
        self._url = sqs.queue_url(client, self.name)

    def move_back(self, job: "Job") -> str:
        """Answers the id of the new message. Raises NotThereError."""
        if self._is_encola and not any(is_of(one, job) for one in peeked(self._client, self._url, LOOKED_AT_MAX)):
            raise NotThereError(f"no message of {job.key} is on {self.name}")
        message = self._take(job)
        sent = self._client.send_message(QueueUrl=self._home, **again(message, job, fifo=self._home.endswith(".fifo")))
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return str(sent["MessageId"])

    def _take(self, job: "Job") -> Message:
        """Receives the job's message; others that were received on the way are given back."""
        others: list[Message] = []
        try:
            for message in self._received():
                if is_of(message, job):
                    return message
                others.append(message)
        finally:
            for start in range(0, len(others), BATCH):
                self._give_back(others[start : start + BATCH])
        raise NotThereError(f"no message of {job.key} could be received from {self.name}: does somebody else hold it?")

    def _received(self) -> Iterator[Message]:
        held: list[Message] = []
        taken = 0
        try:
            while taken < LOOKED_AT_MAX:
                answer = self._client.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=BATCH,
                    VisibilityTimeout=HELD_SECONDS,
                    WaitTimeSeconds=0 if self._is_encola else 1,  # a short poll of SQS asks a part of its servers
                    MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=["MessageGroupId"],
                )
                held = list(answer.get("Messages", ()))
                taken += len(held)
                if not held:
                    return
                while held:
                    yield held.pop(0)
        finally:
            self._give_back(held)

    def _give_back(self, messages: Sequence[Message]) -> None:
        """They can be received again at once; on an encola server they are as if they had never been received."""
        if not messages:
            return
        entries = [
            {"Id": str(index), "ReceiptHandle": one["ReceiptHandle"], "VisibilityTimeout": 0}
            for index, one in enumerate(messages)
        ]
        if self._is_encola:
            sqs.call(self._client, "ReleaseMessageBatch", {"QueueUrl": self._url, "Entries": entries})
        else:
            self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


def _dead_letter_queue(client: Any, url: str, queue: str) -> str:
    answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    policy = answer.get("Attributes", {}).get("RedrivePolicy")
    if not policy:
        raise NotThereError(f"the queue {queue} has no dead-letter queue")
    arn: str = msgspec.json.decode(policy)["deadLetterTargetArn"]
    return arn.rpartition(":")[2]


def is_of(message: Message, job: "Job") -> bool:
    """Is it this job's?"""
    return letters.is_of(message["Body"], message["MessageId"], job.key)


def again(message: Message, job: "Job", *, fifo: bool) -> dict[str, Any]:
    """The arguments of SendMessage that make it once more: as it was, under the same job."""
    asked: dict[str, Any] = {"MessageBody": letters.body_again(message["Body"], job.key)}
    attributes = letters.kept(message.get("MessageAttributes", {}))
    if attributes:
        asked["MessageAttributes"] = attributes
    group = message.get("Attributes", {}).get("MessageGroupId")
    if group is not None:
        asked["MessageGroupId"] = group
    if fifo:
        asked["MessageDeduplicationId"] = uuid.uuid4().hex
    return asked
