"""The metrics sent to an OpenTelemetry collector, every so often (OTLP over HTTP).

    event loop: the values of a moment -> thread: data points -> exporter -> collector

The data points are made here and handed to OpenTelemetry's exporter: instruments of its SDK would keep no more than
2,000 queues apart, and would count what is counted already. A collector that is down costs nothing but a line in the
log; what it missed is in the next sums, which are cumulative. Names are those of Prometheus. Source: OpenTelemetry
protocol 1.x, "Metrics data model".
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from encola.broker.broker import Broker
from encola.engine.queue import Queue
from encola.metrics.families import COUNTER, HISTOGRAMS, QUEUE, SERVER, Facts, Histogram, Value
from encola.metrics.lines import ServerSnapshot, Snapshot
from encola.metrics.prometheus import QUEUES_MAX
from encola.metrics.sampler import Sampler

EXPORT_SECONDS_MAX = 10.0
"""For one sending, its repetitions included; and no longer than until the next one."""

_NOT_KNOWN: Any = None  # the least and the largest value: the protocol lets them be left out, the class does not say so

_log = logging.getLogger("encola.metrics")


class Moment:
    """What is sent at once."""

    def __init__(self, facts: Facts, server: ServerSnapshot, rows: Sequence[tuple[Queue, Snapshot]]) -> None:
        self.facts = facts
        self.server = server
        self.rows = rows


class OtlpExport:
    """See the module. ``seconds`` are between the beginnings of two sendings."""

    def __init__(
        self,
        broker: Broker,
        sampler: Sampler,
        facts: Callable[[], Facts],
        endpoint: str,
        headers: Mapping[str, str],
        seconds: float,
    ) -> None:
        self._broker = broker
        self._sampler = sampler
        self._facts = facts
        self._seconds = seconds
        version = facts().version
        self._collector = urlsplit(endpoint).hostname
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # it would tell of each attempt
        timeout = min(EXPORT_SECONDS_MAX, seconds)
        self._exporter = OTLPMetricExporter(endpoint=endpoint, headers=dict(headers), timeout=timeout)
        self._resource = Resource.create({"service.name": "encola", "service.version": version})
        self._scope = InstrumentationScope("encola", version)
        self._started = time.time_ns()
        self._failing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encola-otlp")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sends from now on."""
        self._task = asyncio.create_task(self._run(), name="otlp")

    async def stop(self) -> None:
        """Sends no more, and does not wait for a collector that does not answer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._exporter.shutdown()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            try:
                sent = await loop.run_in_executor(self._thread, self._send, self.moment())
            except Exception as error:
                _log.debug("metrics were not sent: %s", type(error).__name__)
                sent = False
            self._note(sent)
            await asyncio.sleep(max(0.0, begun + self._seconds - loop.time()))

    def _note(self, sent: bool) -> None:
        """Tells of a collector that takes nothing once, and once when it does again."""
        if sent is not self._failing:
            return
        self._failing = not sent
        if sent:
            _log.info("metrics are sent to %s again", self._collector)
        else:
            _log.warning("metrics cannot be sent to %s just now", self._collector)

    def moment(self) -> Moment:
        """The values of now; on the event loop, so that nothing of it changes meanwhile."""
        latest = self._sampler.latest
        rows = [(queue, latest[queue.id]) for queue in self._broker.queues() if queue.id in latest]
        return Moment(self._facts(), self._sampler.server, rows[:QUEUES_MAX])

    # In the thread ----------------------------------------------------------------------------------

    def _send(self, moment: Moment) -> bool:
        return self._exporter.export(self.data(moment)) is MetricExportResult.SUCCESS

    def data(self, moment: Moment) -> MetricsData:
        """A moment as data points."""
        scope = ScopeMetrics(self._scope, list(self._metrics(moment)), "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])

    def _metrics(self, moment: Moment) -> Iterator[Metric]:
        now = time.time_ns()
        labels = [{"account": queue.address.account, "queue": queue.address.name} for queue, _ in moment.rows]
        for family in QUEUE:
            values = [family.value(queue, seen) for queue, seen in moment.rows]
            points = [
                self._point(each, value, now)
                for each, value in zip(labels, values, strict=True)
                if math.isfinite(value)
            ]
            if points:
                yield _metric(family.name, family.help, family.unit, family.kind, points)
        for one in SERVER:
            found = one.value(moment.server, moment.facts)
            if found is not None:
                yield _metric(one.name, one.help, one.unit, one.kind, [self._point({}, found, now)])
        for histogram in HISTOGRAMS:
            yield self._histogram(histogram, moment.server, now)

    def _point(self, labels: Mapping[str, str], value: Value, now: int) -> NumberDataPoint:
        return NumberDataPoint(labels, self._started, now, value)

    def _histogram(self, histogram: Histogram, server: ServerSnapshot, now: int) -> Metric:
        counts, total = histogram.read(server)
        point = HistogramDataPoint(
            {}, self._started, now, sum(counts), total, counts, histogram.bounds, _NOT_KNOWN, _NOT_KNOWN
        )
        data = HistogramData([point], AggregationTemporality.CUMULATIVE)
        return Metric(histogram.name, histogram.help, histogram.unit, data)


def _metric(name: str, text: str, unit: str, kind: str, points: Sequence[NumberDataPoint]) -> Metric:
    if kind == COUNTER:
        return Metric(name, text, unit, Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True))
    return Metric(name, text, unit, Gauge(points))
