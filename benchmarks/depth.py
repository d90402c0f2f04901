"""Five million messages waiting: does a receive still cost the same, does memory stay flat, is a restart quick?

The deep queue is filled while no server runs (``benchmarks.fill``). Then a server on it and one on an empty directory
take turns: with ``mix`` (send, receive, delete one by one; on the deep queue the oldest of five million comes), and
with ``drain`` (receive, delete) against a shallow queue that holds just enough.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.job import Job
from benchmarks.proc import resident_peak_mb
from benchmarks.results import Figure, Result, console, figure, skipped
from benchmarks.run import Settings, generate
from benchmarks.servers import Running, encola, remove
from benchmarks.turns import Side, compare

MESSAGES, MESSAGES_QUICK = 5_000_000, 200_000
SHALLOW_A_SECOND = 30_000  # faster than anybody drains it
DISK_BYTES_A_MESSAGE = 1_500
DISK_BYTES_SPARE = 8_000_000_000

RATE_BAR = 0.8
RESIDENT_MB_BAR = 300
READY_SECONDS_BAR = 2
RESTARTS = 5


def run(settings: Settings) -> Result:
    messages = MESSAGES_QUICK if settings.quick else MESSAGES
    title = f"Depth: {messages:,} messages of 1 kB waiting, fsync on"
    needed, free = messages * DISK_BYTES_A_MESSAGE + DISK_BYTES_SPARE, shutil.disk_usage(settings.scratch).free
    if free < needed:
        why = f"needs {needed / 1e9:.0f} GB of disk, and {free / 1e9:.0f} GB are free"
        return Result(benchmark="depth", title=title, figures=[skipped("depth", "", why)])
    deep, shallow = settings.scratch / "deep", settings.scratch / "shallow"
    try:
        _fill(deep, messages)
        figures = [_restarts(deep, "stop", signal.SIGTERM), *_rates(settings, deep, shallow)]
        figures.append(_restarts(deep, "kill -9", signal.SIGKILL))
        return Result(benchmark="depth", title=title, figures=figures)
    finally:
        remove(deep)
        remove(shallow)


def _fill(data: Path, messages: int) -> None:
    console.print(f"  filling {messages:,} messages", style="dim")
    subprocess.run([sys.executable, "-m", "benchmarks.fill", str(data), "000000000000/deep", str(messages)], check=True)


def _rates(settings: Settings, deep: Path, shallow: Path) -> list[Figure]:
    with encola(deep) as deep_server, encola(shallow) as shallow_server:
        burdened = Side(deep_server, deep_server.queue("deep"))
        figures = [
            compare(
                settings,
                "fsync: send, receive, delete one by one, deep over empty",
                "mix",
                burdened=burdened,
                free=Side(shallow_server, shallow_server.queue("empty")),
                bar=RATE_BAR,
            ),
            compare(
                settings,
                "fsync: receive, delete one by one, deep over shallow",
                "drain",
                burdened=burdened,
                free=Side(shallow_server, _stocked(settings, shallow_server)),
                bar=RATE_BAR,
            ),
        ]
        peak = resident_peak_mb(deep_server.pid)
    figures.append(figure("resident at most, deep", "MB", [peak], bar=RESIDENT_MB_BAR, at_least=False))
    return figures


def _stocked(settings: Settings, server: Running) -> str:
    """A queue with as many messages as the drains of all rounds can take."""
    url = server.queue("shallow")
    messages = int(SHALLOW_A_SECOND * (settings.seconds + 1) * settings.rounds / 2)
    generate(Job(port=server.port, workload="batch", queue_url=url, seconds=600, messages=messages))
    return url


def _restarts(data: Path, way: str, number: signal.Signals) -> Figure:
    """How long a start on ``data`` takes after the server before was ended this way."""
    seconds: list[float] = []
    for attempt in range(RESTARTS):
        with encola(data) as server:
            if attempt:  # the first follows something else
                seconds.append(server.ready_seconds)
            if number is signal.SIGKILL:
                control = server.control()
                control.call("SendMessage", QueueUrl=server.queue("deep"), MessageBody="the last one")
                control.close()
                os.kill(server.pid, number)
    detail = f"median of {len(seconds)}, slowest {max(seconds):.2f} s"
    name = f"restart to ready after {way}, deep"
    return figure(name, "s", [statistics.median(seconds)], bar=READY_SECONDS_BAR, at_least=False, detail=detail)
