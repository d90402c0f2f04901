"""A thousand parked long polls over three hundred queues: what do they cost, and how soon does a send wake one?

The processor time is the server's alone while all polls wait. Then one message after the other is sent, to a queue
chosen by lot, and the clock runs from the first byte of the send until the waiter has its message: two commits.
"""

import asyncio
import random
import time

import msgspec

from benchmarks.proc import LOAD_CORE, cpu_seconds, pinned
from benchmarks.results import Result, figure
from benchmarks.run import Settings
from benchmarks.servers import HOST, Running, encola, remove
from benchmarks.signing import Signer
from benchmarks.wire import WrongAnswerError

POLLS, QUEUES = 1000, 300
WAIT_SECONDS = 20
IDLE_SECONDS = 10.0
SENDS, SENDS_QUICK = 500, 150
PAUSE_SECONDS = 0.01  # between two sends: a low load
BUSY_BAR = 0.02  # of a core
WAKE_MS_BAR = 10


class Poller:
    """One connection that always has a receive under way; answers when its message came."""

    def __init__(self, signer: Signer, url: str) -> None:
        body = {"QueueUrl": url, "WaitTimeSeconds": WAIT_SECONDS, "VisibilityTimeout": 600}
        self._request = signer.request("ReceiveMessage", msgspec.json.encode(body))

    async def run(self, port: int, woken: "asyncio.Queue[tuple[float, str]]") -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            while True:
                writer.write(self._request)
                for message in (await answer(reader)).get("Messages", ()):
                    woken.put_nowait((time.perf_counter(), message["Body"]))
        finally:
            writer.close()


async def answer(reader: asyncio.StreamReader) -> dict[str, list[dict[str, str]]]:
    """The next answer on a connection. Raises WrongAnswerError."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
    body = await reader.readexactly(length)
    if head[9:12] != b"200":
        raise WrongAnswerError(f"{head!r} {body!r}")
    found: dict[str, list[dict[str, str]]] = msgspec.json.decode(body) if body else {}
    return found


async def measure(server: Running, urls: list[str], sends: int) -> tuple[float, list[float]]:
    """The server's share of a core while all wait, and the milliseconds of each wake-up."""
    signer = Signer(f"{HOST}:{server.port}")
    woken: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
    polls = [asyncio.create_task(Poller(signer, urls[n % len(urls)]).run(server.port, woken)) for n in range(POLLS)]
    try:
        await asyncio.sleep(2)  # until all are parked
        begun, busy = time.perf_counter(), cpu_seconds(server.pid)
        await asyncio.sleep(IDLE_SECONDS)
        share = (cpu_seconds(server.pid) - busy) / (time.perf_counter() - begun)
        reader, writer = await asyncio.open_connection(HOST, server.port)
        chance, waits = random.Random(1), []
        for number in range(sends):
            body = {"QueueUrl": chance.choice(urls), "MessageBody": f"message {number}"}
            request = signer.request("SendMessage", msgspec.json.encode(body))
            sent = time.perf_counter()
            writer.write(request)
            await answer(reader)
            at, text = await asyncio.wait_for(woken.get(), WAIT_SECONDS)
            if text != body["MessageBody"]:
                raise WrongAnswerError(f"{text!r} instead of {body['MessageBody']!r}")
            waits.append((at - sent) * 1e3)
            await asyncio.sleep(PAUSE_SECONDS)
        writer.close()
    finally:
        for poll in polls:
            poll.cancel()
        failed = [one for one in await asyncio.gather(*polls, return_exceptions=True) if isinstance(one, Exception)]
    if failed:
        raise failed[0]
    return share, waits


def run(settings: Settings) -> Result:
    data = settings.scratch / "polls"
    shares, p50s, p99s = [], [], []
    for _ in range(1 if settings.quick else 3):
        with encola(data) as server, pinned(LOAD_CORE):
            urls = [server.queue(f"queue-{number}") for number in range(QUEUES)]
            share, waits = asyncio.run(measure(server, urls, SENDS_QUICK if settings.quick else SENDS))
        remove(data)
        waits.sort()
        shares.append(share)
        p50s.append(waits[len(waits) // 2])
        p99s.append(waits[len(waits) * 99 // 100])
    figures = [
        figure("processor while all wait", "of a core", shares, bar=BUSY_BAR, at_least=False),
        figure("fsync: send to woken, p50", "ms", p50s),
        figure("fsync: send to woken, p99", "ms", p99s, bar=WAKE_MS_BAR, at_least=False),
    ]
    return Result(benchmark="polls", title=f"{POLLS:,} parked long polls over {QUEUES} queues", figures=figures)
