"""What an encola server does in one step: long delays, deliveries taken back, rejections."""

from collections.abc import Callable

import pytest

from encola.consumers.sqs import copies
from encola.consumers.sqs.transport import NO_DEAD_LETTERS, SqsTransport
from encola.consumers.transport import Incoming, Outgoing, QueueWish, RefusedError
from encola.testing import EncolaServer

from ...process import client

NewName = Callable[..., str]
DAY = 86_400.0
KEYS = {name: EncolaServer().client_options[name] for name in ("aws_access_key_id", "aws_secret_access_key")}


@pytest.fixture
async def queue(encola: SqsTransport, new_name: NewName) -> str:
    name = new_name()
    await encola.create(QueueWish(name=name, dead_letters=f"{name}-dead"))
    return name


async def arrived(transport: SqsTransport, queue: str, *, lease: float = 30.0) -> Incoming:
    (message,) = await transport.receive(queue, 10, 3.0, lease)
    return message


def counts(url: str, queue: str) -> tuple[int, int, int]:
    """Messages that are visible, leased, and delayed."""
    sqs = client(url, **KEYS)
    found = sqs.get_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"], AttributeNames=["All"])[
        "Attributes"
    ]
    kinds = ("", "NotVisible", "Delayed")
    visible, leased, delayed = (int(found[f"ApproximateNumberOfMessages{kind}"]) for kind in kinds)
    return visible, leased, delayed


async def test_an_encola_server_is_known_by_its_answer(encola: SqsTransport) -> None:
    assert encola.is_encola


async def test_a_long_delay_is_the_servers(encola: SqsTransport, encola_url: str, queue: str) -> None:
    answers = await encola.send(queue, [Outgoing(body="a", delay=14 * DAY), Outgoing(body="b"), Outgoing(body="c")])
    assert all(isinstance(answer, str) for answer in answers)
    assert counts(encola_url, queue) == (2, 0, 1)


async def test_a_delay_beyond_fourteen_days_is_noted_in_the_message(
    encola: SqsTransport, encola_url: str, queue: str
) -> None:
    (answer,) = await encola.send(queue, [Outgoing(body="a", delay=15 * DAY)])
    assert isinstance(answer, str)
    assert counts(encola_url, queue) == (0, 0, 1)


async def test_a_delivery_that_is_taken_back_never_was(encola: SqsTransport, encola_url: str, queue: str) -> None:
    await encola.send(queue, [Outgoing(body="x")])
    first = await arrived(encola, queue)
    assert await encola.release([(first, 0.0)]) == [None]
    again = await arrived(encola, queue)
    assert (again.message_id, again.receives, again.attributes) == (first.message_id, 1, {})
    assert await encola.release([(again, 3 * DAY)]) == [None]
    assert counts(encola_url, queue) == (0, 0, 1)


async def test_order_is_kept_when_a_delivery_of_a_fifo_queue_is_taken_back(
    encola: SqsTransport, new_name: NewName
) -> None:
    name = new_name(".fifo")
    await encola.create(QueueWish(name=name))
    await encola.send(name, [Outgoing(body=one, group="g", deduplication_id=one) for one in "ab"])
    first = await encola.receive(name, 1, 3.0, 30.0)
    assert await encola.release([(first[0], 0.0)]) == [None]
    (again,) = await encola.receive(name, 1, 3.0, 30.0)
    assert (again.body, again.receives) == ("a", 1)


async def test_a_lease_that_was_lost_cannot_be_taken_back(encola: SqsTransport, queue: str) -> None:
    await encola.send(queue, [Outgoing(body="x")])
    lost = await arrived(encola, queue)
    await encola.retry([(lost, 0.0)])
    held = await arrived(encola, queue)
    refused, done = await encola.release([(lost, 0.0), (held, 0.0)])
    assert isinstance(refused, RefusedError)
    assert done is None


async def test_a_rejected_message_is_moved_with_the_reason(encola: SqsTransport, encola_url: str, queue: str) -> None:
    attributes = {f"a{number}": "x" for number in range(10)}
    (message_id,) = await encola.send(queue, [Outgoing(body="x", attributes=attributes)])
    message = await arrived(encola, queue)
    assert await encola.reject([(message, "bad-payload", "month:\x00 missing" + "!" * 99_999)]) == [None]
    dead = await arrived(encola, f"{queue}-dead")
    assert (dead.body, dead.message_id) == ("x", message_id)
    error = dead.attributes.pop("encola.error")
    assert dead.attributes == {**attributes, "encola.reason": "bad-payload"}
    assert error.startswith("month:\ufffd missing!!!")
    assert len(error) == copies.ERROR_LENGTH_MAX
    assert counts(encola_url, queue) == (0, 0, 0)


@pytest.mark.parametrize(("reason", "error"), [("", ""), ("r" * 9999, "e")])
async def test_any_reason_will_do(encola: SqsTransport, queue: str, reason: str, error: str) -> None:
    await encola.send(queue, [Outgoing(body="x")])
    assert await encola.reject([(await arrived(encola, queue), reason, error)]) == [None]
    dead = await arrived(encola, f"{queue}-dead")
    assert dead.attributes["encola.reason"] == (reason[: copies.REASON_LENGTH_MAX] or "unknown")


async def test_without_a_dead_letter_queue_nothing_is_rejected(encola: SqsTransport, new_name: NewName) -> None:
    name = new_name()
    await encola.create(QueueWish(name=name))
    await encola.send(name, [Outgoing(body="x")])
    message = await arrived(encola, name)
    (answer,) = await encola.reject([(message, "bad-payload", "")])
    assert isinstance(answer, RefusedError)
    assert answer.code == NO_DEAD_LETTERS
    assert await encola.extend([message], 30.0) == [None]


async def test_many_are_released_and_rejected_in_one_call(encola: SqsTransport, encola_url: str, queue: str) -> None:
    await encola.send(queue, [Outgoing(body=str(number)) for number in range(23)])
    found: list[Incoming] = []
    while len(found) < 23:
        found += await encola.receive(queue, 10, 3.0, 30.0)
    assert await encola.release([(message, 0.0) for message in found[:11]]) == [None] * 11
    assert await encola.reject([(message, "expired", "") for message in found[11:]]) == [None] * 12
    assert (counts(encola_url, queue), counts(encola_url, f"{queue}-dead")) == ((11, 0, 0), (12, 0, 0))
