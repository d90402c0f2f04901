"""Load on a server that will be killed, and what must be true of it afterwards.

Each story notes what it asks before it asks, and what was answered when it was answered. After a crash, what was
acknowledged must hold; what was asked but not answered may have happened or not, but wholly or not at all.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from .server_wire import RefusedError, Wire

Entry = dict[str, Any]


class Work:
    """A standard queue: no acknowledged message is lost, no acknowledged delete comes undone."""

    QUEUE = "work"
    LEASE = 5

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.asked: set[str] = set()
        self.sent: set[str] = set()
        self.delete_asked: set[str] = set()
        self.deleted: set[str] = set()

    async def set_up(self, wire: Wire) -> None:
        await wire.call("CreateQueue", QueueName=self.QUEUE)

    def _new(self) -> str:
        body = f"m{len(self.asked)}-{'x' * self._chance.randrange(200)}"
        self.asked.add(body)
        return body

    async def produce(self, wire: Wire) -> None:
        while True:
            if self._chance.random() < 0.7:
                body = self._new()
                await wire.call("SendMessage", QueueUrl=self.QUEUE, MessageBody=body)
                self.sent.add(body)
            else:
                entries = [{"Id": str(n), "MessageBody": self._new()} for n in range(self._chance.randint(1, 10))]
                answer = await wire.call("SendMessageBatch", QueueUrl=self.QUEUE, Entries=entries)
                assert len(answer["Successful"]) == len(entries)
                self.sent.update(entry["MessageBody"] for entry in entries)

    async def consume(self, wire: Wire) -> None:
        while True:
            begun = time.monotonic()
            answer = await wire.call(
                "ReceiveMessage",
                QueueUrl=self.QUEUE,
                MaxNumberOfMessages=10,
                VisibilityTimeout=self.LEASE,
                WaitTimeSeconds=1,
            )
            messages = answer.get("Messages", [])
            self.received(message["Body"] for message in messages)
            if self._chance.random() < 0.5:
                entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
                self.delete_asked.update(message["Body"] for message in messages)
                if entries:
                    await wire.call("DeleteMessageBatch", QueueUrl=self.QUEUE, Entries=entries)
                self.settled([message["Body"] for message in messages], begun)
            else:
                for message in messages:
                    self.delete_asked.add(message["Body"])
                    await wire.call("DeleteMessage", QueueUrl=self.QUEUE, ReceiptHandle=message["ReceiptHandle"])
                    self.settled([message["Body"]], begun)

    def boto(self, sqs: Any) -> None:
        """The same through boto3, in a thread."""
        while True:
            body = self._new()
            sqs.send_message(QueueUrl=self.QUEUE, MessageBody=body)
            self.sent.add(body)
            begun = time.monotonic()
            messages = sqs.receive_message(QueueUrl=self.QUEUE, VisibilityTimeout=self.LEASE).get("Messages", [])
            self.received(message["Body"] for message in messages)
            for message in messages:
                self.delete_asked.add(message["Body"])
                sqs.delete_message(QueueUrl=self.QUEUE, ReceiptHandle=message["ReceiptHandle"])
                self.settled([message["Body"]], begun)

    def received(self, bodies: Any) -> None:
        for body in bodies:
            assert body in self.asked
            assert body not in self.deleted, f"{body} was deleted, and came back"

    def settled(self, bodies: Sequence[str], begun: float) -> None:
        # Only the delete of a running lease is final; the receipt of an old one may have deleted nothing.
        if time.monotonic() - begun < self.LEASE:
            self.deleted.update(bodies)

    async def check(self, wire: Wire) -> None:
        there = Counter(message["Body"] for message in await wire.peek(self.QUEUE))
        assert not self.sent - self.delete_asked - there.keys(), "acknowledged messages are lost"
        assert not self.deleted & there.keys(), "acknowledged deletes came undone"
        assert there.keys() <= self.asked
        assert not there or max(there.values()) == 1, "a message is there twice"


class Orders:
    """A FIFO queue: each group in its order, locked while it is worked on; each message once; numbers ever rising."""

    QUEUE = "orders.fifo"
    GROUPS = 8
    LEASE = 1

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.next = [0] * self.GROUPS  # the number that is to be sent
        self.sent: dict[str, tuple[str, str]] = {}  # body -> message id, sequence number
        self.delete_asked: dict[int, int] = defaultdict(lambda: -1)  # group -> highest number
        self.deleted: dict[int, int] = defaultdict(lambda: -1)
        self._held: dict[int, tuple[set[int], float]] = {}  # group -> numbers that a consumer holds, and until when
        self._highest = ""
        self._unsure: set[int] = set()  # groups whose next message may be there already

    async def set_up(self, wire: Wire) -> None:
        await wire.call("CreateQueue", QueueName=self.QUEUE, Attributes={"FifoQueue": "true"})

    async def _send(self, wire: Wire, body: str) -> tuple[str, str]:
        answer = await wire.call(
            "SendMessage",
            QueueUrl=self.QUEUE,
            MessageBody=body,
            MessageGroupId=body.partition(":")[0],
            MessageDeduplicationId=body,
        )
        return answer["MessageId"], answer["SequenceNumber"]

    async def produce(self, wire: Wire, groups: Sequence[int]) -> None:
        """Sends to its own groups; after a crash first again what was not answered, which must not double it."""
        while True:
            group = self._chance.choice(groups)
            number = self.next[group]
            body = f"{group}:{number}"
            repeated = group in self._unsure
            self._unsure.add(group)
            before = self._highest
            self.sent[body] = stored = await self._send(wire, body)
            self._unsure.discard(group)
            self.next[group] = number + 1
            if not repeated:
                assert stored[1] > before, "a sequence number is not above all that were acknowledged before it"
            self._highest = max(self._highest, stored[1])

    async def consume(self, wire: Wire) -> None:
        while True:
            begun = time.monotonic()
            answer = await wire.call(
                "ReceiveMessage",
                QueueUrl=self.QUEUE,
                MaxNumberOfMessages=self._chance.randint(1, 10),
                VisibilityTimeout=self.LEASE,
                WaitTimeSeconds=1,
            )
            messages = answer.get("Messages", [])
            self._received([message["Body"] for message in messages], begun)
            for message in messages:
                group, number = map(int, message["Body"].split(":"))
                self.delete_asked[group] = max(number, self.delete_asked[group])
                self._held[group][0].discard(number)  # the server may be quicker with it than with the answer
                try:
                    await wire.call("DeleteMessage", QueueUrl=self.QUEUE, ReceiptHandle=message["ReceiptHandle"])
                except RefusedError as refused:
                    if refused.code != "InvalidParameterValue":
                        raise
                    break  # its lease has ended: no delete, and said so
                self.deleted[group] = max(number, self.deleted[group])

    def _received(self, bodies: list[str], begun: float) -> None:
        by_group: dict[int, list[int]] = defaultdict(list)
        for body in bodies:
            group, number = map(int, body.split(":"))
            by_group[group].append(number)
        for group, numbers in by_group.items():
            assert self.deleted[group] < numbers[0] <= self.delete_asked[group] + 1, "out of order"
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "out of order"
            held, until = self._held.get(group, (set(), 0.0))
            assert not held or time.monotonic() >= until, "a group that somebody works on was given to another"
            self._held[group] = (set(numbers), begun + self.LEASE)

    async def check(self, wire: Wire) -> None:
        there: dict[int, list[int]] = defaultdict(list)
        for message in await wire.peek(self.QUEUE):
            group, number = map(int, message["Body"].split(":"))
            there[group].append(number)
        for group in range(self.GROUPS):
            numbers = there[group]
            last_sent = self.next[group] - 1
            if numbers:
                assert numbers == list(range(numbers[0], numbers[-1] + 1)), "a hole, a double or another order"
                assert self.deleted[group] < numbers[0] <= self.delete_asked[group] + 1
                assert last_sent <= numbers[-1] <= last_sent + (group in self._unsure)
            else:
                assert self.delete_asked[group] >= last_sent, "acknowledged messages are lost"
        await self._check_doubles(wire, sum(map(len, there.values())))

    async def _check_doubles(self, wire: Wire, count: int) -> None:
        """What was acknowledged, deleted meanwhile or not, is known by its deduplication id."""
        for body in self._chance.sample(sorted(self.sent), min(5, len(self.sent))):
            assert await self._send(wire, body) == self.sent[body], "a duplicate was accepted"
        assert len(await wire.peek(self.QUEUE)) == count


class Poison:
    """A queue whose messages end on a dead-letter queue, from where a task moves them on: each is in one place."""

    QUEUES = ("poison", "dead", "back")
    ARN = "arn:aws:sqs:us-east-1:000000000000:"

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.asked: set[str] = set()
        self.sent: set[str] = set()
        self.moved = 0

    async def set_up(self, wire: Wire) -> None:
        for queue in ("dead", "back"):
            await wire.call("CreateQueue", QueueName=queue)
        rule = f'{{"deadLetterTargetArn": "{self.ARN}dead", "maxReceiveCount": 1}}'
        await wire.call("CreateQueue", QueueName="poison", Attributes={"RedrivePolicy": rule})
        for _ in range(30):
            await self._send(wire, "dead")
        task = {"SourceArn": f"{self.ARN}dead", "DestinationArn": f"{self.ARN}back"}
        await wire.call("StartMessageMoveTask", **task, MaxNumberOfMessagesPerSecond=20)

    async def _send(self, wire: Wire, queue: str) -> None:
        entries = [{"Id": str(n), "MessageBody": f"p{len(self.asked) + n}"} for n in range(10)]
        bodies = {str(entry["MessageBody"]) for entry in entries}
        self.asked |= bodies
        await wire.call("SendMessageBatch", QueueUrl=queue, Entries=entries)
        self.sent |= bodies

    async def suffer(self, wire: Wire) -> None:
        """Sends, and receives what comes back at once, until it is moved away."""
        await self._send(wire, "poison")
        while True:
            asked = {"QueueUrl": "poison", "MaxNumberOfMessages": 10, "VisibilityTimeout": 0}
            await wire.call("ReceiveMessage", **asked, WaitTimeSeconds=1)

    async def check(self, wire: Wire) -> None:
        (task,) = (await wire.call("ListMessageMoveTasks", SourceArn=f"{self.ARN}dead"))["Results"]
        assert task["Status"] in ("RUNNING", "COMPLETED")
        assert task["ApproximateNumberOfMessagesMoved"] >= self.moved
        self.moved = task["ApproximateNumberOfMessagesMoved"]

    async def check_at_rest(self, wire: Wire) -> None:
        """When nothing moves any more."""
        there = {queue: Counter(one["Body"] for one in await wire.peek(queue)) for queue in self.QUEUES}
        everywhere: Counter[str] = sum(there.values(), Counter())
        assert not self.sent - everywhere.keys(), "acknowledged messages are lost"
        assert everywhere.keys() <= self.asked
        assert max(everywhere.values()) == 1, "a message is in two places"
        assert there["back"].total() >= self.moved
