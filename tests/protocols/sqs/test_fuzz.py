"""Anything may come: bytes, JSON of all types, forms with odd names, in any depth and size.

Always an answer in the shape of the protocol, 200 or 4xx, never a fault of ours, and soon.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote_plus
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encola.broker.broker import Broker
from encola.broker.clock import Clock
from encola.engine.queue import Address
from encola.protocols.aws.identity import Authenticator
from encola.protocols.http.message import Request, Response
from encola.protocols.sqs.endpoint import SqsEndpoint
from encola.protocols.sqs.errors import SHAPES
from encola.protocols.sqs.wire_query import BATCH_MEMBERS, LISTS, MAPS, NAMESPACE
from encola.stores.memory import MemoryStore

from .botocore_wire import operation_model, operation_names, request_of
from .client import ACCOUNT, Client
from .test_oracle_required import WHOLE

AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=111122223333/20260101/us-east-1/sqs/aws4_request"
LONG = timedelta(seconds=20)  # for what should take milliseconds: a hang is found, a slow machine is not
FUZZ = settings(max_examples=250, deadline=LONG, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Target:
    """An endpoint that is asked from outside of an event loop. It has two queues at any time, and nobody waits."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._broker = Broker(MemoryStore(), Clock(), relaxed=True)
        self._endpoint = SqsEndpoint(self._broker, Authenticator([]))
        self._client = Client(self._endpoint)
        self._loop.run_until_complete(self._broker.open())
        self._broker.stop_waiting()

    def close(self) -> None:
        self._loop.run_until_complete(self._broker.close())
        self._loop.close()

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
        for name in ("work", "work.fifo"):
            if self._broker.find(Address(ACCOUNT, name)) is None:
                self._loop.run_until_complete(self._client.queue(name))
        headers = {"host": "queue.test", "authorization": AUTHORIZATION, **headers}
        return self._loop.run_until_complete(self._endpoint.handle(Request(method, path, headers, body, "127.0.0.1")))

    def json(self, operation: str, body: bytes) -> Response:
        target = {"x-amz-target": f"AmazonSQS.{operation}", "content-type": "application/x-amz-json-1.0"}
        return self.ask("POST", "/", target, body)

    def form(self, body: bytes, path: str = "/") -> Response:
        return self.ask("POST", path, {"content-type": "application/x-www-form-urlencoded"}, body)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    target = Target()
    yield target
    target.close()


CODES = {shape.code for shape in SHAPES.values()}


def check_json(response: Response) -> None:
    headers = {name.lower(): value for name, value in response.headers}
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert headers["x-amzn-requestid"]
    answer = json.loads(response.body or b"{}")
    if response.status == 200:
        assert "__type" not in answer
        return
    assert 400 <= response.status < 500, answer
    code, _, fault = headers["x-amzn-query-error"].partition(";")
    assert (code in CODES, fault) == (True, "Sender")
    assert answer["__type"] == f"com.amazonaws.sqs#{headers['x-amzn-errortype']}"
    assert SHAPES[headers["x-amzn-errortype"]].status == response.status
    assert answer["message"]


def check_xml(response: Response) -> None:
    headers = {name.lower(): value for name, value in response.headers}
    assert headers["content-type"] == "text/xml"
    root = ElementTree.fromstring(response.body)
    if response.status == 200:
        assert root.tag.endswith("Response")
        assert root.find(f"{{{NAMESPACE}}}ResponseMetadata/{{{NAMESPACE}}}RequestId") is not None
        return
    assert 400 <= response.status < 500, response.body
    assert root.tag == f"{{{NAMESPACE}}}ErrorResponse"
    assert root.findtext(f"{{{NAMESPACE}}}Error/{{{NAMESPACE}}}Type") == "Sender"
    assert root.findtext(f"{{{NAMESPACE}}}Error/{{{NAMESPACE}}}Code") in CODES
    assert root.findtext(f"{{{NAMESPACE}}}Error/{{{NAMESPACE}}}Message")


OPERATIONS = st.sampled_from(operation_names())

# JSON -----------------------------------------------------------------------------------------------

RAW = "\x00raw "  # marks a text that is written as it stands: numbers that no Python value gives


def raw(token: str) -> str:
    return RAW + token


def written(value: Any) -> bytes:
    """JSON, with lone surrogates as escapes, and raw tokens."""
    text = json.dumps(value)
    return re.sub(r'"\\u0000raw ([^"]*)"', lambda found: found[1], text).encode()


NUMBERS = st.one_of(
    st.integers(-2, 12),
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -(10**400), 2**63, 2**64, -(2**63) - 1]),
    st.sampled_from(
        ["1e400", "-0", "-0.0", "1E+2", "1e-400", "9" * 5000, "1." + "0" * 5000, "-", "01", "0x1", "+1"]
    ).map(raw),
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", "work", "work.fifo", "All", ".*", "true", "null", "\ud800", "\udc00\ud800", "\x00", "a" * 300]
    ),
    st.sampled_from(["DelaySeconds", "Policy", "RedrivePolicy", "FifoQueue", "String", "Number.x", "Binary", "AAAA"]),
    st.sampled_from(["arn:aws:sqs:us-east-1:111122223333:work", "http://queue.test/111122223333/work", "e30=", "{}"]),
    st.text(st.characters(), max_size=20),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


