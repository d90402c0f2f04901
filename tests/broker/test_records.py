"""The broker's part in records and dead letters: its clock, its queues, its chores."""

from encola.broker.broker import Broker, Draft
from encola.engine.changes import Refused
from encola.engine.lifecycle import Outcome
from encola.engine.message import Header, Receipt
from encola.engine.queue import DAY, LONG_DELAY, SECOND, Address, DeadLetterRule
from encola.engine.records import Claim, Enter, JobSearch, Run

from .conftest import ACCOUNT, NewQueue, TestClock

WHY = {"why": Header("String", b"bad")}
CLAIM = Claim("k", "me", "report", "reports", "hash", 1000, 1000)


async def test_records_live_by_the_brokers_clock(broker: Broker, clock: TestClock) -> None:
    before = clock.now()
    assert list(await broker.records.apply(ACCOUNT, [CLAIM])) == [Run(1, 1)]
    (job,) = await broker.records.get(ACCOUNT, ["k"])
    assert job is not None
    assert before <= job.created_at <= clock.now()
    assert (await broker.records.find(ACCOUNT, JobSearch())).jobs == [job]
    clock.turn(1000)
    assert list(await broker.records.get(ACCOUNT, ["k"])) == [None]


async def test_a_command_that_is_refused_is_told_among_the_replies(broker: Broker) -> None:
    replies = await broker.records.apply(ACCOUNT, [CLAIM, Enter("k", "me", 1, 1)])
    assert list(replies) == [Run(1, 1), Refused("k holds no slots")]


async def test_the_chores_sweep_what_is_past_its_time(broker: Broker, clock: TestClock) -> None:
    await broker.records.apply(ACCOUNT, [CLAIM])
    clock.turn(1000)
    while await broker._chores.sweep():
        pass
    clock.turn(-1000)
    assert list(await broker.records.get(ACCOUNT, ["k"])) == [None]


async def test_a_queue_without_a_rule_or_whose_rule_leads_nowhere_has_no_dead_letters(
    broker: Broker, new_queue: NewQueue
) -> None:
    await new_queue("dead", ordered=True)
    for name, target in (("plain", None), ("orphan", "nowhere"), ("mixed", "dead")):
        rule = None if target is None else DeadLetterRule(Address(ACCOUNT, target), 1)
        queue = await new_queue(name, dead_letter=rule)
        await broker.send(queue, [Draft(b"1")])
        (delivery,) = await broker.receive(queue, limit=1)
        assert await broker.reject(queue, [(delivery.receipt, WHY)]) == [Outcome.NO_TARGET]
        assert await broker.delete(queue, [delivery.receipt]) == [Outcome.DONE]


async def test_a_batch_is_rejected_in_one_step_each_by_its_own_receipt(broker: Broker, new_queue: NewQueue) -> None:
    dead = await new_queue("dead")
    queue = await new_queue(dead_letter=DeadLetterRule(dead.address, 9))
    await broker.send(queue, [Draft(b"1"), Draft(b"2")])
    first, second = await broker.receive(queue, limit=2)
    stale = Receipt(second.id, second.lease - 1)
    outcomes = await broker.reject(queue, [(first.receipt, WHY), (stale, WHY), (first.receipt, WHY)])
    assert list(outcomes) == [Outcome.DONE, Outcome.STALE, Outcome.GONE]
    assert [peek.body for peek in await broker.browse(dead)] == [b"1"]


async def test_only_a_long_delay_puts_retention_off(broker: Broker, new_queue: NewQueue, clock: TestClock) -> None:
    queue = await new_queue(retention=60 * SECOND)
    await broker.send(queue, [Draft(b"short", delay=LONG_DELAY), Draft(b"long", delay=LONG_DELAY + 1)])
    clock.turn(LONG_DELAY + SECOND)
    assert [delivery.body for delivery in await broker.receive(queue, limit=10)] == [b"long"]


async def test_a_released_delivery_is_as_if_it_had_never_been(
    broker: Broker, new_queue: NewQueue, clock: TestClock
) -> None:
    queue = await new_queue()
    await broker.send(queue, [Draft(b"1")])
    (first,) = await broker.receive(queue, limit=1)
    assert list(await broker.release(queue, [(first.receipt, DAY)])) == [Outcome.DONE]
    assert (await broker.counts(queue)).delayed == 1
    clock.turn(DAY)
    (second,) = await broker.receive(queue, limit=1)
    assert (second.receives, second.first_received_at > first.first_received_at) == (1, True)
