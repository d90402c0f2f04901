"""What an operator does to messages that he has seen: no lease is his, and none that runs is broken."""

from typing import Any

import pytest

from encola.engine.changes import Applied, Delete, Drop, Resend
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts, Envelope, Peek

from .desk import DEAD, SECOND, WORK, Desk, bodies

KINDS = pytest.mark.parametrize("ordered", [False, True], ids=["standard", "ordered"])
NEW = Envelope("new id", group="g")


@pytest.fixture
async def queues(desk: Desk, ordered: bool) -> Desk:
    await desk.declare(WORK, ordered=ordered)
    await desk.declare(DEAD, ordered=ordered)
    return desk


async def seen(desk: Desk) -> Peek:
    """The first message of the dead-letter queue."""
    (peek,) = await desk.store.browse(DEAD, None, 1)
    return peek


def a_delete(desk: Desk, peek: Peek) -> Delete:
    return Delete(DEAD, peek.state.id, peek.state.lease, desk.now, unheld=True)


def a_resend(desk: Desk, peek: Peek, **more: Any) -> Resend:
    return Resend(DEAD, peek.state.id, peek.state.lease, WORK, NEW, desk.now, unheld=True, **more)


async def both(desk: Desk, peek: Peek) -> set[Applied]:
    """What is answered to a delete and to a resend that both are refused."""
    return {await desk.one(a_delete(desk, peek)), await desk.one(a_resend(desk, peek))}


@KINDS
async def test_a_message_that_waits_is_deleted(queues: Desk) -> None:
    desk = queues
    await desk.put_all("1", "2", group="g", queue=DEAD)
    assert await desk.one(a_delete(desk, await seen(desk))) is Outcome.DONE
    assert bodies(await desk.claim(queue=DEAD)) == ["2"]
    assert await desk.counts(DEAD) == Counts(leased=1)


@KINDS
async def test_a_message_that_is_delayed_is_deleted(queues: Desk) -> None:
    desk = queues
    await desk.put("1", group="g", queue=DEAD, delay=60 * SECOND)
    assert await desk.one(a_delete(desk, await seen(desk))) is Outcome.DONE
    assert await desk.counts(DEAD) == Counts()


@KINDS
async def test_a_message_that_waits_is_sent_again(queues: Desk) -> None:
    desk = queues
    old = await desk.put("1", group="g", queue=DEAD)
    desk.turn(SECOND)
    assert await desk.one(a_resend(desk, await seen(desk))) is Outcome.DONE
    assert await desk.counts(DEAD) == Counts()
    new = await desk.claim_one()
    assert (new.body, new.envelope, new.sent_at, new.receives) == (b"1", NEW, desk.now, 1)
    assert new.id > old.message


@KINDS
@pytest.mark.parametrize("body", [b"edited", b""])
async def test_a_message_is_sent_again_with_another_body(queues: Desk, body: bytes) -> None:
    desk = queues
    await desk.put("1", group="g", queue=DEAD)
    assert await desk.one(a_resend(desk, await seen(desk), body=body)) is Outcome.DONE
    assert await desk.counts(DEAD) == Counts()
    assert (await desk.claim_one()).body == body


@KINDS
async def test_a_message_that_a_consumer_has_is_left_alone(queues: Desk) -> None:
    """Also if the operator saw it in his hands: the number of the lease is the same."""
    desk = queues
    await desk.put("1", group="g", queue=DEAD)
    delivery = await desk.claim_one(queue=DEAD, lease=30 * SECOND)
    peek = await seen(desk)
    assert peek.state.lease == delivery.lease
    assert await both(desk, peek) == {Outcome.HELD}
    assert await desk.counts(DEAD) == Counts(leased=1)
    assert await desk.counts(WORK) == Counts()
    assert await desk.delete(delivery, queue=DEAD, live_lease=True) is Outcome.DONE


@KINDS
async def test_a_message_that_a_consumer_got_meanwhile_is_left_alone(queues: Desk) -> None:
    desk = queues
    await desk.put("1", group="g", queue=DEAD)
    peek = await seen(desk)
    await desk.claim_one(queue=DEAD, lease=SECOND)
    assert await both(desk, peek) == {Outcome.STALE}
    desk.turn(SECOND)  # its lease is over, and still: it may have done something
    assert await both(desk, peek) == {Outcome.STALE}
    assert await desk.one(a_delete(desk, await seen(desk))) is Outcome.DONE


@KINDS
async def test_a_message_whose_lease_ran_out_is_an_operators_again(queues: Desk) -> None:
    desk = queues
    await desk.put("1", group="g", queue=DEAD)
    late = await desk.claim_one(queue=DEAD, lease=SECOND)
    peek = await seen(desk)
    desk.turn(SECOND)
    assert await desk.one(a_resend(desk, peek)) is Outcome.DONE
    assert await desk.delete(late, queue=DEAD) is Outcome.GONE
    assert await desk.bodies() == ["1"]


@KINDS
async def test_what_is_done_twice_is_done_once(queues: Desk) -> None:
    desk = queues
    await desk.put("1", group="g", queue=DEAD)
    peek = await seen(desk)
    answers = await desk.store.apply([a_resend(desk, peek), a_resend(desk, peek), a_delete(desk, peek)])
    assert list(answers) == [Outcome.DONE, Outcome.GONE, Outcome.GONE]
    assert await desk.bodies() == ["1"]


@KINDS
async def test_nothing_is_sent_again_to_a_queue_that_is_gone(queues: Desk) -> None:
    desk = queues
    await desk.put("1", group="g", queue=DEAD)
    await desk.one(Drop(WORK))
    assert await desk.one(a_resend(desk, await seen(desk))) is Outcome.NO_TARGET
    assert await desk.bodies(DEAD) == ["1"]


async def test_a_head_that_is_deleted_lets_its_group_go_on(desk: Desk) -> None:
    await desk.declare(DEAD, ordered=True)
    await desk.put("1", group="g", queue=DEAD, delay=60 * SECOND)
    await desk.put("2", group="g", queue=DEAD)
    assert bodies(await desk.claim(queue=DEAD)) == []
    desk.wakeups.clear()
    assert await desk.one(a_delete(desk, await seen(desk))) is Outcome.DONE
    assert [wakeup.queue for wakeup in desk.wakeups] == [DEAD]
    assert bodies(await desk.claim(queue=DEAD)) == ["2"]
