"""docs/telemetry.md: its tables of spans, attributes, outcomes, metrics and hooks are those of the code."""

import inspect
import typing

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

import encola
from encola.consumers import status
from encola.consumers.counters import WorkerCollector
from encola.consumers.middleware import Middleware, Outcome
from encola.consumers.tracing import LINKS_MAX
from encola.consumers.worker import Worker
from encola.otel import Tracing
from encola.prometheus import Counters
from encola.testing import Inline

from .files import ROOT
from .markdown import plain, prose, section, table

PAGE = ROOT / "docs" / "telemetry.md"


def traced() -> tuple[ReadableSpan, ...]:
    """Spans of all kinds: of one message and of several, well and failed, of jobs and batches."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = encola.App("page", middleware=[Tracing(provider)])

    @app.task(queue="q", retries=0)
    def work(n: int) -> float:
        return 1 / n

    @app.batch(queue="b")
    def store(items: list[int]) -> None: ...

    with Inline(app) as run:
        work.send(1)
        work.send_many([(0,), (2,)])
        store.send_many([(1,), (2,)])
        run.until_idle()
        app.create_queues = False
        stray = app.task(queue="missing", name="stray")(lambda: None)
        with pytest.raises(encola.SendError):
            stray.send()
    return exporter.get_finished_spans()


def test_the_spans_and_their_kinds_are_those_of_the_code() -> None:
    told = {plain(row[0]).partition(" ")[0]: row[1] for row in table(section(PAGE, "Spans"))}
    assert told == {span.name.partition(" ")[0]: span.kind.name for span in traced()}
    assert f"(up to {LINKS_MAX})" in section(PAGE, "Spans")


def test_the_attributes_and_whose_they_are_are_those_of_the_code() -> None:
    told = {
        (name, span)
        for row in table(section(PAGE, "Attributes"))
        for name in plain(row[0]).split(", ")
        for span in row[1].split(", ")
    }
    assert told == {(name, span.name.partition(" ")[0]) for span in traced() for name in span.attributes or {}}


def test_the_outcomes_are_those_of_the_code() -> None:
    assert {plain(row[0]) for row in table(section(PAGE, "Outcomes"))} == set(typing.get_args(Outcome))


def test_the_metrics_their_types_and_labels_are_those_of_the_code() -> None:
    registry = CollectorRegistry()
    app = encola.App("page", middleware=[Counters(registry)])
    app.task(queue="q", name="work")(lambda: None)
    app.batch(queue="b", name="store")(lambda items: None)
    with Inline(app) as run:
        app.tasks["work"].send()
        app.tasks["store"].send(1)
        run.until_idle()
    registry.register(WorkerCollector(Worker(app)))
    told = {
        plain(row[0]): (row[1], {one for one in row[2].split(", ") if one}) for row in table(section(PAGE, "Counters"))
    }
    found = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name: (
            metric.type,
            {label for sample in metric.samples for label in sample.labels} - {"le"},
        )
        for metric in registry.collect()
    }
    assert told == found


def test_the_paths_and_limits_of_the_page_are_those_of_the_worker() -> None:
    text = section(PAGE, "The status page")
    app = encola.App("page")
    app.task(queue="q", name="work")(lambda: None)
    page = status.StatusPage(Worker(app))
    paths = {resource.canonical for resource in page._runner.app.router.resources()}
    assert {plain(row[0]) for row in table(text)} == paths
    assert f"less than {status.SILENT_SECONDS_MAX:.0f} seconds" in text
    assert f"up to {status.RUNNING_MAX:,} jobs" in text


def test_the_hooks_are_those_of_the_code() -> None:
    told = [plain(row[0]) for row in table(section(PAGE, "Hooks of your own"))]
    hooks = [one for name, one in vars(Middleware).items() if not name.startswith("_")]
    assert told == [f"{one.__name__}({', '.join(list(inspect.signature(one).parameters)[1:])})" for one in hooks]


def test_the_logger_that_the_page_names_is_the_one_of_the_code() -> None:
    from encola.consumers import tracing

    assert f"`{tracing._log.name}`" in prose(PAGE)
