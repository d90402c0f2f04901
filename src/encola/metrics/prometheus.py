"""The text formats of Prometheus: all that was sampled last, for whoever comes to scrape.

Written by hand: ``docs/decisions/metrics.md`` says why. What is rendered is kept until the next tick of the sampler, so
that several scrapers cost one pass, and the pass gives way to others after each ``SLICE`` of queues.

Sources: "Text-based format" 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats), OpenMetrics 1.0.0.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

import msgspec

from encola.broker.broker import Broker
from encola.engine.message import Instant
from encola.engine.queue import Queue
from encola.metrics.families import COUNTER, HISTOGRAMS, QUEUE, SERVER, Facts, Family, Histogram, Value
from encola.metrics.lines import Snapshot
from encola.metrics.sampler import Sampler

QUEUES_MAX = 10_000
"""Queues that one answer tells of; ``encola_queues_left_out`` counts those that it does not."""

SLICE = 50
RENDERED_MAX = 16  # different answers that are kept until the next tick

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"

NOTHING = Snapshot()


class Scope(msgspec.Struct, frozen=True):
    """What a scraper may and wants to see. ``account`` None: all. Names fit one of ``allowed`` and of ``wanted``."""

    account: str | None = None
    allowed: tuple[str, ...] = ("*",)
    wanted: tuple[str, ...] = ("*",)
    server: bool = True

    def queues(self, broker: Broker) -> list[Queue]:
        """The queues of it, by name."""
        queues = list(broker.queues(self.account))
        for patterns in (self.allowed, self.wanted):
            if "*" not in patterns:
                queues = [one for one in queues if any(fnmatchcase(one.address.name, each) for each in patterns)]
        return queues


class Prometheus:
    """See the module. ``facts`` is asked at each pass."""

    def __init__(
        self, broker: Broker, sampler: Sampler, facts: Callable[[], Facts], *, queues_max: int = QUEUES_MAX
    ) -> None:
        self._broker = broker
        self._sampler = sampler
        self._facts = facts
        self._queues_max = queues_max
        self._at: Instant = -1
        self._rendered: dict[tuple[Scope, bool], asyncio.Task[bytes]] = {}
        self.passes = 0

    async def render(self, scope: Scope, *, open_metrics: bool = False) -> bytes:
        """The metrics as text: one pass, whoever asks for the same until the next tick."""
        at = self._sampler.server.at
        if at != self._at or len(self._rendered) >= RENDERED_MAX:
            self._at = at
            self._rendered.clear()
        key = scope, open_metrics
        task = self._rendered.get(key)
        if task is None or (task.done() and task.exception() is not None):
            task = self._rendered[key] = asyncio.create_task(self._render(scope, open_metrics), name="metrics text")
        await asyncio.wait([task])  # a scraper that leaves does not end it for the others
        return task.result()

    async def _render(self, scope: Scope, open_metrics: bool) -> bytes:
        self.passes += 1
        queues = scope.queues(self._broker)
        told, left_out = queues[: self._queues_max], max(0, len(queues) - self._queues_max)
        parts: list[str] = []
        if scope.server:
            parts += self._of_server(open_metrics, self._facts())
        parts += _single("encola_queues_left_out", "Queues beyond the largest number that is told of.", left_out)
        bodies: list[list[str]] = [[] for _ in QUEUE]
        latest = self._sampler.latest
        for begin in range(0, len(told), SLICE):
            for queue in told[begin : begin + SLICE]:
                seen = latest.get(queue.id, NOTHING)
                address = queue.address
                labels = f'{{account="{_label(address.account)}",queue="{_label(address.name)}"}} '
                for family, body in zip(QUEUE, bodies, strict=True):
                    body.append(f"{family.name}{labels}{_number(family.value(queue, seen))}\n")
            await asyncio.sleep(0)
        for family, body in zip(QUEUE, bodies, strict=True):
            parts += _head(family.name, family.kind, family.help, open_metrics)
            parts.append("".join(body))
        if open_metrics:
            parts.append("# EOF\n")
        return "".join(parts).encode()

    def _of_server(self, open_metrics: bool, facts: Facts) -> Iterable[str]:
        seen = self._sampler.server
        version = _label(facts.version)
        yield from _head("encola_build_info", "gauge", "Always 1; the label tells the version.", open_metrics)
        yield f'encola_build_info{{version="{version}"}} 1\n'
        for family in SERVER:
            value = family.value(seen, facts)
            if value is not None:
                yield from _head(family.name, family.kind, family.help, open_metrics)
                yield f"{family.name} {_number(value)}\n"
        for histogram in HISTOGRAMS:
            yield from _head(histogram.name, "histogram", histogram.help, open_metrics)
            yield from _buckets(histogram, *histogram.read(seen))


def _head(name: str, kind: str, text: str, open_metrics: bool) -> tuple[str, str]:
    if open_metrics and kind == COUNTER:
        name = name.removesuffix("_total")
    return f"# HELP {name} {text}\n", f"# TYPE {name} {kind}\n"


def _single(name: str, text: str, value: Value) -> list[str]:
    return [*_head(name, "gauge", text, False), f"{name} {_number(value)}\n"]


def _buckets(histogram: Histogram, counts: Sequence[int], total: float) -> Iterable[str]:
    so_far = 0
    for bound, count in zip((*histogram.bounds, math.inf), counts, strict=True):
        so_far += count
        yield f'{histogram.name}_bucket{{le="{_number(float(bound))}"}} {so_far}\n'
    yield f"{histogram.name}_sum {_number(total)}\n{histogram.name}_count {so_far}\n"


def _number(value: Value) -> str:
    if value == math.inf:
        return "+Inf"
    return repr(value)


def _label(text: str) -> str:
    """A label's value in its quotes."""
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text


def families() -> dict[str, str]:
    """The names of all metrics, and their kinds."""
    of_queues: dict[str, str] = {family.name: family.kind for family in QUEUE}
    of_server = {family.name: family.kind for family in SERVER}
    histograms = {histogram.name: "histogram" for histogram in HISTOGRAMS}
    return {**of_queues, **of_server, **histograms, "encola_build_info": "gauge", "encola_queues_left_out": "gauge"}


__all__ = ["OPEN", "QUEUES_MAX", "TEXT", "Family", "Prometheus", "Scope", "families"]
