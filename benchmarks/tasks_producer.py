"""The producer of the task benchmarks: a process that sends what it is told on its standard input, and says when.

One line of JSON for each order, one for each answer. Its clock is the tasks': CLOCK_MONOTONIC is one for all processes.
"""

import importlib
import os
import sys
import time
from collections.abc import Callable

import msgspec

LOOK_AGAIN_SECONDS = 0.002
STARTED_SECONDS_MAX = 60.0
STAMP_BYTES = 8


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """So many tasks by one of the module's senders. With ``pause``: one at a time, each that long after one began."""

    sender: str
    count: int
    pause: float | None = None


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Nanoseconds of the clock: of the first send and after the last. One at a time: before each send, too."""

    begun: int
    ended: int
    each: tuple[int, ...] = ()


def main() -> None:
    senders = importlib.import_module(f"benchmarks.task_peers.{sys.argv[1]}").SENDERS
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        sent = _carry_out(order, senders[order.sender])
        sys.stdout.buffer.write(msgspec.json.encode(sent) + b"\n")
        sys.stdout.buffer.flush()


def _carry_out(order: Order, send: Callable[[int], None]) -> Sent:
    begun = time.monotonic_ns()
    if order.pause is None:
        send(order.count)
        return Sent(begun=begun, ended=time.monotonic_ns())
    each = []
    for _ in range(order.count):
        started = _started()
        each.append(time.monotonic_ns())
        send(1)
        _wait_for(started + 1)
        time.sleep(order.pause)
    return Sent(begun=begun, ended=time.monotonic_ns(), each=tuple(each))


def _started() -> int:
    return os.stat(os.environ["BENCH_LEDGER"]).st_size // STAMP_BYTES


def _wait_for(count: int) -> None:
    deadline = time.monotonic() + STARTED_SECONDS_MAX
    while _started() < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"a task did not begin within {STARTED_SECONDS_MAX:.0f} s")
        time.sleep(LOOK_AGAIN_SECONDS)


if __name__ == "__main__":
    main()
