"""Spans of tasks for OpenTelemetry, with the extra ``otel``. See docs/telemetry.md.

app = encola.App("back-office", middleware=[encola.otel.Tracing()])
"""

try:
    import opentelemetry.trace  # noqa: F401 - is it there?
except ImportError as _error:
    raise ImportError("encola.otel needs OpenTelemetry: pip install 'encola[otel]'") from _error

from encola.consumers.tracing import Tracing as Tracing

__all__ = ["Tracing"]
