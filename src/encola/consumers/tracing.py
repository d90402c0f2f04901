"""Spans of messages and attempts, by OpenTelemetry's semantic conventions for messaging (status: development).

A message is ``create``d when its wish is checked; what it carries on its way is the context of that span, as text
attributes of the message. Its ``send`` and each attempt to ``process`` it are children of that span. What concerns
several messages, such as the call of a batch task, has links to them instead. What follows from a job (the next step of
a chain, the last job of a group) is created by that job's attempt, so that all of it is one trace.

Import it from ``encola.otel``.
"""

import asyncio
import itertools
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TracerProvider

from encola.consumers.context import CurrentJob, current
from encola.consumers.errors import AlreadyDone
from encola.consumers.message import TRACE_LENGTH_MAX
from encola.consumers.middleware import ATTRIBUTES_MAX, Middleware, Outcome
from encola.consumers.transport import Outgoing

SYSTEM = "aws_sqs"
ID = "messaging.message.id"
LINKS_MAX = 128
"""Of one batch: more are dropped by OpenTelemetry's SDK, unless it is told otherwise."""

GOOD: Sequence[Outcome] = ("completed", "replayed", "released")

_XRAY = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})\Z")
_XRAY_PARENT = re.compile(r"Parent=([0-9a-f]{16})\Z")
_NONE = Context()
_log = logging.getLogger("encola.tracing")


