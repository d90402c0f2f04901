"""Spans: one trace from the producer to the attempt and what follows; batches with links; nothing of the payload."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.trace import SpanKind, StatusCode

import encola
import encola.otel
from encola.consumers.context import CurrentJob, current
from encola.testing import Inline

from .bench import until, working
from .spans import Spans, is_child

SECRET = "4111-1111-1111-1111"


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
def traced(spans: Spans) -> encola.App:
    """An application whose spans are kept, to be run inline."""
    return encola.App("traced", middleware=[encola.otel.Tracing(spans.provider)])


def test_what_a_task_sends_from_a_process_of_its_own_is_in_its_trace(traced: encola.App, spans: Spans) -> None:
    """The span is the worker's, in another process: what the job carries tells of it."""

    @traced.task(queue="q")
    def charge() -> None: ...

    with spans.tracer.start_as_current_span("process charge"):
        carry = dict(charge.prepare((), {}).message.attributes)
    job = CurrentJob("traced", "charge", "charge/1", "q", 1)
    job.carry = {name: value for name, value in carry.items() if name == "traceparent"}
    token = current.set(job)
    charge.prepare((), {})
    current.reset(token)
    before, sent = spans.of("create")
    assert is_child(sent, before)


async def test_producer_message_attempt_and_what_a_task_traces_in_a_thread_are_one_trace(
    make_app: Callable[..., encola.App], queue: str, spans: Spans
) -> None:
    app = make_app(middleware=[encola.otel.Tracing(spans.provider)])

    @app.task(queue=queue)
    def charge(card: str) -> None:
        with spans.tracer.start_as_current_span("bank"):
            pass

    async with working(app):
        with spans.tracer.start_as_current_span("request"):
            job = await charge.asend(SECRET)
        await until(lambda: spans.of("process"), "the attempt's span")
    request, create, process, bank = (spans.one(name) for name in ("request", "create", "process", "bank"))
    assert is_child(create, request)
    assert is_child(process, create)
    assert is_child(bank, process)
    assert (create.name, create.kind) == (f"create {queue}", SpanKind.PRODUCER)
    assert (process.name, process.kind) == (f"process {queue}", SpanKind.CONSUMER)
    assert dict(create.attributes or {}) == {
        "messaging.system": "aws_sqs",
        "messaging.operation.name": "create",
        "messaging.operation.type": "create",
        "messaging.destination.name": queue,
        "encola.task": "charge",
        "encola.job.id": job.id,
    }
    told = dict(process.attributes or {})
    assert told.pop("messaging.message.id")
    assert told == {
        "messaging.system": "aws_sqs",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": queue,
        "encola.task": "charge",
        "encola.job.id": job.id,
        "encola.attempt": 1,
        "encola.outcome": "completed",
    }
    assert process.status.status_code is StatusCode.UNSET
    assert SECRET not in "".join(span.to_json() for span in spans.all)


def test_sync_send_within_a_span_of_the_producer_follows_it(traced: encola.App, spans: Spans) -> None:
    @traced.task(queue="q")
    def work() -> None: ...

    with Inline(traced) as run:
        with spans.tracer.start_as_current_span("request"):
            work.send()
        run.until_idle()
    assert is_child(spans.one("create"), spans.one("request"))


async def test_several_messages_are_sent_in_one_span_with_a_link_to_each(
    make_app: Callable[..., encola.App], queue: str, spans: Spans
) -> None:
    app = make_app(middleware=[encola.otel.Tracing(spans.provider)])

    @app.task(queue=queue)
    async def work(n: int) -> None: ...

    async with working(app):
        with spans.tracer.start_as_current_span("request"):
            await asyncio.to_thread(work.send_many, [(1,), (2,)])
    send = spans.one("send")
    assert is_child(send, spans.one("request"))  # also from a thread: the loop that sends is another
    assert {link.context.span_id for link in send.links} == {span.context.span_id for span in spans.of("create")}
    assert send.kind is SpanKind.CLIENT
    assert dict(send.attributes or {}) == {
        "messaging.system": "aws_sqs",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": queue,
        "messaging.batch.message_count": 2,
    }


def test_a_message_that_could_not_be_sent_says_so_in_its_trace(
    make_app: Callable[..., encola.App], queue: str, spans: Spans
) -> None:
    app = make_app(middleware=[encola.otel.Tracing(spans.provider)], create_queues=False)

    @app.task(queue=queue)
    def work() -> None: ...

    with pytest.raises(encola.SendError):
        work.send()  # nobody has made the queue
    send = spans.one("send")
    assert is_child(send, spans.one("create"))
    assert (send.attributes or {})["error.type"] == "SendError"
    assert (send.status.status_code, len(send.events)) == (StatusCode.ERROR, 1)


