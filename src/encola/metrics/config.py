"""What can be configured of metrics (section ``metrics``)."""

import math
from urllib.parse import urlsplit

import msgspec


class MetricsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``public`` shows ``/metrics`` to everybody, also where there are credentials; ``history`` keeps one.

    ``otlp_endpoint`` is where metrics are sent every ``otlp_seconds`` (OTLP over HTTP, with ``otlp_headers``); None:
    nowhere.
    """

    history: bool = True
    public: bool = False
    otlp_endpoint: str | None = None
    otlp_headers: dict[str, str] = {}
    otlp_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.otlp_endpoint is not None and not _is_url(self.otlp_endpoint):
            raise ValueError("otlp_endpoint must be a URL, as http://127.0.0.1:4318/v1/metrics")
        if not 1 <= self.otlp_seconds < math.inf:
            raise ValueError("otlp_seconds must be 1 or more, and not infinite")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
