"""The transport against an encola server and against a foreign one: what both must do alike."""

import asyncio
import time
from collections.abc import Callable

import pytest

from encola.consumers.sqs.transport import SqsTransport
from encola.consumers.transport import Incoming, NoQueueError, Outgoing, QueueWish, RefusedError, Transport
from encola.testing import EncolaServer

from ...process import client

KEYS = {name: EncolaServer().client_options[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
NewName = Callable[..., str]


@pytest.fixture
async def queue(transport: SqsTransport, new_name: NewName) -> str:
    name = new_name()
    await transport.create(QueueWish(name=name))
    return name


async def arrived(transport: Transport, queue: str, *, count: int = 1, lease: float = 30.0) -> list[Incoming]:
    """So many messages."""
    found: list[Incoming] = []
    while len(found) < count:
        some = await transport.receive(queue, 10, 3.0, lease)
        assert some, f"{len(found)} of {count} messages came"
        found += some
    return found


def bodies(messages: list[Incoming]) -> list[str]:
    return sorted(message.body for message in messages)


# Queues ----------------------------------------------------------------------------------------------


async def test_it_knows_whom_it_talks_to(transport: SqsTransport, url: str, moto_url: str) -> None:
    as_transport: Transport = transport
    if url == moto_url:
        assert not as_transport.is_encola


async def test_a_queue_is_made_as_it_was_wished(transport: SqsTransport, new_name: NewName) -> None:
    name, dead = new_name(), new_name()
    await transport.create(QueueWish(name=name, lease=45.5, retention=3600, dead_letters=dead, receives_max=7))
    facts = await transport.describe(name)
    assert (facts.name, facts.fifo, facts.lease, facts.retention) == (name, False, 46.0, 3600.0)
    assert (facts.dead_letters, facts.receives_max) == (dead, 7)
    assert (await transport.describe(dead)).retention == 14 * 86_400.0


async def test_a_fifo_queue_and_its_dead_letters_are_made(transport: SqsTransport, new_name: NewName) -> None:
    name, dead = new_name(".fifo"), new_name(".fifo")
    await transport.create(QueueWish(name=name, dead_letters=dead))
    assert (await transport.describe(name)).fifo
    assert (await transport.describe(name)).dead_letters == dead
    assert (await transport.describe(dead)).fifo


async def test_a_queue_that_is_there_stays_as_it_is(transport: SqsTransport, queue: str) -> None:
    before = await transport.describe(queue)
    await transport.create(QueueWish(name=queue, lease=1.0, retention=60.0, dead_letters="other"))
    assert await transport.describe(queue) == before
    with pytest.raises(NoQueueError):
        await transport.describe("other")


async def test_two_who_make_the_same_queue_differently_both_get_it(url: str, new_name: NewName) -> None:
    name = new_name()
    first, second = SqsTransport(url), SqsTransport(url)
    await asyncio.gather(first.open(), second.open())
    await asyncio.gather(first.create(QueueWish(name=name, lease=1)), second.create(QueueWish(name=name, lease=2)))
    assert await first.describe(name) == await second.describe(name)
    await asyncio.gather(first.close(), second.close())


@pytest.mark.parametrize("name", ["bad name", "", "x" * 200])
async def test_a_name_that_no_queue_can_have_is_refused(transport: SqsTransport, name: str) -> None:
    with pytest.raises(RefusedError):
        await transport.create(QueueWish(name=name))


async def test_calls_about_a_queue_that_is_not_there_say_so(transport: SqsTransport, new_name: NewName) -> None:
    name = new_name()
    for call in (
        transport.describe(name),
        transport.send(name, [Outgoing(body="x")]),
        transport.receive(name, 1, 0, 30),
    ):
        with pytest.raises(NoQueueError):
            await call


async def test_a_queue_that_was_deleted_and_made_again_is_found(transport: SqsTransport, url: str, queue: str) -> None:
    await transport.send(queue, [Outgoing(body="old")])
    sqs = client(url, **KEYS)
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"])
    with pytest.raises(NoQueueError):
        await transport.send(queue, [Outgoing(body="lost")])
    await transport.create(QueueWish(name=queue))
    await transport.send(queue, [Outgoing(body="new")])
    assert bodies(await arrived(transport, queue)) == ["new"]


# Sending ---------------------------------------------------------------------------------------------


async def test_messages_arrive_as_they_were_sent(transport: SqsTransport, queue: str) -> None:
    before = time.time()
    sent = Outgoing(body='{"month": "März \\u0007"}\n\t\U0001f600', attributes={"traceparent": "00-ä", "n.1": "5"})
    (message_id,) = await transport.send(queue, [sent])
    (message,) = await arrived(transport, queue)
    assert (message.queue, message.message_id, message.body) == (queue, message_id, sent.body)
    assert message.attributes == sent.attributes
    assert message.receives == 1
    assert abs(message.sent_at / 1000 - before) < 60
    assert message.received_at <= time.monotonic()


async def test_any_number_of_messages_is_sent(transport: SqsTransport, queue: str) -> None:
    ids = await transport.send(queue, [Outgoing(body=str(number)) for number in range(23)])
    found = await arrived(transport, queue, count=23)
    assert {message.body: message.message_id for message in found} == {str(n): one for n, one in enumerate(ids)}
    assert await transport.send(queue, []) == []


async def test_big_messages_are_spread_over_requests(transport: SqsTransport, queue: str) -> None:
    big = ["é" * 200_000 + str(number) for number in range(4)]
    ids = await transport.send(queue, [Outgoing(body=body) for body in big])
    assert all(isinstance(one, str) for one in ids)
    assert bodies(await arrived(transport, queue, count=4)) == sorted(big)


async def test_a_fifo_queue_keeps_the_order_over_requests(transport: SqsTransport, new_name: NewName) -> None:
    name = new_name(".fifo")
    await transport.create(QueueWish(name=name))
    await transport.send(
        name, [Outgoing(body=str(number), group="g", deduplication_id=str(number)) for number in range(15)]
    )
    got: list[Incoming] = []
    while len(got) < 15:
        some = await transport.receive(name, 10, 1.0, 30)
        assert await transport.delete(some) == [None] * len(some)
        got += some
    assert [message.body for message in got] == [str(number) for number in range(15)]
    assert {message.group for message in got} == {"g"}
    assert all(message.sequence for message in got)


async def test_a_short_delay_is_kept(transport: SqsTransport, queue: str) -> None:
    await transport.send(queue, [Outgoing(body="later", delay=1.0)])
    assert await transport.receive(queue, 10, 0, 30) == []
    assert bodies(await arrived(transport, queue)) == ["later"]


async def test_a_message_that_cannot_be_sent_does_not_stop_its_neighbours(transport: SqsTransport, queue: str) -> None:
    messages = [
        Outgoing(body="first"),
        Outgoing(body="\ud800"),
        Outgoing(body="x" * 1_048_577),
        Outgoing(body="last"),
    ]
    answers = await transport.send(queue, messages)
    assert [isinstance(answer, RefusedError) for answer in answers] == [False, True, True, False]
    assert bodies(await arrived(transport, queue, count=2)) == ["first", "last"]


async def test_one_message_that_cannot_be_sent_is_refused(transport: SqsTransport, queue: str) -> None:
    for body in ("x" * 1_048_577, "\udfff"):
        (answer,) = await transport.send(queue, [Outgoing(body=body)])
        assert isinstance(answer, RefusedError)


# Receiving and settling ------------------------------------------------------------------------------


async def test_a_receive_waits_for_a_message(transport: SqsTransport, queue: str) -> None:
    waiting = asyncio.ensure_future(transport.receive(queue, 10, 10.0, 30))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await transport.send(queue, [Outgoing(body="x")])
    assert bodies(list(await waiting)) == ["x"]


async def test_what_is_deleted_is_gone_and_what_is_not_comes_again(transport: SqsTransport, queue: str) -> None:
    await transport.send(queue, [Outgoing(body=str(number)) for number in range(12)])
    found = await arrived(transport, queue, count=12)
    kept = found.pop()
    assert await transport.delete(found) == [None] * 11
    assert await transport.retry([(kept, 0.0)]) == [None]
    (again,) = await arrived(transport, queue)
    assert (again.body, again.receives) == (kept.body, 2)
    await transport.delete([again])
    assert await transport.receive(queue, 10, 0, 30) == []


async def test_messages_of_several_queues_are_settled_in_one_call(
    transport: SqsTransport, queue: str, new_name: NewName
) -> None:
    other = new_name()
    await transport.create(QueueWish(name=other))
    for name in (queue, other):
        await transport.send(name, [Outgoing(body=f"{name} {number}") for number in range(2)])
    first, second = await arrived(transport, queue, count=2), await arrived(transport, other, count=2)
    mixed = [first[0], second[0], first[1], second[1]]
    assert await transport.extend(mixed, 60.0) == [None] * 4
    assert await transport.delete(mixed) == [None] * 4
    assert await transport.delete([]) == []


async def test_a_lease_is_extended_from_now_on(transport: SqsTransport, queue: str) -> None:
    await transport.send(queue, [Outgoing(body="x")])
    found = await arrived(transport, queue, lease=1.0)
    assert await transport.extend(found, 30.0) == [None]
    await asyncio.sleep(1.2)
    assert await transport.receive(queue, 10, 0, 30) == []


async def test_a_retry_comes_after_its_delay_and_counts(transport: SqsTransport, queue: str) -> None:
    await transport.send(queue, [Outgoing(body="x")])
    (message,) = await arrived(transport, queue)
    assert await transport.retry([(message, 0.7)]) == [None]
    assert await transport.receive(queue, 10, 0, 30) == []
    (again,) = await arrived(transport, queue)
    assert again.receives == 2


async def test_a_retry_far_away_is_cut_to_what_a_lease_may_last(transport: SqsTransport, queue: str) -> None:
    await transport.send(queue, [Outgoing(body="x")])
    found = await arrived(transport, queue)
    assert await transport.retry([(found[0], 1e9)]) == [None]
    assert await transport.extend(found, 43_200.0) == [None]


async def test_handles_that_lease_nothing_are_refused_one_by_one(transport: SqsTransport, queue: str) -> None:
    await transport.send(queue, [Outgoing(body="x")])
    (message,) = await arrived(transport, queue)
    forged = Incoming(**{name: getattr(message, name) for name in Incoming.__struct_fields__})
    forged.receipt = "forged"
    good, bad = await transport.extend([message, forged], 60.0)
    assert good is None
    assert isinstance(bad, RefusedError)


# Opening and closing ---------------------------------------------------------------------------------


@pytest.fixture
def closed(encola_url: str) -> SqsTransport:
    return SqsTransport(encola_url)


async def test_a_transport_can_be_opened_again_after_it_was_closed(closed: SqsTransport, new_name: NewName) -> None:
    for _ in range(2):
        await closed.open()
        await closed.create(QueueWish(name=new_name()))
        await closed.close()
    await closed.close()


async def test_nothing_is_sent_by_a_transport_that_is_not_open(closed: SqsTransport) -> None:
    with pytest.raises(Exception, match="not open"):
        await closed.describe("q")