def test_spans_of_an_async_task_are_children_of_its_attempt_and_none_of_the_next(
    traced: encola.App, spans: Spans
) -> None:
    @traced.task(queue="q")
    async def work(n: int) -> None:
        with spans.tracer.start_as_current_span(f"inner {n}"):
            await asyncio.sleep(0)

    with Inline(traced) as run:
        work.send_many([(1,), (2,)])
        run.until_idle()
    assert not trace.get_current_span().get_span_context().is_valid
    inner, attempts = spans.of("inner"), spans.of("process")
    assert [is_child(one, attempt) for one, attempt in zip(inner, attempts, strict=True)] == [True, True]
    assert attempts[0].context.trace_id != attempts[1].context.trace_id


def test_nothing_of_one_attempt_is_left_for_the_next(spans: Spans) -> None:
    app = encola.App("alone")

    @app.task(queue="q")
    async def work(n: int) -> None: ...

    with Inline(app) as run:
        work.send_many([(1,), (2,)])  # without a context
        app.middleware.append(encola.otel.Tracing(spans.provider))
        run.until_idle()
    assert [(span.parent, len(span.links)) for span in spans.of("process")] == [(None, 0), (None, 0)]


def test_an_attempt_within_a_span_of_its_host_has_a_link_to_it(spans: Spans) -> None:
    """Such as the invocation of a pushed function, which is of another trace than its messages."""
    app = encola.App("alone")

    @app.task(queue="q")
    async def work() -> None: ...

    with Inline(app) as run:
        work.send()
        app.middleware.append(encola.otel.Tracing(spans.provider))
        with spans.tracer.start_as_current_span("invocation"):
            run.until_idle()
    process = spans.one("process")
    assert process.parent is None
    assert [link.context.span_id for link in process.links] == [spans.one("invocation").context.span_id]


def test_every_attempt_is_a_span_of_its_own_with_its_error(traced: encola.App, spans: Spans) -> None:
    @traced.task(queue="q", retries=1)
    def work() -> None:
        raise ValueError("the printer is on fire")

    with Inline(traced) as run:
        work.send()
        run.advance(hours=1)
    create, attempts = spans.one("create"), spans.of("process")
    assert all(is_child(attempt, create) for attempt in attempts)
    assert [(a.attributes or {})["encola.attempt"] for a in attempts] == [1, 2]
    assert [(a.attributes or {})["encola.outcome"] for a in attempts] == ["retrying", "dead"]
    for attempt in attempts:
        assert (attempt.status.status_code, attempt.status.description) == (StatusCode.ERROR, "ValueError")
        assert (attempt.attributes or {})["error.type"] == "ValueError"
        (event,) = attempt.events
        assert (event.attributes or {})["exception.message"] == "the printer is on fire"


def test_a_job_that_is_done_already_is_no_error(traced: encola.App, spans: Spans) -> None:
    @traced.task(queue="q", key="once")
    def work() -> None:
        raise encola.AlreadyDone("it is in the database")

    with Inline(traced) as run:
        work.send()
        work.send()
        run.until_idle()
    first, second = spans.of("process")
    assert [(span.attributes or {})["encola.outcome"] for span in (first, second)] == ["completed", "replayed"]
    assert [span.status.status_code for span in (first, second)] == [StatusCode.UNSET] * 2
    assert not first.events


def test_the_span_of_an_attempt_lasts_as_long_as_the_task(traced: encola.App, spans: Spans) -> None:
    """It is ended later, when the outcome is known, as of the time at which the task was over."""

    @traced.task(queue="q")
    def work() -> None: ...

    seen: list[int] = []

    class Late(encola.Middleware):
        def ended(self, job: encola.CurrentJob, outcome: Any, seconds: float) -> None:
            assert not spans.of("process")
            seen.append(time.time_ns())

    traced.middleware.append(Late())
    with Inline(traced) as run:
        work.send()
        run.until_idle()
    process = spans.one("process")
    assert process.start_time is not None
    assert process.end_time is not None
    assert process.start_time <= process.end_time < seen[0]


def test_all_steps_of_a_chain_are_one_trace_each_created_by_the_attempt_before(
    traced: encola.App, spans: Spans
) -> None:
    @traced.task(queue="q")
    def first() -> int:
        return 1

    @traced.task(queue="q")
    def second(n: int) -> int:
        return n + 1

    with Inline(traced) as run:
        job = encola.chain(first.s(), second.s(), second.s()).send()
        run.until_idle()
        assert job.result() == 3
    creates = sorted(spans.of("create"), key=lambda span: span.start_time or 0)
    attempts = sorted(spans.of("process"), key=lambda span: span.start_time or 0)
    assert len({span.context.trace_id for span in spans.all}) == 1
    assert len(creates) == len(attempts) == 3
    assert is_child(attempts[0], creates[0])
    assert is_child(creates[1], attempts[0])
    assert is_child(attempts[1], creates[1])
    assert is_child(creates[2], attempts[1])


