"""What goes in comes out: codecs against botocore's with values drawn from its model, and messages end to end."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encola.broker.broker import Broker
from encola.broker.clock import Clock
from encola.protocols.aws.identity import Authenticator
from encola.protocols.sqs import wire_json, wire_query
from encola.protocols.sqs.endpoint import SqsEndpoint
from encola.protocols.sqs.operations import OPERATIONS
from encola.stores.memory import MemoryStore

from .botocore_wire import PROTOCOLS, operation_model, operation_names, parsed, request_of
from .client import Client
from .test_oracle_shapes import VOID, output_of

DRAWN = settings(max_examples=300, deadline=timedelta(seconds=20))
BOTH_PROTOCOLS = pytest.mark.parametrize("protocol", PROTOCOLS)

XML_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r<>&\"'"),
    max_size=12,
)
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


def values(model: Any, text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Values of a shape. No list or map is empty: the Query protocol has no way to write that."""
    match model.type_name:
        case "structure":
            members = {member: values(one, text) for member, one in model.members.items()}
            required = {member: members.pop(member) for member in model.required_members}
            return st.fixed_dictionaries(required, optional=members)
        case "list":
            return st.lists(values(model.member, text), min_size=1, max_size=3)
        case "map":
            return st.dictionaries(text, values(model.value, text), min_size=1, max_size=3)
        case "integer" | "long":
            return st.integers(-(2**63), 2**63 - 1)
        case "boolean":
            return st.booleans()
        case "blob":
            return st.binary(max_size=20)
        case _:
            return text


def drawn(which: str, names: list[str], text: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, Any]]:
    """An operation, and a value of its input or output."""
    shapes = {name: values(getattr(operation_model(name), f"{which}_shape"), text) for name in names}
    if which == "output":  # two of our outputs have a member at all times that the model does not ask for
        shapes["CancelMessageMoveTask"] = shapes["CancelMessageMoveTask"].filter(bool)
        shapes["ListMessageMoveTasks"] = shapes["ListMessageMoveTasks"].filter(bool)
    return st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), shapes[name]))


@BOTH_PROTOCOLS
@DRAWN
@given(drawn("input", operation_names(), ANY_TEXT))
def test_any_input_that_botocore_writes_is_read(protocol: str, asked: tuple[str, Any]) -> None:
    name, value = asked
    operation = OPERATIONS[name]
    body = request_of(name, value, protocol).body
    if protocol == "json":
        read = wire_json.decode(operation.decoder, body)
    else:
        read = wire_query.decode(name, operation.input, wire_query.fields_of(body.decode()))
    assert read == msgspec.convert(value, operation.input, builtin_types=(bytes,))


ANSWERING = [name for name in operation_names() if name not in VOID]


def check_output(protocol: str, name: str, value: Any) -> None:
    output = msgspec.convert(value, output_of(name), builtin_types=(bytes,))
    write = wire_json.answer if protocol == "json" else lambda *parts: wire_query.answer(name, *parts)
    read = parsed(name, write(output, "id"), protocol)
    del read["ResponseMetadata"]
    assert read == value


@DRAWN
@given(drawn("output", ANSWERING, ANY_TEXT))
def test_any_output_is_read_by_botocore_as_json(answered: tuple[str, Any]) -> None:
    check_output("json", *answered)


@DRAWN
@given(drawn("output", ANSWERING, XML_TEXT))
def test_any_output_of_xml_characters_is_read_by_botocore_as_xml(answered: tuple[str, Any]) -> None:
    check_output("query", *answered)


@given(st.dictionaries(ANY_TEXT, ANY_TEXT))
def test_any_form_is_read(fields: dict[str, str]) -> None:
    fields.pop("", None)
    assert wire_query.fields_of(urlencode(fields)) == fields


# Messages -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def endpoint(loop: asyncio.AbstractEventLoop) -> Iterator[SqsEndpoint]:
    broker = Broker(MemoryStore(), Clock())
    loop.run_until_complete(broker.open())
    yield SqsEndpoint(broker, Authenticator([]))
    loop.run_until_complete(broker.close())


ATTRIBUTE_NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,5}(\.[A-Za-z0-9_-]{1,5})?", fullmatch=True).filter(
    lambda name: not name.lower().startswith(("aws.", "amazon."))
)
LABELS = XML_TEXT.map(lambda label: f".{label}" if label else "")
ATTRIBUTES = st.dictionaries(
    ATTRIBUTE_NAMES,
    st.one_of(
        st.fixed_dictionaries({"DataType": LABELS.map("String{}".format), "StringValue": XML_TEXT.filter(bool)}),
        st.fixed_dictionaries({"DataType": LABELS.map("Number{}".format), "StringValue": st.integers().map(str)}),
        st.fixed_dictionaries({"DataType": LABELS.map("Binary{}".format), "BinaryValue": st.binary(min_size=1)}),
    ),
    max_size=10,
)


@DRAWN
@given(
    body=XML_TEXT.filter(bool),
    attributes=ATTRIBUTES,
    sender=st.sampled_from(PROTOCOLS),
    receiver=st.sampled_from(PROTOCOLS),
    batch=st.booleans(),
)
def test_any_message_comes_out_as_it_went_in(
    loop: asyncio.AbstractEventLoop,
    endpoint: SqsEndpoint,
    body: str,
    attributes: dict[str, Any],
    sender: str,
    receiver: str,
    batch: bool,
) -> None:
    async def story() -> None:
        out, back = Client(endpoint, protocol=sender), Client(endpoint, protocol=receiver)
        url = await out.queue()
        message = {"MessageBody": body, "MessageAttributes": attributes}
        if batch:
            sent = (await out("SendMessageBatch", QueueUrl=url, Entries=[{"Id": "a", **message}]))["Successful"][0]
        else:
            sent = await out("SendMessage", QueueUrl=url, **message)
        (received,) = await back.receive(url, MessageAttributeNames=["All"])
        await back("DeleteMessage", QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])
        assert received["Body"] == body
        assert received.get("MessageAttributes", {}) == attributes
        assert received["MD5OfBody"] == sent["MD5OfMessageBody"]
        assert received.get("MD5OfMessageAttributes") == sent.get("MD5OfMessageAttributes")
        assert received["MessageId"] == sent["MessageId"]

    loop.run_until_complete(story())
