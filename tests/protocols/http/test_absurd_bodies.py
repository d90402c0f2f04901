"""Bodies of absurd size, depth, number and type, sent to every operation of a real server: always a clear 4xx, soon."""

from contextlib import ExitStack

import pytest

from encola.protocols.sqs.operations import TARGETS

from ...process import ServerProcess
from .raw import Raw, request

MANY = 100_000


def attribute(kind: str, field: str, value: bytes) -> bytes:
    message = b'{"QueueUrl":"work","MessageBody":"m","MessageAttributes":{"a":{"DataType":"%s","%s":"%s"}}}'
    return message % (kind.encode(), field.encode(), value)


def setting(name: str, value: bytes) -> bytes:
    return b'{"QueueUrl":"work","QueueName":"new","Attributes":{"%s":"%s"}}' % (name.encode(), value)


JSON: dict[str, bytes] = {
    "lists in lists": b"[" * MANY,
    "objects in objects": b'{"a":' * MANY,
    "a list for a name": b'{"QueueUrl":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a number beyond all": b'{"QueueUrl": 1e400}',
    "bytes that are no text": b"\xff\xfe",
    "half a character": b'{"QueueUrl": "\\ud800"}',
    "a NUL for a name": b'{"QueueUrl": "\\u0000", "QueueName": "\\u0000"}',
    "nothing at all": b"null",
    "a list": b"[]",
    "a name of a megabyte": b'{"QueueUrl":"%s","QueueName":"%s"}' % ((b"a" * 500_000,) * 2),
    "a number of many digits": b'{"QueueUrl":"work","MaxNumberOfMessages":' + b"9" * MANY + b"}",
    "a fraction": b'{"QueueUrl":"work","MaxNumberOfMessages":1.5,"MaxResults":1.5,"VisibilityTimeout":1.5}',
    "a delay until the end of time": b'{"QueueUrl":"work","MessageBody":"m","DelaySeconds":99999999999999999999}',
    "a number as an attribute": attribute("Number", "StringValue", b"9" * MANY),
    "an exponent as an attribute": attribute("Number", "StringValue", b"1e999999999999"),
    "no base 64": attribute("Binary", "BinaryValue", b"!"),
    "a crowd of entries": b'{"QueueUrl":"work","Entries":[' + b'{"Id":"a"},' * MANY + b'{"Id":"b"}]}',
    "a policy of brackets": setting("Policy", b"[" * 8000),
    "a rule of brackets": setting("RedrivePolicy", b"[" * MANY),
    "a rule beyond all": setting("RedrivePolicy", b'{\\"deadLetterTargetArn\\":1,\\"maxReceiveCount\\":1e308}'),
    "an ARN of colons": b'{"SourceArn":"' + b":" * MANY + b'"}',
    "a handle of noughts": b'{"TaskHandle":"%s","QueueUrl":"work","ReceiptHandle":"%s"}' % ((b"A" * MANY,) * 2),
    "a torn URL": b'{"QueueUrl":"http://[::1","MessageBody":"m"}',
}
ACTION = b"Action=SendMessage&QueueUrl=work&MessageBody="
FORMS: dict[str, bytes] = {
    "ampersands": b"&" * 500_000,
    "pairs without an end": b"a=b&" * 200_000,
    "a long action": b"Action=" + b"A" * 500_000,
    "half an escape": ACTION + b"%zz",
    "no text in an escape": ACTION + b"%ff",
    "a NUL": ACTION + b"%00",
    "an entry far away": b"Action=SendMessageBatch&QueueUrl=work&SendMessageBatchRequestEntry.999999999999.Id=a",
    "an entry before the first": b"Action=SendMessageBatch&QueueUrl=work&SendMessageBatchRequestEntry.-1.Id=a",
    "many digits": b"Action=ReceiveMessage&QueueUrl=work&MaxNumberOfMessages=" + b"9" * 10_000,
    "a sign alone": b"=",
}


@pytest.mark.parametrize("name", JSON)
def test_no_json_body_breaks_an_operation(impatient: ServerProcess, name: str) -> None:
    with ExitStack() as stack:
        asked = []
        for target in TARGETS:  # on a connection each, at the same time
            raw = stack.enter_context(Raw(impatient.port))
            raw.send(request("/", f"X-Amz-Target: {target}", method="POST", body=JSON[name]))
            asked.append((target, raw))
        for target, raw in asked:
            answer = raw.answer()
            assert answer.status < 500, target
            assert len(answer.body) < len(JSON[name]) + 3000, target  # it may repeat a wrong value, but once
            assert answer.headers["content-type"] == "application/x-amz-json-1.0" or not answer.body


@pytest.mark.parametrize("name", FORMS)
def test_no_form_breaks_the_query_protocol(port: int, name: str) -> None:
    form = FORMS[name]
    for sent in (
        request("/", method="POST", body=form),
        request("/000000000000/work", method="POST", body=form),
        request(f"/?{form[:50_000].decode()}"),
    ):
        with Raw(port).send(sent) as raw:
            answer = raw.answer()
            assert answer.status < 500
            shows_a_page = sent.startswith(b"GET") and b"Action=" not in sent
            assert len(answer.body) < (10_000 if shows_a_page else 3000)


def test_absurd_bodies_leave_no_memory_behind(impatient: ServerProcess) -> None:
    """The tests before this one have sent hundreds of megabytes."""
    assert impatient.resident_bytes < 250_000_000