@pytest.mark.parametrize("late", [False, True])
def test_what_follows_a_group_belongs_to_its_trace_also_if_its_time_was_over(
    traced: encola.App, spans: Spans, late: bool
) -> None:
    @traced.task(queue="q", retries=0)
    def count(n: int) -> int:
        return n

    @traced.task(queue="q", rate="1/d")
    def total(numbers: list[int | None]) -> int:
        return sum(number or 0 for number in numbers)

    @traced.task(queue="later")
    def never() -> int:
        return 1

    with Inline(traced) as run:
        with spans.tracer.start_as_current_span("request"):
            members = [count.s(1), count.s(2)]
            sent = encola.group(members, timeout=60, run_anyway=True).then(total.s()).send()
        if late:  # the members are held back: only the group's own time ends it
            _drop(run, "count")
        run.advance(hours=1)
        assert sent.result() == (0 if late else 3)
    assert len({span.context.trace_id for span in spans.all}) == 1
    assert spans.one("process", encola_task="total")


def _drop(run: Inline, task: str) -> None:
    """Takes the messages of a task from the queue."""

    async def drop() -> None:
        found = await run._transport.receive("q", 10, 0, 60)
        await run._transport.delete([message for message in found if message.attributes.get("encola.task") == task])
        await run._transport.retry([(message, 0) for message in found if message.attributes.get("encola.task") != task])

    run._loop.run_until_complete(drop())


def test_a_chain_goes_on_in_its_trace_through_a_worker_that_traces_nothing(spans: Spans) -> None:
    class Seen(encola.Middleware):
        def __init__(self) -> None:
            self.attributes: list[dict[str, str]] = []

        def sending(self, task: str, job: str, queue: str, attributes: dict[str, str]) -> None:
            self.attributes.append(attributes)

    seen = Seen()
    app = encola.App("untraced", middleware=[encola.otel.Tracing(spans.provider), seen])

    @app.task(queue="q")
    def first() -> int:
        return 1

    @app.task(queue="q")
    def second(n: int) -> int:
        return n

    with Inline(app) as run:
        encola.chain(first.s(), second.s()).send()
        app.middleware.remove(app.middleware[0])
        run.until_idle()
    assert seen.attributes[1] == {"encola.task": "second", "traceparent": seen.attributes[0]["traceparent"]}


def test_a_batch_is_a_trace_of_its_own_with_a_link_to_each_message(traced: encola.App, spans: Spans) -> None:
    @traced.batch(queue="b", size=10, retries=3)
    def store(items: list[int]) -> list[int]:
        with spans.tracer.start_as_current_span("insert"):
            return [item for item in items if item < 0]

    with Inline(traced) as run:
        store.send_many([(1,), (2,), (3,)])
        run.until_idle()
    process, creates = spans.one("process"), spans.of("create")
    assert process.parent is None
    assert process.kind is SpanKind.CONSUMER
    assert (process.attributes or {})["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in (process.attributes or {})
    assert {link.context.span_id for link in process.links} == {span.context.span_id for span in creates}
    assert all((link.attributes or {})["messaging.message.id"] for link in process.links)
    assert is_child(spans.one("insert"), process)


def test_a_batch_with_failed_items_is_marked_as_failed(traced: encola.App, spans: Spans) -> None:
    @traced.batch(queue="b", size=10, retries=3)
    def store(items: list[int]) -> list[int]:
        return [item for item in items if item < 0]

    with Inline(traced) as run:
        store.send_many([(1,), (-2,)])
        run.until_idle()
    process = spans.one("process")
    assert (process.attributes or {})["encola.outcome"] == "retrying"
    assert process.status.status_code is StatusCode.ERROR


def test_a_message_without_room_goes_without_the_context_and_that_is_told_once(
    traced: encola.App, spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Mapping[str, str]] = []

    class Seen(encola.Middleware):
        async def running(self, job: encola.CurrentJob, attributes: Mapping[str, str], call_next: Any) -> Any:
            seen.append(attributes)
            return await call_next()

    traced.middleware.append(Seen())

    @traced.task(queue="q")
    def work() -> None: ...

    full = {f"a{number}": "x" for number in range(8)}
    with Inline(traced) as run, caplog.at_level(logging.DEBUG, "encola.tracing"):
        work.options(attributes=full).send()
        work.options(attributes=full).send()
        work.options(attributes=dict(list(full.items())[:7])).send()
        run.until_idle()
    assert ["traceparent" in one for one in seen] == [False, False, True]
    assert [len(one) for one in seen] == [9, 9, 9]
    assert len([record for record in caplog.records if "no room" in record.message]) == 1
    assert [span.parent is None for span in spans.of("process")] == [True, True, False]


def test_baggage_reaches_the_task(traced: encola.App) -> None:
    seen: list[object] = []

    @traced.task(queue="q")
    def work() -> None:
        seen.append(baggage.get_baggage("tenant"))

    with Inline(traced) as run:
        token = context.attach(baggage.set_baggage("tenant", "blue"))
        try:
            work.send()
        finally:
            context.detach(token)
        run.until_idle()
    assert seen == ["blue"]


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    monkeypatch.delitem(sys.modules, "encola.otel")
    with pytest.raises(ImportError, match=r"pip install 'encola\[otel\]'"):
        importlib.import_module("encola.otel")
