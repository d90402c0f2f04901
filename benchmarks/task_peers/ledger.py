"""What tasks tell when they begin: the time, appended to a file that the benchmark reads. About 2 µs."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from struct import Struct

SERVER = os.environ["BENCH_SERVER"]
QUEUE = os.environ["BENCH_QUEUE"]
PAUSE_SECONDS = 0.01
THREADS = 16

_STAMP = Struct("<q")
_file = os.open(os.environ["BENCH_LEDGER"], os.O_WRONLY | os.O_APPEND)


def tick() -> None:
    """A task begins. Appends of eight bytes are whole, also from several threads and processes."""
    os.write(_file, _STAMP.pack(time.monotonic_ns()))


def in_turn(send: Callable[[], object]) -> Callable[[int], None]:
    """Sends one after the other."""

    def many(count: int) -> None:
        for _ in range(count):
            send()

    return many


def in_threads(send: Callable[[], object]) -> Callable[[int], None]:
    """Sends from several threads, so that the server can put several on its disk at once."""
    one = in_turn(send)

    def many(count: int) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(one, [count // THREADS + (number < count % THREADS) for number in range(THREADS)]))

    return many
