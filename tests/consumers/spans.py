"""Spans that were made, for tests to look at."""

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Spans:
    """What was traced, the oldest end first."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def of(self, name: str, **attributes: Any) -> list[ReadableSpan]:
        """Those whose names begin so, with these attributes (dots are written as underscores)."""
        return [
            span
            for span in self.all
            if span.name.startswith(name)
            and attributes.items()
            <= {key.replace(".", "_"): value for key, value in (span.attributes or {}).items()}.items()
        ]

    def one(self, name: str, **attributes: Any) -> ReadableSpan:
        (span,) = self.of(name, **attributes)
        return span


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    return (
        child.parent is not None
        and child.parent.span_id == parent.context.span_id
        and child.context.trace_id == parent.context.trace_id
    )
