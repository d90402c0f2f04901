"""What it costs to be watched: throughput with five open pages and a scraper, beside none; and how soon pages come.

Two servers take turns at the same workload. One has five viewers (three of the overview, two of the queue that is
worked on), each told of every change, and a scraper that reads ``/metrics`` once a second. Then the overview is asked
for with a thousand queues that all have something to show, and the messages of a deep queue, in front and far behind.
"""

import base64
import http.client
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from benchmarks.proc import LOAD_CORE, cpu_seconds, pinned
from benchmarks.results import Figure, Result, console, figure
from benchmarks.run import Settings, describe
from benchmarks.servers import HOST, Running, encola, remove
from benchmarks.signing import ACCESS_KEY, SECRET_KEY
from benchmarks.turns import Side

PAGES = ("/", "/", "/", "/ui/queues/watched", "/ui/queues/watched")
SCRAPE_SECONDS = 1.0
QUEUES = 1_000
MESSAGES, MESSAGES_QUICK = 1_000_000, 200_000
PAGE_MESSAGES = 50
FAR_PAGE = 1_000
ASKED = 30

COST_BAR = 0.95  # of the rate that nobody watches
OVERVIEW_MS_BAR = 150
FAR_BAR = 1.25  # of the time of the first page: the same, but for the noise

_BASIC = {"Authorization": "Basic " + base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode()}


def run(settings: Settings) -> Result:
    figures = [*_watched(settings), *_overview(settings), *_far(settings)]
    return Result(benchmark="pages", title="Being watched: pages and metrics, fsync on", figures=figures)


# Viewers ----------------------------------------------------------------------------------------------


def _watched(settings: Settings) -> list[Figure]:
    watched, alone = settings.scratch / "watched", settings.scratch / "alone"
    try:
        with encola(watched) as busy, encola(alone) as free, pinned(LOAD_CORE):
            sides = Side(busy, busy.queue("watched")), Side(free, free.queue("watched"))
            with _viewers(busy):
                return [*_pairs(settings, "mix", "send, receive, delete one by one", *sides),
                        *_pairs(settings, "cycle", "batch cycle", *sides)]  # fmt: skip
    finally:
        remove(watched)
        remove(alone)


def _pairs(settings: Settings, workload: str, words: str, watched: Side, alone: Side) -> list[Figure]:
    """The rate that is left, and that a second of the server's processor gives: the latter hardly feels others."""
    rates, costs = [], []
    for number in range(settings.rounds):
        order = (watched, alone) if number % 2 else (alone, watched)
        outcomes = {side: side.measure(workload, settings.seconds) for side in order}
        busy, free = outcomes[watched], outcomes[alone]
        rates.append(busy.requests_a_second / free.requests_a_second)
        costs.append(rates[-1] * free.server_busy / busy.server_busy)
        console.print(f"  {workload}: rate {rates[-1]:.3f}, processor {costs[-1]:.3f}; {describe(busy)}", style="dim")
    return [
        figure(f"fsync: {words}, 5 viewers and a scraper", "of the free rate", rates, bar=COST_BAR),
        figure(f"fsync: {words}, the same per second of processor", "of the free rate", costs),
    ]


