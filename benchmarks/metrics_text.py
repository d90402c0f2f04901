"""What a scrape of 1,000 queues costs: our own text against that of ``prometheus_client``, in the same run.

    python -m benchmarks.metrics_text

Both make the same text of the same samples. The client's cost is told twice: with its objects made for each scrape, as
a collector does, and of the text alone. See ``docs/decisions/metrics.md``.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterable
from typing import cast

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from encola.broker.broker import Broker
from encola.engine.message import Counts, QueueId
from encola.engine.metrics import Backlog, Tally
from encola.engine.queue import Address, Queue
from encola.metrics.families import COUNTER, QUEUE, Facts
from encola.metrics.lines import ServerSnapshot, Snapshot
from encola.metrics.prometheus import Prometheus, Scope
from encola.metrics.sampler import Sampler

QUEUES = 1_000
ROUNDS = 25

_SEEN = Snapshot(
    tally=Tally(sent=12_345, sent_bytes=678_901, received=12_000, deleted=11_000, empty_receives=17, dead_lettered=3),
    backlog=Backlog(Counts(120, 14, 3)),
    age=12.345,
    age_new=8.1,
    age_retrying=3.25,
    arrival_rate=17.516666,
    service_rate=16.93333,
    dead_letter_rate=0.016666,
    busy=4,
    idle=2,
    parked=1,
)


class Samples:
    """Stands for the broker and the sampler: what rendering asks of them."""

    def __init__(self) -> None:
        self._queues = [
            Queue(id=QueueId(n), address=Address("111122223333", f"shop-orders-{n:04}"), created_at=1, modified_at=1)
            for n in range(1, QUEUES + 1)
        ]
        self.latest = {queue.id: _SEEN for queue in self._queues}
        self.server = ServerSnapshot(at=1)

    def queues(self, _: str | None = None) -> list[Queue]:
        """All of them."""
        return self._queues


class OfClient(Collector):
    """The same samples as the client's objects."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def collect(self) -> Iterable[Metric]:
        """Makes them anew."""
        for family in QUEUE:
            make = CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
            metric = make(family.name, family.help, labels=["account", "queue"])
            for queue in self._samples.queues():
                value = family.value(queue, self._samples.latest[queue.id])
                metric.add_metric([queue.address.account, queue.address.name], value)
            yield metric


class Made(Collector):
    """Objects of the client that were made before."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        """Makes nothing."""
        return self._metrics


def seconds(work: Callable[[], bytes]) -> float:
    """The processor time of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def of_client(collector: Collector) -> Callable[[], bytes]:
    """A scrape by the client."""
    registry = CollectorRegistry()
    registry.register(collector)
    return lambda: bytes(generate_latest(registry))


def main() -> None:
    """Takes turns, and prints the medians and their ratios to ours."""
    samples = Samples()

    async def render() -> bytes:
        server = Prometheus(cast(Broker, samples), cast(Sampler, samples), Facts)
        return await server.render(Scope(server=False))

    contestants = {
        "encola": lambda: asyncio.run(render()),
        "prometheus_client": of_client(OfClient(samples)),
        "prometheus_client, text only": of_client(Made(OfClient(samples).collect())),
    }
    took: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, work in contestants.items():
            took[name].append(seconds(work))
    ours = statistics.median(took["encola"])
    for name, times in took.items():
        median = statistics.median(times)
        print(f"{name:30} {median * 1000:7.1f} ms {median / ours:6.2f} x {len(contestants[name]()):10,} bytes")


if __name__ == "__main__":
    main()
