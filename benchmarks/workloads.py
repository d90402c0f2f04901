"""What one connection does, as a script: a generator that yields requests and is sent the bodies of the answers.

Each script checks every answer (digest, body, counts) and raises WrongAnswerError for a wrong one. It counts a message
in ``desk.messages`` when the script's piece of work on it is done. Requests that never change are signed once and sent
again, as they may be for fifteen minutes; those that carry a receipt are signed live.
"""

import hashlib
import itertools
import secrets
from collections.abc import Callable, Generator

import msgspec

from benchmarks.job import BATCH, BODY_BYTES
from benchmarks.signing import Signer
from benchmarks.wire import WrongAnswerError

Script = Generator[bytes, bytes, None]

BODY = ("The quick brown fox jumps over the lazy dog. " * (BODY_BYTES // 45 + 1))[:BODY_BYTES]
DIGEST = hashlib.md5(BODY.encode(), usedforsecurity=False).hexdigest()
DIGEST_BYTES = DIGEST.encode()
LEASE_SECONDS = 600
GROUPS = 1000
EMPTY_MAX = 100_000


class Delivery(msgspec.Struct):
    ReceiptHandle: str
    MD5OfBody: str
    Body: str


class Received(msgspec.Struct):
    Messages: list[Delivery] | None = None


class Settled(msgspec.Struct):
    Successful: list[msgspec.Raw] | None = None
    Failed: list[msgspec.Raw] | None = None


_received = msgspec.json.Decoder(Received).decode
_settled = msgspec.json.Decoder(Settled).decode
_encode = msgspec.json.Encoder().encode
_numbers = itertools.count(1)


class Desk:
    """What the connections of a run share: the signer, the queue, the counts."""

    def __init__(self, signer: Signer, queue_url: str, limit: int | None = None) -> None:
        self.signer = signer
        self.queue_url = queue_url
        self.limit = limit
        self.promised = 0  # messages of a limited run that somebody is sending
        self.sent = 0
        self.deleted = 0
        self.messages = 0
        self.empty = 0

    def request(self, action: str, **fields: object) -> bytes:
        return self.signer.request(action, _encode({"QueueUrl": self.queue_url, **fields}))

    def receive(self, limit: int) -> bytes:
        return self.request("ReceiveMessage", MaxNumberOfMessages=limit, VisibilityTimeout=LEASE_SECONDS)

    def deliveries(self, answer: bytes) -> list[Delivery]:
        """The checked content of a ReceiveMessage answer; may be empty, but not for ever."""
        found = _received(answer).Messages
        if not found:
            self.empty += 1
            if self.empty > EMPTY_MAX:
                raise WrongAnswerError("the queue stays empty")
            return []
        for delivery in found:
            if delivery.MD5OfBody != DIGEST or delivery.Body != BODY:
                raise WrongAnswerError(f"a changed message: {delivery}")
        return found

    def delete_batch(self, deliveries: list[Delivery]) -> bytes:
        entries = [{"Id": str(index), "ReceiptHandle": one.ReceiptHandle} for index, one in enumerate(deliveries)]
        return self.request("DeleteMessageBatch", Entries=entries)

    def took_send(self, answer: bytes, count: int = 1) -> None:
        if answer.count(DIGEST_BYTES) != count:
            raise WrongAnswerError(f"not {count} right digests: {answer!r}")
        self.sent += count

    def took_delete(self, count: int = 1) -> None:
        self.deleted += count
        self.messages += count

    def took_delete_batch(self, answer: bytes, count: int) -> None:
        settled = _settled(answer)
        if len(settled.Successful or ()) != count or settled.Failed:
            raise WrongAnswerError(f"not {count} deleted: {answer!r}")
        self.took_delete(count)


def _entries(count: int = BATCH, **fields: object) -> list[dict[str, object]]:
    return [{"Id": str(index), "MessageBody": BODY, **fields} for index in range(count)]


def send(desk: Desk) -> Script:
    """Single sends."""
    request = desk.request("SendMessage", MessageBody=BODY)
    while True:
        desk.took_send((yield request))
        desk.messages += 1


def batch(desk: Desk) -> Script:
    """Sends of ten, up to the run's limit if it has one."""
    request = desk.request("SendMessageBatch", Entries=_entries())
    while desk.limit is None or desk.promised < desk.limit:
        desk.promised += BATCH
        desk.took_send((yield request), BATCH)
        desk.messages += BATCH


def mix(desk: Desk) -> Script:
    """Single calls in turn: send one, receive one, delete it."""
    send_one, receive = desk.request("SendMessage", MessageBody=BODY), desk.receive(1)
    while True:
        desk.took_send((yield send_one))
        while not (deliveries := desk.deliveries((yield receive))):
            pass
        yield desk.request("DeleteMessage", ReceiptHandle=deliveries[0].ReceiptHandle)
        desk.took_delete()


def cycle(desk: Desk) -> Script:
    """Send ten, receive until ten came, delete what came."""
    send_ten, receive = desk.request("SendMessageBatch", Entries=_entries()), desk.receive(BATCH)
    while True:
        desk.took_send((yield send_ten), BATCH)
        owed = BATCH
        while owed > 0:
            if deliveries := desk.deliveries((yield receive)):
                desk.took_delete_batch((yield desk.delete_batch(deliveries)), len(deliveries))
                owed -= len(deliveries)


def drain(desk: Desk) -> Script:
    """Receive one, delete it: from what waits already."""
    receive = desk.receive(1)
    while True:
        if deliveries := desk.deliveries((yield receive)):
            yield desk.request("DeleteMessage", ReceiptHandle=deliveries[0].ReceiptHandle)
            desk.took_delete()


def drain_batch(desk: Desk) -> Script:
    """Receive ten, delete them: from what waits already."""
    receive = desk.receive(BATCH)
    while True:
        if deliveries := desk.deliveries((yield receive)):
            desk.took_delete_batch((yield desk.delete_batch(deliveries)), len(deliveries))


def lock_fill(desk: Desk) -> Script:
    """Sends of ten to one group of a FIFO queue, up to the run's limit."""
    run = secrets.token_hex(4)
    while desk.limit is None or desk.promised < desk.limit:
        desk.promised += BATCH
        entries = _entries(MessageGroupId="locked")
        for entry in entries:
            entry["MessageDeduplicationId"] = f"{run}-{next(_numbers)}"
        desk.took_send((yield desk.request("SendMessageBatch", Entries=entries)), BATCH)
        desk.messages += BATCH


def ordered_mix(desk: Desk) -> Script:
    """As ``mix``, on a FIFO queue with a thousand groups."""
    receive, run = desk.receive(1), secrets.token_hex(4)
    while True:
        number = next(_numbers)
        group, once = f"group-{number % GROUPS}", f"{run}-{number}"
        desk.took_send(
            (yield desk.request("SendMessage", MessageBody=BODY, MessageGroupId=group, MessageDeduplicationId=once))
        )
        while not (deliveries := desk.deliveries((yield receive))):
            pass
        yield desk.request("DeleteMessage", ReceiptHandle=deliveries[0].ReceiptHandle)
        desk.took_delete()


WORKLOADS: dict[str, Callable[[Desk], Script]] = {
    script.__name__: script for script in (send, batch, mix, cycle, drain, drain_batch, lock_fill, ordered_mix)
}