LIKELY = {
    "QueueUrl": ["work", "work.fifo"],
    "QueueName": ["work", "work.fifo", "other"],
    "SourceArn": ["arn:aws:sqs:us-east-1:111122223333:work"],
    "Id": ["a", "b", "c", "d"],
    "MessageBody": ["x", "é\U0001f600", "<&>\r\n"],
    "DataType": ["String", "Number", "Binary.x"],
    "StringValue": ["1", "x"],
    "BinaryValue": ["AAEC"],
    "MessageGroupId": ["g"],
    "MessageDeduplicationId": ["d"],
    "Label": ["a", "b"],
    "AWSAccountIds": ["444455556666"],
    "Actions": ["SendMessage", "*"],
    "AttributeNames": ["All", "QueueArn"],
    "Attributes": ["1", "true", '{"redrivePermission": "denyAll"}'],
    "ReceiptHandle": ["AQAAAaIKBQgHAAAAAAAAAAEAAAAAAAH2fl8e"],
}
"""Values that get a request past the first checks."""


def right(model: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Values of a shape's type, with something else among them now and then."""
    match model.type_name:
        case "structure":
            members = {member: right(one, member) for member, one in model.members.items()}
            required = {member: members.pop(member) for member in model.required_members}
            mostly: st.SearchStrategy[Any] = st.fixed_dictionaries(required, optional=members)
        case "list":
            mostly = st.lists(right(model.member, name), max_size=3)
        case "map":
            keys = QUEUE_ATTRIBUTES if name == "Attributes" else TEXTS
            mostly = st.dictionaries(keys, right(model.value, name), max_size=3)
        case "integer" | "long":
            mostly = st.integers(-1, 25) | NUMBERS
        case "boolean":
            mostly = st.booleans()
        case _:
            mostly = st.sampled_from(LIKELY[name]) if name in LIKELY else TEXTS
    return st.integers(0, 15).flatmap(lambda number: mostly if number else ANYTHING)


QUEUE_ATTRIBUTES = st.sampled_from(
    [
        "DelaySeconds",
        "VisibilityTimeout",
        "Policy",
        "RedrivePolicy",
        "RedriveAllowPolicy",
        "FifoQueue",
        "KmsMasterKeyId",
    ]
)
INPUTS = {name: right(operation_model(name).input_shape) for name in operation_names()}


@FUZZ
@given(OPERATIONS, st.binary(max_size=200))
def test_any_bytes_as_json(target: Target, operation: str, body: bytes) -> None:
    check_json(target.json(operation, body))


@FUZZ
@given(OPERATIONS, ANYTHING)
def test_any_json(target: Target, operation: str, value: Any) -> None:
    check_json(target.json(operation, written(value)))


@settings(FUZZ, max_examples=1000)
@given(OPERATIONS.flatmap(lambda name: st.tuples(st.just(name), INPUTS[name])))
def test_json_of_the_right_members_and_wrong_values(target: Target, asked: tuple[str, Any]) -> None:
    operation, value = asked
    check_json(target.json(operation, written(value)))


@FUZZ
@given(OPERATIONS.flatmap(lambda name: st.tuples(st.just(name), INPUTS[name])), st.data())
def test_broken_json(target: Target, asked: tuple[str, Any], data: st.DataObject) -> None:
    operation, value = asked
    body = bytearray(written(value))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(0, len(body) - 1)))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    check_json(target.json(operation, bytes(body)))


@pytest.mark.parametrize("depth", [10, 900, 1100, 100_000])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        (b"[", b"]"),
        (b'{"a":', b"}"),
        (b'{"MessageAttributes":', b"}"),
        (b'{"Entries":[', b"]}"),
        (b'{"QueueUrl":null,"x":[', b"]}"),
    ],
)
def test_json_of_any_depth(target: Target, start: bytes, end: bytes, depth: int) -> None:
    for operation in ("SendMessage", "SendMessageBatch", "CreateQueue"):
        check_json(target.json(operation, start * depth + b"null" + end * depth))
        check_json(target.json(operation, start * depth))


@pytest.mark.parametrize("name", ["RedrivePolicy", "RedriveAllowPolicy", "Policy"])
@pytest.mark.parametrize(
    "value",
    [
        "[" * 8000,
        '{"a":' * 1500,
        '{"deadLetterTargetArn":' * 300,
        "9" * 8000,
        "NaN",
        "1e999",
        '{"maxReceiveCount":' + "9" * 5000 + ',"deadLetterTargetArn":"x"}',
        "\ud800",
    ],
)
def test_attributes_that_are_json_themselves(target: Target, name: str, value: str) -> None:
    response = target.json("CreateQueue", written({"QueueName": "other", "Attributes": {name: value}}))
    check_json(response)
    assert response.status == 400


# Forms ----------------------------------------------------------------------------------------------

