"""botocore's service model as the oracle of the shapes and of both codecs, operation by operation."""

import types
import typing
from typing import Any

import msgspec
import pytest
from botocore.model import Shape as ModelShape
from botocore.model import StructureShape

from encola.protocols.sqs import wire_json, wire_query
from encola.protocols.sqs.operations import OPERATIONS, TARGETS
from encola.protocols.sqs.shapes import Empty, Shape

from .botocore_wire import PROTOCOLS, operation_model, operation_names, parsed, request_of
from .samples import sample_of

EVERY_OPERATION = pytest.mark.parametrize("name", operation_names())
BOTH_PROTOCOLS = pytest.mark.parametrize("protocol", PROTOCOLS)


def test_the_operations_are_those_of_the_model() -> None:
    assert len(operation_names()) == 23
    assert set(OPERATIONS) == set(operation_names())
    assert {f"AmazonSQS.{name}" for name in operation_names()} <= set(TARGETS)


def required_lists(name: str) -> list[str]:
    """Of an output. ``Failed`` is left out by AWS when nothing failed, whatever the model says."""
    return [member for member in operation_model(name).output_shape.required_members if member != "Failed"]


def output_of(name: str) -> type[Shape]:
    """The struct that an operation answers, by its own annotation."""
    found: type[Shape] = typing.get_type_hints(OPERATIONS[name].perform)["return"]
    return found


@EVERY_OPERATION
def test_the_input_has_the_members_of_the_model_with_their_types(name: str) -> None:
    check_struct(OPERATIONS[name].input, operation_model(name).input_shape)


@EVERY_OPERATION
def test_the_output_has_the_members_of_the_model_with_their_types(name: str) -> None:
    model = operation_model(name).output_shape
    if model is None:
        assert output_of(name) is Empty
    else:
        check_struct(output_of(name), model)


def check_struct(struct: type[Shape], model: StructureShape) -> None:
    hints = typing.get_type_hints(struct)
    assert set(hints) == set(model.members), struct.__name__
    for name, kind in hints.items():
        check_type(kind, model.members[name], f"{struct.__name__}.{name}")


PLAIN = {"string": str, "integer": int, "long": int, "boolean": bool, "blob": bytes}


def check_type(kind: Any, model: ModelShape, where: str) -> None:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        (kind,) = (one for one in typing.get_args(kind) if one not in (types.NoneType, msgspec.UnsetType))
    if model.type_name == "structure":
        check_struct(kind, model)
    elif model.type_name == "list":
        assert typing.get_origin(kind) is list, where
        check_type(typing.get_args(kind)[0], model.member, where)
    elif model.type_name == "map":
        assert typing.get_origin(kind) is dict, where
        assert typing.get_args(kind)[0] is str, where
        check_type(typing.get_args(kind)[1], model.value, where)
    else:
        assert kind is PLAIN[model.type_name], where


@BOTH_PROTOCOLS
@EVERY_OPERATION
def test_what_botocore_writes_is_read(name: str, protocol: str) -> None:
    """Given an input with every member, written by botocore; then we read just that."""
    given = sample_of(operation_model(name, protocol).input_shape)
    request = request_of(name, given, protocol)
    operation = OPERATIONS[name]
    if protocol == "json":
        assert TARGETS[request.headers["x-amz-target"]] is operation
        read = wire_json.decode(operation.decoder, request.body)
    else:
        fields = wire_query.fields_of(request.body.decode())
        assert fields["Action"] == name
        read = wire_query.decode(name, operation.input, fields)
    assert msgspec.to_builtins(read, builtin_types=(bytes,)) == given


@EVERY_OPERATION
def test_null_is_the_same_as_nothing(name: str) -> None:
    """Also inside of what did come: an attribute with a null among its values is read as without it."""
    operation = OPERATIONS[name]
    model = operation_model(name).input_shape
    nulls = msgspec.json.encode(dict.fromkeys(model.members))
    assert wire_json.decode(operation.decoder, nulls) == wire_json.decode(operation.decoder, b"{}")
    given = sample_of(model)
    whole = wire_json.decode(operation.decoder, request_of(name, given).body)
    with_nulls = msgspec.json.decode(request_of(name, given).body) | {"NotAMember": None}
    for value in with_nulls.get("MessageAttributes", {}).values():
        value["AlsoNoMember"] = None
    for entry in with_nulls.get("Entries", []):
        entry["AlsoNoMember"] = None
    assert wire_json.decode(operation.decoder, msgspec.json.encode(with_nulls)) == whole


def test_a_null_beside_bytes_and_in_an_entry() -> None:
    body = b"""{"Entries": [{"Id": "a", "MessageBody": null, "MessageAttributes": {"x": {
        "DataType": "Binary", "StringValue": null, "BinaryValue": "AAEC"}}, "DelaySeconds": null}], "QueueUrl": null}"""
    (entry,) = wire_json.decode(OPERATIONS["SendMessageBatch"].decoder, body).Entries
    assert entry.MessageBody == ""
    assert entry.MessageAttributes["x"].BinaryValue == b"\0\1\2"


@BOTH_PROTOCOLS
@EVERY_OPERATION
def test_what_we_write_is_read_by_botocore(name: str, protocol: str) -> None:
    """Given an output with every member, written by us; then botocore reads just that."""
    model = operation_model(name, protocol).output_shape
    given = sample_of(model) if model else {}
    output = msgspec.convert(given, output_of(name), builtin_types=(bytes,))
    write = wire_json.answer if protocol == "json" else lambda *parts: wire_query.answer(name, *parts)
    response = write(output, "5a6b7c8d-0000-4000-8000-000000000000")
    read = parsed(name, response, protocol)
    metadata = read.pop("ResponseMetadata")
    assert read == given
    assert metadata["HTTPStatusCode"] == 200
    assert metadata["RequestId"] == "5a6b7c8d-0000-4000-8000-000000000000"


VOID = [name for name in operation_names() if operation_model(name).output_shape is None]


@pytest.mark.parametrize("name", VOID)
def test_an_answer_that_says_nothing_has_no_body_in_json(name: str) -> None:
    assert wire_json.answer(output_of(name)(), "id").body == b""


WITH_REQUIRED = [name for name in operation_names() if name not in VOID and required_lists(name)]


@pytest.mark.parametrize("name", WITH_REQUIRED)
def test_a_required_list_is_written_even_when_it_is_empty(name: str) -> None:
    """Clients index into ``Successful`` and ``queueUrls`` without asking. (XML has no way to write an empty list.)"""
    empty: dict[str, list[Any]] = {member: [] for member in required_lists(name)}
    assert msgspec.json.decode(wire_json.answer(msgspec.convert(empty, output_of(name)), "id").body) == empty
