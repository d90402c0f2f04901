"""Logs: one line an event on the standard error stream, as JSON for machines or as text for people. No payloads."""

import logging
import sys
from datetime import UTC, datetime

import msgspec

from encola.protocols.http.message import AccessHook, Request, Response
from encola.server.config import LogConfig

_access = logging.getLogger("encola.access")
_encode = msgspec.json.Encoder().encode


class JsonFormatter(logging.Formatter):
    """``time``, ``level``, ``logger``, ``message``, then what ``extra={"fields": {...}}`` adds."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _encode(line).decode()


class TextFormatter(logging.Formatter):
    """Time, level and message, then the fields as ``name=value``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        text = super().format(record)
        return f"{text}  {' '.join(f'{name}={value}' for name, value in fields.items())}" if fields else text


def start_logging(config: LogConfig) -> None:
    """Sends the logs of encola, and only those, to the standard error stream."""
    as_text = config.format == "text" or (config.format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger("encola")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(config.level.upper())


def access_hook(config: LogConfig) -> AccessHook | None:
    """What logs each request: method, path, action, status, bytes and milliseconds; no query, no body, no key."""
    if not config.access:
        return None

    def log(request: Request, response: Response, seconds: float) -> None:
        fields = {
            "method": request.method,
            "path": request.target.partition("?")[0][:200],
            "action": request.headers.get("x-amz-target", "").rpartition(".")[2][:100],
            "status": response.status,
            "request_bytes": len(request.body),
            "response_bytes": len(response.body),
            "milliseconds": round(seconds * 1000, 3),
            "peer": request.peer,
        }
        _access.info("request", extra={"fields": fields})

    return log
