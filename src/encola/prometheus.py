"""Counters of tasks for Prometheus, with the extra ``prometheus``. See docs/telemetry.md.

app = encola.App("back-office", middleware=[encola.prometheus.Counters()])
"""

try:
    import prometheus_client  # noqa: F401 - is it there?
except ImportError as _error:
    raise ImportError("encola.prometheus needs prometheus-client: pip install 'encola[prometheus]'") from _error

from encola.consumers.counters import Counters as Counters

__all__ = ["Counters"]