@contextmanager
def _viewers(server: Running) -> Iterator[None]:
    """Reads all that open pages are told, and the metrics, until the block ends."""
    over = threading.Event()
    connections = [http.client.HTTPConnection(HOST, server.port) for _ in PAGES]
    threads = [threading.Thread(target=_scrape, args=(server.port, over), daemon=True)]
    for page, connection in zip(PAGES, connections, strict=True):
        connection.request("GET", f"{page}?format=events", headers=_BASIC)
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{page} answers {response.status}")
        threads.append(threading.Thread(target=_read, args=(response, over), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for connection in connections:
            if connection.sock is not None:
                connection.sock.close()


def _read(response: http.client.HTTPResponse, over: threading.Event) -> None:
    try:
        while not over.is_set() and response.read1(65536):
            pass
    except (OSError, http.client.HTTPException, ValueError):
        if not over.is_set():
            raise


def _scrape(port: int, over: threading.Event) -> None:
    while not over.wait(SCRAPE_SECONDS):
        _get(port, "/metrics")


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request("GET", path, headers=_BASIC)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} answers {response.status}")
        return body
    finally:
        connection.close()


# Pages ------------------------------------------------------------------------------------------------


def _overview(settings: Settings) -> list[Figure]:
    data = settings.scratch / "overview"
    try:
        with encola(data) as server, pinned(LOAD_CORE):
            control = server.control()
            for number in range(QUEUES):
                url = str(control.call("CreateQueue", QueueName=f"queue-{number:04d}")["QueueUrl"])
                control.call("SendMessage", QueueUrl=url, MessageBody="x")
            control.close()
            time.sleep(3)  # until the sampler has seen them
            idle = _cpu_share(server)
            pages = _times(server, "/?sort=visible")
            scrapes = _times(server, "/metrics", pause=1.05)
    finally:
        remove(data)
    return [
        figure(f"overview, {QUEUES:,} queues", "ms", pages, bar=OVERVIEW_MS_BAR, at_least=False),
        figure(f"/metrics, {QUEUES:,} queues", "ms", scrapes),
        figure(f"sampling {QUEUES:,} queues that hold messages", "of a core", [idle], bar=0.05, at_least=False),
    ]


def _cpu_share(server: Running) -> float:
    begun, busy = time.perf_counter(), cpu_seconds(server.pid)
    time.sleep(5)
    return (cpu_seconds(server.pid) - busy) / (time.perf_counter() - begun)


def _times(server: Running, path: str, pause: float = 0.0) -> list[float]:
    """Milliseconds from asking to the last byte. With ``pause`` each is asked for after the last was forgotten."""
    found = []
    for _ in range(ASKED if not pause else 8):
        begun = time.perf_counter()
        _get(server.port, path)
        found.append((time.perf_counter() - begun) * 1e3)
        time.sleep(pause)
    return found


def _far(settings: Settings) -> list[Figure]:
    """Page 1 and page 1,000 of a deep queue, in turn: each page names the message behind which it begins."""
    data, messages = settings.scratch / "far", MESSAGES_QUICK if settings.quick else MESSAGES
    try:
        _fill(data, messages)
        with encola(data) as server, pinned(LOAD_CORE):
            base = "/ui/queues/deep/messages"
            far = _after(server, base, min(FAR_PAGE, messages // PAGE_MESSAGES // 2))
            near_ms, far_ms = [], []
            for _ in range(ASKED):
                near_ms += _once(server, base)
                far_ms += _once(server, f"{base}?{urlencode({'after': far})}")
    finally:
        remove(data)
    ratios = [behind / front for front, behind in zip(near_ms, far_ms, strict=True)]
    detail = f"{statistics.median(far_ms):.3g} ms beside {statistics.median(near_ms):.3g} ms"
    name = f"page {FAR_PAGE:,} of {messages:,} messages"
    return [figure(name, "of the time of page 1", ratios, bar=FAR_BAR, at_least=False, detail=detail)]


def _fill(data: Path, messages: int) -> None:
    subprocess.run([sys.executable, "-m", "benchmarks.fill", str(data), "000000000000/deep", str(messages)], check=True)


def _after(server: Running, base: str, page: int) -> str:
    """The id of the last message before a page: pages are walked from the front, as a person would."""
    after = ""
    for _ in range(page - 1):
        twin = msgspec.json.decode(_get(server.port, f"{base}?{urlencode({'format': 'json', 'after': after})}"))
        after = str(twin["next_after"])
    return after


def _once(server: Running, path: str) -> list[float]:
    begun = time.perf_counter()
    _get(server.port, path)
    return [(time.perf_counter() - begun) * 1e3]
