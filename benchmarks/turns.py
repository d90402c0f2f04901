"""Two servers that take turns at one workload: the ratio of their rates, pair by pair."""

import statistics
from typing import NamedTuple

from benchmarks.job import Job, Outcome
from benchmarks.results import Figure, console, figure
from benchmarks.run import Settings, describe, generate
from benchmarks.servers import Running


class Side(NamedTuple):
    """A server and the queue on it."""

    server: Running
    queue_url: str

    def measure(self, workload: str, seconds: float) -> Outcome:
        return generate(
            Job(
                port=self.server.port,
                workload=workload,
                queue_url=self.queue_url,
                seconds=seconds,
                server_pid=self.server.pid,
            )
        )


def compare(settings: Settings, name: str, workload: str, *, burdened: Side, free: Side, bar: float) -> Figure:
    """The burdened side's rate over the free side's, in requests a second; each pair in the other order."""
    ratios: list[float] = []
    rates: list[tuple[float, float]] = []
    for number in range(settings.rounds):
        order = (burdened, free) if number % 2 else (free, burdened)
        outcomes = {side: side.measure(workload, settings.seconds) for side in order}
        ours, theirs = outcomes[burdened], outcomes[free]
        rates.append((ours.requests_a_second, theirs.requests_a_second))
        ratios.append(ours.requests_a_second / theirs.requests_a_second)
        console.print(
            f"  {workload}: {rates[-1][0]:,.0f}/s, free {rates[-1][1]:,.0f}/s, ratio {ratios[-1]:.3f};"
            f" {describe(ours)}; free: {describe(theirs)}",
            style="dim",
            highlight=False,
        )
    burdened_rate, free_rate = (statistics.median(column) for column in zip(*rates, strict=True))
    detail = f"{burdened_rate:,.0f} requests/s beside {free_rate:,.0f}"
    return figure(name, "of the free rate", ratios, bar=bar, detail=detail)
