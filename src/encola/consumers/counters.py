"""Counters of tasks for Prometheus. Labels are tasks, queues and outcomes: as many as there are in the code.

Import it from ``encola.prometheus``.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from encola.consumers.context import CurrentJob
from encola.consumers.middleware import Middleware, Outcome

if TYPE_CHECKING:
    from encola.consumers.worker import Worker

BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
"""In seconds: tasks take milliseconds or an hour."""


class _Instruments:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter(
            "encola_task_attempts",
            "Attempts, and calls of batch tasks, by what came of them.",
            ("task", "queue", "outcome"),
            registry=registry,
        )
        self.seconds = Histogram(
            "encola_task_seconds", "How long attempts ran.", ("task",), registry=registry, buckets=BUCKETS
        )
        self.running = Gauge("encola_task_running", "Attempts that run now.", ("task",), registry=registry)
        self.sent = Counter(
            "encola_messages_sent", "Messages that were made to be sent, by their task.", ("task",), registry=registry
        )
        self.batched = Counter(
            "encola_batch_messages", "Messages in calls of batch tasks.", ("task",), registry=registry
        )


_known: "WeakKeyDictionary[CollectorRegistry, _Instruments]" = WeakKeyDictionary()


class Counters(Middleware):
    """Counts in ``registry``, by default prometheus_client's own. Applications with one registry count together."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        found = _known.get(registry)
        if found is None:
            found = _known[registry] = _Instruments(registry)
        self._instruments = found

    def sending(self, task: str, job: str, queue: str, attributes: dict[str, str]) -> None:
        self._instruments.sent.labels(task).inc()

    async def running(
        self, job: CurrentJob, attributes: Mapping[str, str], call_next: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Counts the attempt among those that run."""
        with self._instruments.running.labels(job.task).track_inprogress():
            return await call_next()

    def ended(self, job: CurrentJob, outcome: Outcome, seconds: float) -> None:
        """What was not run counts as an attempt with its outcome, and has no duration."""
        self._instruments.attempts.labels(job.task, job.queue, outcome).inc()
        if seconds:
            self._instruments.seconds.labels(job.task).observe(seconds)
        if job.is_batch:
            self._instruments.batched.labels(job.task).inc(len(job.messages))


class WorkerCollector(Collector):
    """What a worker knows of itself, asked for at each scrape."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks for it."""
        worker = self._worker
        yield GaugeMetricFamily(
            "encola_worker_poll_age_seconds", "Since the last successful poll.", worker.liveness.seconds
        )
        yield GaugeMetricFamily("encola_worker_slots", "Jobs that may run at a time.", worker.slots.concurrency)
        yield GaugeMetricFamily("encola_worker_slots_busy", "Jobs that run now.", worker.slots.busy)
        yield CounterMetricFamily("encola_worker_jobs_done", "Jobs that are off the queue.", worker.jobs_done)


def exposition(worker: "Worker") -> bytes:
    """The page for a scrape: the worker's own values, the default registry, and those of its ``Counters``."""
    own = CollectorRegistry()
    own.register(WorkerCollector(worker))
    registries = [own, REGISTRY]
    for middleware in worker.app.middleware:
        if isinstance(middleware, Counters) and middleware.registry not in registries:
            registries.append(middleware.registry)
    return b"".join(generate_latest(registry) for registry in registries)
