"""Messages of other programs, and of copies that stand in for them: whose trace do their attempts belong to?"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan

import encola
import encola.otel
from encola.consumers.sqs import copies
from encola.consumers.sqs.shapes import AttributeValue
from encola.consumers.transport import Incoming

from .bench import Queues, until, working
from .spans import Spans


@pytest.fixture
def spans() -> Spans:
    return Spans()


async def _foreign(
    make_app: Callable[..., encola.App], queue: str, queues: Queues, spans: Spans, **options: Any
) -> ReadableSpan:
    """The span of an attempt at a message that another program sent."""
    app = make_app(middleware=[encola.otel.Tracing(spans.provider)])

    @app.task(queue=queue, name="work")
    async def work() -> None: ...

    async with working(app):
        await asyncio.to_thread(queues.send, queue, '{"task": "work"}', **options)
        await until(lambda: spans.of("process"), "the attempt's span")
    return spans.one("process")


XRAY = {
    "DataType": "String",
    "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
}
W3C = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_foreign_message_with_the_header_of_xray_is_followed(
    make_app: Callable[..., encola.App], queue: str, queues: Queues, spans: Spans
) -> None:
    span = await _foreign(make_app, queue, queues, spans, MessageSystemAttributes={"AWSTraceHeader": XRAY})
    assert span.context.trace_id == 0x5759E988BD862E3FE1BE46A994272793
    assert span.parent is not None
    assert span.parent.span_id == 0x53995C3F42CD8AD8


async def test_traceparent_goes_before_the_header_of_xray(
    make_app: Callable[..., encola.App], queue: str, queues: Queues, spans: Spans
) -> None:
    span = await _foreign(
        make_app,
        queue,
        queues,
        spans,
        MessageSystemAttributes={"AWSTraceHeader": XRAY},
        MessageAttributes={
            "traceparent": {"DataType": "String", "StringValue": W3C},
            "tracestate": {"DataType": "String", "StringValue": "vendor=1"},
        },
    )
    assert span.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert dict(span.context.trace_state) == {"vendor": "1"}


async def test_a_broken_traceparent_begins_a_new_trace(
    make_app: Callable[..., encola.App], queue: str, queues: Queues, spans: Spans
) -> None:
    broken = {"DataType": "String", "StringValue": "00-zzz-01; DROP TABLE"}
    span = await _foreign(make_app, queue, queues, spans, MessageAttributes={"traceparent": broken})
    assert span.parent is None
    assert (span.attributes or {})["encola.outcome"] == "completed"


@pytest.mark.parametrize(
    "header",
    ["", "Root=1-5759e988-bd862e3fe1be46a994272793", "Root=1-x-y;Parent=z", "Self=1-2-3", ";;;=", "Root=" + "1" * 9999,
     "Root=1-00000000-000000000000000000000000;Parent=0000000000000000"],
)  # fmt: skip
def test_a_header_of_xray_that_names_no_parent_is_none(header: str) -> None:
    from encola.consumers.tracing import _of_xray

    assert _of_xray(header) is None


def test_a_copy_that_stands_in_for_a_message_has_its_header_of_xray() -> None:
    """Plain SQS can neither release a message uncounted nor move it at once: a copy goes on, in the same trace."""
    header = XRAY["StringValue"]
    message = Incoming(
        queue="q", message_id="1", receipt="r", body="{}", attributes={}, receives=1, sent_at=1, received_at=0.0,
        trace=header,
    )  # fmt: skip
    for copy in (copies.postponed(message, 5, 0), copies.dead_letter(message, "permanent", "", fifo=False)):
        assert copy.message_system_attributes == {"AWSTraceHeader": AttributeValue("String", header)}
    assert copies.postponed(msgspec.structs.replace(message, trace=None), 5, 0).message_system_attributes is None


def test_a_pushed_function_follows_the_header_of_xray(
    make_app: Callable[..., encola.App], queue: str, spans: Spans
) -> None:
    app = make_app(middleware=[encola.otel.Tracing(spans.provider)])

    @app.task(queue=queue, name="work")
    def work() -> None: ...

    record = {
        "messageId": "m-1",
        "receiptHandle": "r",
        "body": '{"task": "work"}',
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1",
            "AWSTraceHeader": XRAY["StringValue"],
        },
        "messageAttributes": {},
        "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue}",
    }
    assert app.lambda_handler()({"Records": [record]}) == {"batchItemFailures": []}
    process = spans.one("process", messaging_message_id="m-1")
    assert process.context.trace_id == 0x5759E988BD862E3FE1BE46A994272793
