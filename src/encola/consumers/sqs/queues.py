"""Queues by name: their URLs, what a worker must know of them, and how they are made."""

import math
import time
from typing import NamedTuple

import msgspec

from encola.consumers.sqs.answers import decoder_of, shape_of
from encola.consumers.sqs.client import ServiceClient
from encola.consumers.sqs.shapes import (
    NewQueue,
    QueueAttributes,
    QueueName,
    QueueUrl,
    RedrivePolicy,
    WhichAttributes,
)
from encola.consumers.transport import NoQueueError, QueueFacts, QueueWish, RefusedError, TransportError

FIFO_SUFFIX = ".fifo"
LEASE_SECONDS_MAX = 43_200
DEAD_LETTERS_SECONDS = 1_209_600
"""For how long a dead-letter queue that we make keeps its messages: 14 days, the longest there is."""

TARGET_SECONDS = 60.0
"""For so long it is believed which dead-letter queue a queue has."""

_ASKED = ("VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy")
_MADE_BY_OTHERS = frozenset({"QueueNameExists", "QueueAlreadyExists"})
_LEASE_DEFAULT = 30.0
_RETENTION_DEFAULT = 345_600.0

_encode = msgspec.json.Encoder().encode
_url_decoder = decoder_of(QueueUrl)
_attributes_decoder = decoder_of(QueueAttributes)
_policy_decoder = msgspec.json.Decoder(RedrivePolicy)


class DeadLetters(NamedTuple):
    """A dead-letter queue."""

    name: str
    url: str


class Queues:
    """See the module."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        self._urls: dict[str, str] = {}
        self._targets: dict[str, tuple[float, DeadLetters | None]] = {}

    async def url(self, name: str) -> str:
        """Asked for once. Raises NoQueueError, TransportError."""
        url = self._urls.get(name)
        if url is None:
            url = self._urls[name] = await self._ask_url(QueueName(name))
        return url

    def forget(self, name: str) -> None:
        """The service says that there is no such queue: the next call looks anew."""
        self._urls.pop(name, None)
        self._targets.pop(name, None)

    async def describe(self, name: str) -> QueueFacts:
        attributes = await self._attributes(name, _ASKED)
        policy = _policy_of(attributes)
        return QueueFacts(
            name=name,
            fifo=name.endswith(FIFO_SUFFIX),
            lease=_seconds(attributes, "VisibilityTimeout", _LEASE_DEFAULT),
            retention=_seconds(attributes, "MessageRetentionPeriod", _RETENTION_DEFAULT),
            dead_letters=policy.target.rpartition(":")[2] if policy else None,
            receives_max=int(policy.receives_max) if policy and policy.receives_max is not None else None,
        )

    async def dead_letters(self, name: str) -> DeadLetters | None:
        """Where a queue's dead letters go. Raises NoQueueError, TransportError."""
        until, target = self._targets.get(name, (0.0, None))
        if time.monotonic() < until:
            return target
        policy = _policy_of(await self._attributes(name, ("RedrivePolicy",)))
        target = None
        if policy is not None:
            *_, account, queue = policy.target.split(":")
            target = DeadLetters(queue, await self._ask_url(QueueName(queue, account or None)))
        self._targets[name] = (time.monotonic() + TARGET_SECONDS, target)
        return target

    async def create(self, wish: QueueWish) -> None:
        """Raises TransportError."""
        if await self._exists(wish.name):
            return
        attributes = {
            "VisibilityTimeout": str(min(math.ceil(wish.lease), LEASE_SECONDS_MAX)),
            "MessageRetentionPeriod": str(math.ceil(wish.retention)),
        }
        if wish.dead_letters is not None:
            if not await self._exists(wish.dead_letters):
                await self._create(wish.dead_letters, {"MessageRetentionPeriod": str(DEAD_LETTERS_SECONDS)})
            arn = (await self._attributes(wish.dead_letters, ("QueueArn",))).get("QueueArn", "")
            policy = {"deadLetterTargetArn": arn, "maxReceiveCount": wish.receives_max}
            attributes["RedrivePolicy"] = _encode(policy).decode()
        await self._create(wish.name, attributes)

    # Calls ------------------------------------------------------------------------------------------

    async def _exists(self, name: str) -> bool:
        try:
            await self.url(name)
        except NoQueueError:
            return False
        return True

    async def _create(self, name: str, attributes: dict[str, str]) -> None:
        if name.endswith(FIFO_SUFFIX):
            attributes = {**attributes, "FifoQueue": "true"}
        try:
            await self._client.call("AmazonSQS.CreateQueue", _encode(NewQueue(name, attributes)))
        except RefusedError as error:
            if error.code not in _MADE_BY_OTHERS:  # at the same time, and otherwise
                raise

    async def _ask_url(self, name: QueueName) -> str:
        answer = await self._client.call("AmazonSQS.GetQueueUrl", _encode(name))
        url = shape_of(_url_decoder, answer).queue_url
        if not url:
            raise TransportError("the service answered no URL of the queue")
        return url

    async def _attributes(self, name: str, asked: tuple[str, ...]) -> dict[str, str]:
        try:
            body = _encode(WhichAttributes(await self.url(name), asked))
            answer = await self._client.call("AmazonSQS.GetQueueAttributes", body)
        except NoQueueError:
            self.forget(name)
            raise
        return shape_of(_attributes_decoder, answer).attributes or {}


def _seconds(attributes: dict[str, str], name: str, default: float) -> float:
    text = attributes.get(name, "")
    return float(text) if text.isdigit() else default


def _policy_of(attributes: dict[str, str]) -> RedrivePolicy | None:
    """None: there is no dead-letter queue."""
    text = attributes.get("RedrivePolicy")
    if not text:
        return None
    try:
        policy = _policy_decoder.decode(text)
    except msgspec.DecodeError as error:
        raise TransportError(f"the service answered a redrive policy that cannot be read: {error}") from None
    return policy if policy.target else None
