"""Encola: without records of jobs (as the others go without results), and with them."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import encola
from benchmarks.task_peers.ledger import PAUSE_SECONDS, QUEUE, SERVER, in_turn, tick
from encola.consumers.connection import Connection
from encola.consumers.preparing import prepare_queues

app = encola.App("bench", server=SERVER)


@app.task(queue=QUEUE, track=False)
async def noop() -> None:
    tick()


@app.task(queue=QUEUE, track=False)
def noop_in_thread() -> None:
    tick()


@app.task(queue=QUEUE)
async def tracked() -> None:
    tick()


@app.task(queue=QUEUE, track=False)
async def pause() -> None:
    tick()
    await asyncio.sleep(PAUSE_SECONDS)


@app.task(queue=QUEUE)
async def tracked_pause() -> None:
    tick()
    await asyncio.sleep(PAUSE_SECONDS)


@functools.cache
def _make_queue() -> None:
    """Workers do so when they start; here the producer may be first."""

    async def make(connection: Connection) -> None:
        await prepare_queues(app, connection.transport, [app.queue_options(QUEUE)])

    app.wait(app.connected(make))


def _one(task: Any) -> Callable[[int], None]:
    def send() -> None:
        _make_queue()
        task.send()

    return in_turn(send)


def _many(task: Any) -> Callable[[int], None]:
    def send(count: int) -> None:
        _make_queue()
        task.send_many([()] * count)

    return send


SENDERS = {
    "in turn": _one(noop),
    "in turn, tracked": _one(tracked),
    "send_many": _many(noop),
    "send_many, in threads": _many(noop_in_thread),
    "send_many, tracked": _many(tracked),
    "pauses": _many(pause),
    "pauses, tracked": _many(tracked_pause),
}
