"""Encola: without records of jobs (as the others go without results), and with them."""

import asyncio
from collections.abc import Callable
from typing import Any

import encola
from benchmarks.task_peers.ledger import PAUSE_SECONDS, QUEUE, SERVER, in_turn, tick

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


def _together(task: Any) -> Callable[[int], None]:
    """From a program without a loop of its own."""
    return lambda count: task.send_many([()] * count)


SENDERS = {
    "in turn": in_turn(noop.send),
    "in turn, tracked": in_turn(tracked.send),
    "send_many": _together(noop),
    "send_many, in threads": _together(noop_in_thread),
    "send_many, tracked": _together(tracked),
    "pauses": _together(pause),
    "pauses, tracked": _together(tracked_pause),
}