WIRE_NAMES = sorted(
    {name for operation in operation_names() for name in operation_model(operation).input_shape.members}
    | {*LISTS.values(), *(part for parts in MAPS.values() for part in parts)}
    | {f"{operation}{suffix}" for operation in operation_names() for suffix in BATCH_MEMBERS.values()}
    | {"Id", "StringValue", "BinaryValue", "DataType", "Action", "Version"}
)
INDEXES = [
    "0",
    "1",
    "2",
    "01",
    "-1",
    "999999",
    "1000000",
    "999999999999",
    "1e1",
    "\u0663",
    "²",
    "",
    " 1",
    "a",
    "member",
]
PARTS = st.one_of(
    st.sampled_from(WIRE_NAMES), st.sampled_from(INDEXES), st.text(st.characters(codec="utf-8"), max_size=5)
)
FIELD_NAMES = st.lists(PARTS, min_size=1, max_size=12).map(".".join)
FIELD_VALUES = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(
        ["", "work", "work.fifo", "1", "-1", "1e400", "NaN", "9" * 400, "9" * 5000, "null", "true", "AAEC", "All"]
    ),
)


def encoded(fields: list[tuple[str, str]]) -> bytes:
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields).encode()


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_as_a_form(target: Target, body: bytes) -> None:
    check_xml(target.form(body))


@FUZZ
@given(OPERATIONS, st.binary(max_size=100))
def test_any_bytes_behind_an_action(target: Target, operation: str, body: bytes) -> None:
    check_xml(target.form(f"Action={operation}&QueueUrl=work&".encode() + body))


@settings(FUZZ, max_examples=400)
@given(OPERATIONS, st.lists(st.tuples(FIELD_NAMES, FIELD_VALUES), max_size=8))
def test_any_fields_and_indexes(target: Target, operation: str, fields: list[tuple[str, str]]) -> None:
    body = encoded([("Action", operation), *fields])
    check_xml(target.form(body))
    check_xml(target.form(body, "/111122223333/work"))
    check_xml(target.ask("GET", f"/work?{body.decode()}", {}, b""))


@settings(FUZZ, max_examples=600)
@given(OPERATIONS, st.data())
def test_good_forms_with_wrong_fields_among_them(target: Target, operation: str, data: st.DataObject) -> None:
    good = parse_qsl(request_of(operation, WHOLE[operation], "query").body.decode())
    names = st.sampled_from([name for name, _ in good[2:]] or ["x"])
    behind = st.lists(PARTS, max_size=3).map(lambda parts: "".join(f".{part}" for part in parts))
    wrong = data.draw(st.lists(st.tuples(st.builds("{}{}".format, names, behind), FIELD_VALUES), max_size=5))
    fields = data.draw(st.permutations([*good, *wrong]))
    check_xml(target.form(encoded([*good[:1], *fields])))


@pytest.mark.parametrize(
    "fields",
    [
        "SendMessageBatchRequestEntry.999999999999.Id=a",
        "SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.01.Id=b",
        "SendMessageBatchRequestEntry.01.Id=a",
        "SendMessageBatchRequestEntry=x&SendMessageBatchRequestEntry..Id=a",
        "SendMessageBatchRequestEntry..Id=a&SendMessageBatchRequestEntry=x",
        "SendMessageBatchRequestEntry.1=x&SendMessageBatchRequestEntry.1.Id.x=a",
        "SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name.1=a",
        "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value=x&SendMessageBatchRequestEntry.1.Id=a",
        "QueueUrl.1=x",
        "QueueUrl..=x&QueueUrl=work",
        ".=x",
        "=x",
        "." * 5000 + "=x",
        "&".join(f"a.{n}=1" for n in range(1990)),
        "&".join(f"SendMessageBatchRequestEntry.{n}.Id=a{n}" for n in range(1990)),
    ],
)
def test_forms_that_once_were_or_might_be_trouble(target: Target, fields: str) -> None:
    response = target.form(f"Action=SendMessageBatch&{fields}".encode(), "/111122223333/work")
    check_xml(response)
    assert response.status in (200, 400, 404)


# Requests as a whole --------------------------------------------------------------------------------

HEADER = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=30)


@FUZZ
@given(
    st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH", "M-SEARCH"]),
    st.text(st.characters(codec="latin-1"), max_size=50).map("/{}".format),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("host", "authorization", "content-type", "user-agent"), HEADER)),
    st.binary(max_size=50),
)
def test_any_query_request(target: Target, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    response = target.ask(method, path, headers, body)
    if headers.get("content-type", "").startswith("application/x-amz-json"):
        check_json(response)
    else:
        check_xml(response)


@FUZZ
@given(
    st.sampled_from(["GET", "POST", "PUT"]),
    st.one_of(HEADER, OPERATIONS.map("AmazonSQS.{}".format), st.just("Encola.PeekMessages")),
    HEADER,
    ANYTHING,
)
def test_any_json_request(target: Target, method: str, operation: str, host: str, value: Any) -> None:
    check_json(target.ask(method, "/", {"x-amz-target": operation, "host": host}, written(value)))
