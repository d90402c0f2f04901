"""Redrive: move tasks."""

import asyncio

import pytest

from encola.broker import moves
from encola.broker.broker import Broker, Draft, MoveTask
from encola.broker.clock import Clock
from encola.broker.errors import MoveTaskNotFoundError, MoveTaskRunningError
from encola.engine.queue import Address, DeadLetterRule, Queue
from encola.engine.store import Store

from .conftest import ACCOUNT, NewQueue


async def ended(broker: Broker, source: Queue, seconds: float = 5) -> MoveTask:
    async with asyncio.timeout(seconds):
        while (task := broker.moves(source.address)[0]).active:
            await asyncio.sleep(0.01)
    return task


async def dead_letters(broker: Broker, new_queue: NewQueue, count: int) -> tuple[Queue, Queue]:
    dead = await new_queue("dead")
    queue = await new_queue(dead_letter=DeadLetterRule(dead.address, max_receives=1))
    for start in range(0, count, 10):
        await broker.send(queue, [Draft(f"m{n}".encode()) for n in range(start, min(count, start + 10))])
        got = await broker.receive(queue, limit=10)
        await broker.extend(queue, [(d.receipt, 0) for d in got])
    assert list(await broker.receive(queue, limit=10)) == []
    assert (await broker.counts(dead)).ready == count
    return queue, dead


async def test_a_redrive_brings_each_message_back_to_its_source(broker: Broker, new_queue: NewQueue) -> None:
    queue, dead = await dead_letters(broker, new_queue, 25)
    task = await broker.start_move(dead, None, None)
    assert task.to_move == 25
    assert (await ended(broker, dead)).status == moves.COMPLETED
    assert broker.moves(dead.address)[0].moved == 25
    assert (await broker.counts(dead)).total == 0
    got = [d for _ in range(3) for d in await broker.receive(queue, limit=10)]
    assert sorted(d.body for d in got) == sorted(f"m{n}".encode() for n in range(25))
    assert {(d.receives, d.envelope.dead_letter_source) for d in got} == {(1, "")}


async def test_one_task_a_source_at_its_rate_and_cancelled(broker: Broker, new_queue: NewQueue) -> None:
    _, dead = await dead_letters(broker, new_queue, 30)
    task = await broker.start_move(dead, None, 10)
    with pytest.raises(MoveTaskRunningError):
        await broker.start_move(dead, None, None)
    await asyncio.sleep(0.1)
    cancelled = await broker.cancel_move(task.id)
    assert cancelled.moved == 10  # the first second's worth
    assert (await ended(broker, dead)).status == moves.CANCELLED
    with pytest.raises(MoveTaskNotFoundError):
        await broker.cancel_move(task.id)
    assert (await broker.counts(dead)).ready == 20


async def test_a_task_fails_where_messages_have_no_way_back(broker: Broker, new_queue: NewQueue) -> None:
    _, dead = await dead_letters(broker, new_queue, 1)
    await broker.send(dead, [Draft(b"sent here by hand")])
    await broker.start_move(dead, None, None)
    task = await ended(broker, dead)
    assert (task.status, task.failure, task.moved) == (moves.FAILED, moves.SOURCE_UNKNOWN, 1)
    (left,) = await broker.receive(dead, limit=10)
    assert (left.body, left.receives) == (b"sent here by hand", 1)


async def test_a_task_fails_when_its_target_is_gone(broker: Broker, new_queue: NewQueue) -> None:
    queue, dead = await dead_letters(broker, new_queue, 3)
    await broker.drop(queue)
    await broker.start_move(dead, None, None)
    task = await ended(broker, dead)
    assert (task.status, task.failure, task.moved) == (moves.FAILED, moves.TARGET_GONE, 0)
    assert (await broker.counts(dead)).ready == 3


async def test_a_task_goes_on_after_a_restart(
    broker: Broker, new_queue: NewQueue, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "STEP_LEASE", 300)
    _, dead = await dead_letters(broker, new_queue, 30)
    await broker.start_move(dead, Address(ACCOUNT, "work"), 10)
    await asyncio.sleep(0.05)
    await broker.close()

    again = Broker(store, Clock())
    await again.open()
    (task,) = again.moves(dead.address)
    assert (task.status, task.moved) == (moves.RUNNING, 10)
    task.rate = 500
    task = await ended(again, dead)
    assert (task.status, task.moved) == (moves.COMPLETED, 30)
    assert (await again.counts(dead)).total == 0
    await again.close()
