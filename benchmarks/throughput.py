"""Durable throughput beside the ceiling C of the same run.

C and encola take turns, a second or two each, because a machine's speed drifts: what encola reaches is divided by the
mean of C just before and just after. The figure is the median of these ratios. Each round has a fresh server with an
empty directory.

``cost`` is told too: encola's requests (or messages) per second of its processor time, over C's. It hides waiting for
the disk, but other programs on the same core hardly move it: if it holds while the ratio falls, look at the machine.
"""

import statistics
from typing import NamedTuple

from benchmarks.job import Job, Outcome
from benchmarks.results import Figure, Result, console, figure
from benchmarks.run import Settings, describe, generate
from benchmarks.servers import Running, ceiling, encola, remove


class Course(NamedTuple):
    """A workload, and what of it is compared with C."""

    workload: str
    name: str
    bar: float
    messages: bool

    def rate(self, outcome: Outcome) -> float:
        return outcome.messages_a_second if self.messages else outcome.requests_a_second


COURSES = (
    Course("send", "fsync: single send, requests/s over C", 0.35, False),
    Course("mix", "fsync: send, receive, delete one by one, requests/s over C", 0.25, False),
    Course("batch", "fsync: batch send of ten, messages/s over C", 0.8, True),
    Course("cycle", "fsync: batch cycle (send 10, receive 10, delete 10), messages/s over C", 0.3, True),
)


class Pair(NamedTuple):
    """One measured run between two of C."""

    before: Outcome
    ours: Outcome
    after: Outcome

    @property
    def bare(self) -> float:
        return (self.before.requests_a_second + self.after.requests_a_second) / 2

    @property
    def bare_busy(self) -> float:
        return (self.before.server_busy + self.after.server_busy) / 2


def run(settings: Settings) -> Result:
    pairs: dict[str, list[Pair]] = {course.workload: [] for course in COURSES}
    with ceiling(settings.scratch) as bare:
        for number in range(settings.rounds):
            data = settings.scratch / "throughput"
            with encola(data) as ours:
                before = _ceiling(settings, bare)
                for course in COURSES:
                    outcome = _measure(settings, course, ours)
                    after = _ceiling(settings, bare)
                    pair = Pair(before, outcome, after)
                    before = after
                    pairs[course.workload].append(pair)
                    _tell(number, course, pair)
            remove(data)
    figures = [_figure(course, pairs[course.workload]) for course in COURSES]
    every_bare = [pair.bare for group in pairs.values() for pair in group]
    figures.append(figure("C, the ceiling", "requests/s", every_bare))
    return Result(benchmark="throughput", title="Throughput, 128 connections, 1 kB bodies, fsync on", figures=figures)


def _ceiling(settings: Settings, bare: Running) -> Outcome:
    seconds = settings.seconds / 2
    return generate(Job(port=bare.port, workload="send", queue_url="bare", seconds=seconds, server_pid=bare.pid))


def _measure(settings: Settings, course: Course, ours: Running) -> Outcome:
    url = ours.queue(course.workload)
    return generate(
        Job(port=ours.port, workload=course.workload, queue_url=url, seconds=settings.seconds, server_pid=ours.pid)
    )


def _figure(course: Course, pairs: list[Pair]) -> Figure:
    ratios = [course.rate(pair.ours) / pair.bare for pair in pairs]
    costs = [ratio * pair.bare_busy / pair.ours.server_busy for ratio, pair in zip(ratios, pairs, strict=True)]
    middle = sorted(pairs, key=lambda pair: course.rate(pair.ours))[len(pairs) // 2]
    unit = "messages/s" if course.messages else "requests/s"
    rate = statistics.median(course.rate(pair.ours) for pair in pairs)
    detail = f"{rate:,.0f} {unit}; cost {statistics.median(costs):.2f}; {describe(middle.ours)}"
    return figure(course.name, "C", ratios, bar=course.bar, detail=detail)


def _tell(number: int, course: Course, pair: Pair) -> None:
    rate, bare = course.rate(pair.ours), pair.bare
    console.print(
        f"  round {number + 1}, {course.workload}: {rate:,.0f}/s, C {bare:,.0f}/s, ratio {rate / bare:.3f};"
        f" {describe(pair.ours)}",
        style="dim",
        highlight=False,
    )
