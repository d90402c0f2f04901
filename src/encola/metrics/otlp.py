"""The metrics sent to an OpenTelemetry collector, every so often, by OpenTelemetry's own SDK (OTLP over HTTP).

    event loop: rows (queue, snapshot) -> thread: instruments are observed -> exporter -> collector

What is observed is taken on the event loop, so that the SDK's thread meets no queue that is just being deleted. A
collector that is down costs nothing but a line in the log, and the next sending. Names are those of Prometheus; a
histogram is told by the number and the sum of what it counts. Source: OpenTelemetry specification, "Metrics SDK".
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from encola import __version__
from encola.broker.broker import Broker
from encola.engine.queue import Queue
from encola.metrics.families import COUNTER, HISTOGRAMS, QUEUE, SERVER, Facts, Family, Histogram, ServerFamily
from encola.metrics.lines import Snapshot
from encola.metrics.sampler import Sampler

EXPORT_SECONDS_MAX = 10.0
"""For one sending, its repetitions included."""

_log = logging.getLogger("encola.metrics")

Callback = Callable[[CallbackOptions], Iterable[Observation]]


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
        self._rows: list[tuple[Queue, Snapshot]] = []
        self._told: Facts = Facts()
        exporter = OTLPMetricExporter(endpoint=endpoint, headers=dict(headers), timeout=EXPORT_SECONDS_MAX)
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)  # sent when we say so
        resource = Resource.create({"service.name": "encola", "service.version": __version__})
        self._provider = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._declare()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encola-otlp")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sends from now on."""
        self._task = asyncio.create_task(self._run(), name="otlp")

    async def stop(self) -> None:
        """Sends no more; waits for what is being sent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            latest = self._sampler.latest
            queues = self._broker.queues()
            self._rows = [(queue, latest[queue.id]) for queue in queues if queue.id in latest]
            self._told = self._facts()
            try:
                await loop.run_in_executor(self._thread, self._provider.force_flush, EXPORT_SECONDS_MAX * 1000)
            except Exception as error:
                _log.warning("metrics could not be sent: %s", type(error).__name__)
            await asyncio.sleep(max(0.0, begun + self._seconds - loop.time()))

    # Instruments --------------------------------------------------------------------------------------

    def _declare(self) -> None:
        for family in QUEUE:
            self._add(family.name, family.kind, family.unit, family.help, self._of_queues(family))
        for one in SERVER:
            self._add(one.name, one.kind, one.unit, one.help, self._of_server(one))
        for histogram in HISTOGRAMS:
            name, text = histogram.name, histogram.help
            self._add(f"{name}_sum", COUNTER, histogram.unit, f"{text} The sum.", self._sum_of(histogram))
            self._add(f"{name}_count", COUNTER, "commits", f"{text} The number.", self._count_of(histogram))

    def _add(self, name: str, kind: str, unit: str, text: str, callback: Callback) -> None:
        meter = self._provider.get_meter("encola", __version__)
        create = meter.create_observable_counter if kind == COUNTER else meter.create_observable_gauge
        create(name, [callback], unit=unit, description=text)

    def _of_queues(self, family: Family) -> Callback:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            for queue, seen in self._rows:
                value = family.value(queue, seen)
                if math.isfinite(value):
                    yield Observation(value, {"account": queue.address.account, "queue": queue.address.name})

        return observe

    def _of_server(self, family: ServerFamily) -> Callback:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            value = family.value(self._sampler.server, self._told)
            return [] if value is None else [Observation(value)]

        return observe

    def _sum_of(self, histogram: Histogram) -> Callback:
        return lambda _: [Observation(histogram.read(self._sampler.server)[1])]

    def _count_of(self, histogram: Histogram) -> Callback:
        return lambda _: [Observation(sum(histogram.read(self._sampler.server)[0]))]
