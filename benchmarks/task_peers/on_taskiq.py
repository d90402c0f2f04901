"""Taskiq on RabbitMQ or on Redis' streams: acknowledged after the work, no results."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import uvloop
from taskiq import AsyncBroker

from benchmarks.task_peers.ledger import PAUSE_SECONDS, QUEUE, SERVER, tick

TOGETHER = 1000
PREFETCH = int(os.environ.get("BENCH_PREFETCH", "100"))


def _broker() -> AsyncBroker:
    if SERVER.startswith("redis"):
        from taskiq_redis import RedisStreamBroker

        return RedisStreamBroker(SERVER, queue_name=QUEUE, xread_count=PREFETCH)
    from taskiq_aio_pika import AioPikaBroker
    from taskiq_aio_pika.exchange import Exchange
    from taskiq_aio_pika.queue import Queue, QueueType

    kind = QueueType(os.environ.get("BENCH_QUEUE_TYPE", "classic"))
    return AioPikaBroker(
        SERVER, qos=PREFETCH, task_queues=[Queue(name=QUEUE, type=kind)], exchange=Exchange(name=QUEUE)
    )


broker = _broker()


@broker.task
async def noop() -> None:
    tick()


@broker.task
async def pause() -> None:
    tick()
    await asyncio.sleep(PAUSE_SECONDS)


_runner: list[asyncio.Runner] = []


def _loop() -> asyncio.Runner:
    """The producer's loop, with an open broker."""
    if not _runner:
        _runner.append(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        _runner[0].run(broker.startup())
    return _runner[0]


def _together(task: Any) -> Callable[[int], None]:
    async def send(count: int) -> None:
        for start in range(0, count, TOGETHER):
            await asyncio.gather(*(task.kiq() for _ in range(min(TOGETHER, count - start))))

    return lambda count: _loop().run(send(count))


SENDERS = {"gather": _together(noop), "pauses": _together(pause)}
