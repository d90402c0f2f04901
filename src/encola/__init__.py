"""Encola: a durable message server and the consumers that work its queues.

app = encola.App("back-office")

@app.task(queue="reports", key="report/{month}")
def report(month: str) -> str: ...
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from encola.consumers.app import App as App
    from encola.consumers.context import CurrentJob as CurrentJob
    from encola.consumers.context import current_job as current_job
    from encola.consumers.context import progress as progress
    from encola.consumers.errors import AlreadyDone as AlreadyDone
    from encola.consumers.errors import BadPayloadError as BadPayloadError
    from encola.consumers.errors import JobCancelledError as JobCancelledError
    from encola.consumers.errors import JobDeadError as JobDeadError
    from encola.consumers.errors import NoRecordsError as NoRecordsError
    from encola.consumers.errors import Permanent as Permanent
    from encola.consumers.errors import ResultPendingError as ResultPendingError
    from encola.consumers.errors import ResultTypeError as ResultTypeError
    from encola.consumers.errors import Retry as Retry
    from encola.consumers.errors import SendError as SendError
    from encola.consumers.errors import TaskTimeoutError as TaskTimeoutError
    from encola.consumers.job import Job as Job
    from encola.consumers.middleware import Middleware as Middleware
    from encola.consumers.resources import USE as USE
    from encola.consumers.resources import Use as Use
    from encola.consumers.retry import Backoff as Backoff
    from encola.consumers.workflow import chain as chain
    from encola.consumers.workflow import group as group

_HOMES = {
    "App": "app",
    "CurrentJob": "context",
    "current_job": "context",
    "progress": "context",
    "AlreadyDone": "errors",
    "BadPayloadError": "errors",
    "JobCancelledError": "errors",
    "JobDeadError": "errors",
    "Permanent": "errors",
    "NoRecordsError": "errors",
    "ResultPendingError": "errors",
    "ResultTypeError": "errors",
    "Retry": "errors",
    "SendError": "errors",
    "TaskTimeoutError": "errors",
    "Job": "job",
    "Middleware": "middleware",
    "USE": "resources",
    "Use": "resources",
    "Backoff": "retry",
    "chain": "workflow",
    "group": "workflow",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the names of a table


def __getattr__(name: str) -> Any:  # when first asked for: a server does not need the runtime
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"encola.consumers.{home}"), name)
    return value