class Tracing(Middleware):
    """See the module. ``provider`` and ``propagator`` are those that OpenTelemetry knows as the global ones by default.

    Where a message has no room for the context (``ATTRIBUTES_MAX``), it goes without.
    """

    def __init__(self, provider: TracerProvider | None = None, propagator: TextMapPropagator | None = None) -> None:
        from encola import __version__

        self._tracer = trace.get_tracer("encola", __version__, provider)
        self._propagator = propagator
        self._spans: dict[CurrentJob, tuple[Span, int, bool]] = {}
        self._told = False

    # Creating -----------------------------------------------------------------------------------------

    def sending(self, task: str, job: str, queue: str, attributes: dict[str, str]) -> None:
        """A span for the message. It follows the context in ``attributes``, if there is one, else the current."""
        parent = self._extract(attributes) or self._context_of_job()
        span = self._tracer.start_span(
            f"create {queue}",
            contexts.get_current() if parent is None else parent,
            SpanKind.PRODUCER,
            _of(task, queue, job, "create"),
        )
        span.end()
        carried = self._inject(trace.set_span_in_context(span, parent))
        for name, value in carried.items():
            if name in attributes or len(attributes) < ATTRIBUTES_MAX:
                attributes[name] = value
            elif not self._told:
                self._told = True
                _log.debug("job %s goes without %s: its message has no room for it (told once)", job, name)

    async def delivering(
        self, queue: str, messages: Sequence[Outgoing], call_next: Callable[[], Awaitable[Any]]
    ) -> Any:
        """A span for the way to the queue: the child of the message, or with links if there are several."""
        told: dict[str, Any] = _operation(queue, "send")
        parent, links = None, []
        if len(messages) == 1:
            parent = self._extract(messages[0].attributes)
        else:
            told["messaging.batch.message_count"] = len(messages)
            links = self._links((message.attributes, None, {}) for message in messages)
        with self._tracer.start_as_current_span(
            f"send {queue}", parent, SpanKind.CLIENT, told, links, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                return await call_next()
            except Exception as error:
                span.record_exception(error)
                _fail(span, type(error).__qualname__)
                raise

    # Processing ---------------------------------------------------------------------------------------

    async def running(
        self, job: CurrentJob, attributes: Mapping[str, str], call_next: Callable[[], Awaitable[Any]]
    ) -> Any:
        """The attempt is the current span within the task. It ends in ``ended``, when its outcome is known."""
        span, parent = self._start(job)
        active = trace.set_span_in_context(span, parent)
        job.carry = self._inject(active)
        token = contexts.attach(active)
        failed = False
        try:
            return await call_next()
        except (AlreadyDone, asyncio.CancelledError):  # no errors; what a stop means is told by the outcome
            raise
        except BaseException as error:
            failed = True
            span.record_exception(error)
            _fail(span, type(error).__qualname__)
            raise
        finally:
            contexts.detach(token)
            self._spans[job] = span, time.time_ns(), failed

    def ended(self, job: CurrentJob, outcome: Outcome, seconds: float) -> None:
        """Ends the span, as of when the task was over. What was not run has one if it is over now all the same."""
        span, end, failed = self._spans.pop(job, (None, None, False))
        if span is None:
            if outcome == "released":
                return
            span, _ = self._start(job)
        span.set_attribute("encola.outcome", outcome)
        if outcome not in GOOD and not failed:
            _fail(span, outcome)
        span.end(end)

    def _start(self, job: CurrentJob) -> tuple[Span, Context]:
        one = None if job.is_batch else job.messages[0]
        parent = self._parent(one.attributes, one.trace) if one is not None else None
        told: dict[str, Any] = {**_of(job.task, job.queue, job.id, "process"), "encola.attempt": job.attempt}
        links: list[Link] = []
        if one is not None:
            told[ID] = one.message_id
        else:
            told["messaging.batch.message_count"] = len(job.messages)
            links = self._links((one.attributes, one.trace, {ID: one.message_id}) for one in job.messages)
        around = trace.get_current_span().get_span_context()
        if parent is None and around.is_valid:  # such as that of the invocation of a pushed function
            links.append(Link(around))
        parent = parent or _NONE
        return self._tracer.start_span(f"process {job.queue}", parent, SpanKind.CONSUMER, told, links), parent

    def _links(self, messages: Iterable[tuple[Mapping[str, str], str | None, dict[str, str]]]) -> list[Link]:
        """To those who created the messages, given by attributes, X-Ray's header, and what the link is to tell."""
        links = []
        for attributes, xray, told in itertools.islice(messages, LINKS_MAX):
            found = trace.get_current_span(self._parent(attributes, xray) or _NONE).get_span_context()
            if found.is_valid:
                links.append(Link(found, told))
        return links

    # Contexts -----------------------------------------------------------------------------------------

    def _parent(self, attributes: Mapping[str, str], xray: str | None) -> Context | None:
        return self._extract(attributes) or _of_xray(xray)

    def _extract(self, attributes: Mapping[str, str]) -> Context | None:
        """None: there is none, or nobody can read it."""
        extract = self._propagator.extract if self._propagator is not None else propagate.extract
        context = extract(attributes, _NONE)
        return context if trace.get_current_span(context).get_span_context().is_valid else None

    def _context_of_job(self) -> Context | None:
        """In a process of a task's own, where its span is not: what the job carries."""
        job = current.get()
        if job is None or trace.get_current_span().get_span_context().is_valid:
            return None
        return self._extract(job.carry)

    def _inject(self, context: Context) -> dict[str, str]:
        """Attributes for a message: an empty one is refused, and one that is very long is not worth it."""
        carried: dict[str, str] = {}
        inject = self._propagator.inject if self._propagator is not None else propagate.inject
        inject(carried, context)
        return {name: value for name, value in carried.items() if 0 < len(value) <= TRACE_LENGTH_MAX}


def _of(task: str, queue: str, job: str, operation: str) -> dict[str, str]:
    return {**_operation(queue, operation), "encola.task": task, "encola.job.id": job}


def _operation(queue: str, operation: str) -> dict[str, str]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
    }


def _fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, kind))


def _of_xray(header: str | None) -> Context | None:
    """The context that AWS X-Ray's header names: Root=1-(8 digits)-(24 digits);Parent=(16 digits);Sampled=1."""
    if not header:
        return None
    parts = [part.strip() for part in header.split(";")]
    roots = [found for part in parts if (found := _XRAY.match(part))]
    parents = [found for part in parts if (found := _XRAY_PARENT.match(part))]
    if not roots or not parents:
        return None
    flags = TraceFlags(TraceFlags.SAMPLED if "Sampled=1" in parts else TraceFlags.DEFAULT)
    one = SpanContext(int("".join(roots[0].groups()), 16), int(parents[0][1], 16), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(one), _NONE) if one.is_valid else None
