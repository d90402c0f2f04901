"""What a message may be: size in bytes, characters, attributes, delay. The recorded texts are AWS's."""

from typing import Any

import pytest

from .client import Client

MIB = 1_048_576
TOO_LONG = "One or more parameters are invalid. Reason: Message must be shorter than {} bytes."
BAD_CHARACTERS = (
    "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | "
    "#x10000 to #x10FFFF"
)


def text(value: str, kind: str = "String") -> dict[str, Any]:
    return {"DataType": kind, "StringValue": value}


@pytest.fixture
async def url(sqs: Client) -> str:
    return await sqs.queue()


# Size -----------------------------------------------------------------------------------------------


async def test_a_message_of_a_mebibyte_is_taken_and_a_byte_more_is_not(sqs: Client, url: str) -> None:
    await sqs.send(url, "x" * MIB)
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="x" * (MIB + 1))
    assert error.told == ("InvalidParameterValue", TOO_LONG.format(MIB))


@pytest.mark.parametrize("char", ["é", "語", "\U0001f600"])
async def test_size_is_counted_in_bytes_of_utf_8(sqs: Client, char: str) -> None:
    url = await sqs.queue("small", MaximumMessageSize=1024)
    width = len(char.encode())
    fits = char * (1024 // width) + "x" * (1024 % width)
    await sqs.send(url, fits)
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody=fits + "x")
    assert error.told == ("InvalidParameterValue", TOO_LONG.format(1024))


async def test_names_types_and_values_of_attributes_count_but_system_attributes_do_not(sqs: Client) -> None:
    url = await sqs.queue("small", MaximumMessageSize=1024)
    attributes = {"name": text("välue"), "raw": {"DataType": "Binary", "BinaryValue": b"\xff" * 10}}
    counted = len("name" + "String" + "raw" + "Binary") + len("välue".encode()) + 10
    trace = {"AWSTraceHeader": text("Root=1-" + "0" * 100)}
    given = {"MessageAttributes": attributes, "MessageSystemAttributes": trace}
    await sqs.send(url, "x" * (1024 - counted), **given)
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="x" * (1025 - counted), **given)
    assert error.told == ("InvalidParameterValue", TOO_LONG.format(1024))


async def test_a_smaller_limit_holds_from_the_moment_it_is_set(sqs: Client, url: str) -> None:
    await sqs.send(url, "x" * 1025)
    await sqs.set(url, MaximumMessageSize=1024)
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="x" * 1025)
    assert error.told == ("InvalidParameterValue", TOO_LONG.format(1024))


async def test_a_body_must_not_be_empty(sqs: Client, url: str) -> None:
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="")
    assert error.told == ("MissingParameter", "The request must contain the parameter MessageBody.")


# Characters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "char", ["\t", "\n", "\r", " ", "\x7f", "\x80", "\ud7ff", "\ue000", "\ufffd", "\U00010000", "\U0010ffff"]
)
async def test_characters_of_xml_pass_unchanged(either: Client, char: str) -> None:
    url = await either.queue()
    body = f"a{char}b"
    await either.send(url, body, MessageAttributes={"x": text(body)})
    (message,) = await either.receive(url, MessageAttributeNames=["All"])
    assert message["Body"] == body
    assert message["MessageAttributes"]["x"]["StringValue"] == body


@pytest.mark.parametrize("char", ["\x00", "\x01", "\x08", "\x0b", "\x0c", "\x0e", "\x1f", "\ufffe", "\uffff"])
async def test_other_characters_are_refused_in_body_and_attributes(either: Client, char: str) -> None:
    url = await either.queue()
    for body in (f"a{char}", f"é{char}"):
        error = await either.refusal("SendMessage", QueueUrl=url, MessageBody=body)
        assert error.told == ("InvalidMessageContents", BAD_CHARACTERS)
    attributes = {"x": text(f"a{char}")}
    error = await either.refusal("SendMessage", QueueUrl=url, MessageBody="a", MessageAttributes=attributes)
    assert error.told == ("InvalidMessageContents", BAD_CHARACTERS)


# Attributes -----------------------------------------------------------------------------------------


async def test_ten_attributes_are_taken_and_eleven_are_not(sqs: Client, url: str) -> None:
    await sqs.send(url, MessageAttributes={f"a{number}": text("x") for number in range(10)})
    attributes = {f"a{number}": text("x") for number in range(11)}
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes=attributes)
    assert error.told == (
        "InvalidParameterValue",
        "Number of message attributes [11] exceeds the allowed maximum [10].",
    )


@pytest.mark.parametrize("name", ["a", "A-b_c.d", "x" * 256, "awsome", "AWS", "amazonas", "0"])
async def test_good_names_of_attributes(sqs: Client, url: str, name: str) -> None:
    await sqs.send(url, MessageAttributes={name: text("x")})
    (message,) = await sqs.receive(url, MessageAttributeNames=[name])
    assert list(message["MessageAttributes"]) == [name]


@pytest.mark.parametrize(
    "name",
    ["", "x" * 257, "a b", "a/b", "é", "a\n", ".a", "a.", "a..b", "AWS.a", "aws.a", "Aws.a", "Amazon.a", "AMAZON.a"],
)
async def test_bad_names_of_attributes(sqs: Client, url: str, name: str) -> None:
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes={name: text("x")})
    assert error.told == ("InvalidParameterValue", f"Message (user) attribute name '{name[:256]}' is invalid.")


@pytest.mark.parametrize("kind", ["String", "Number", "Binary", "String.my label", "Number.int", "String." + "x" * 249])
async def test_good_types_of_attributes_come_back_with_their_label(sqs: Client, url: str, kind: str) -> None:
    value = {"DataType": kind, "BinaryValue": b"5"} if kind == "Binary" else text("5", kind)
    await sqs.send(url, MessageAttributes={"x": value})
    (message,) = await sqs.receive(url, MessageAttributeNames=["x"])
    assert message["MessageAttributes"]["x"] == value


@pytest.mark.parametrize("kind", ["string", "Text", "Strings", ".String", "String\x00", "String." + "x" * 250, "List"])
async def test_bad_types_of_attributes(sqs: Client, url: str, kind: str) -> None:
    given = {"x": text("x", kind)}
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes=given)
    assert error.told == (
        "InvalidParameterValue",
        "The message attribute 'x' has an invalid message attribute type, the set of supported type prefixes is "
        "Binary, Number, and String.",
    )


@pytest.mark.parametrize(
    ("value", "base"),
    [
        ({"DataType": "String"}, "String"),
        ({"DataType": "String", "StringValue": ""}, "String"),
        ({"DataType": "Number.int", "StringValue": ""}, "Number"),
        ({"DataType": "Binary", "BinaryValue": b""}, "Binary"),
        ({"DataType": "Binary", "StringValue": "text"}, "Binary"),
        ({"DataType": "String", "BinaryValue": b"bytes"}, "String"),
    ],
)
async def test_an_attribute_needs_a_value_of_its_type(either: Client, value: dict[str, Any], base: str) -> None:
    url = await either.queue()
    error = await either.refusal("SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes={"detail": value})
    assert error.told == (
        "InvalidParameterValue",
        f"Message (user) attribute 'detail' must contain a non-empty value of type '{base}'.",
    )


@pytest.mark.parametrize(
    "number",
    [
        "0", "-0", "5.", ".5", "+1.50", "1e5", "1E-5", "9" * 38, "-" + "9" * 38, "1" + "0" * 60, "0." + "0" * 60 + "1",
        "1e126", "1e-128", "-1e126", "0e999", "000000000000000000000000000000000000000000001",
    ],
)  # fmt: skip
async def test_good_numbers_come_back_as_they_were_written(sqs: Client, url: str, number: str) -> None:
    await sqs.send(url, MessageAttributes={"n": text(number, "Number")})
    (message,) = await sqs.receive(url, MessageAttributeNames=["n"])
    assert message["MessageAttributes"]["n"]["StringValue"] == number


@pytest.mark.parametrize(
    "number",
    [
        "five", "1,5", "1_000", " 1", "1 ", "1\n", "٣", "0x10", "NaN", "Infinity", "-inf", ".", "e5", "1e", "--1",
        "1.2.3",
        "9" * 39, "1." + "0" * 38 + "1", "1.1e126", "2e126", "9e-129", "1e999999", "1e9999999999999999999", "1" * 5000,
    ],
)  # fmt: skip
async def test_bad_numbers(sqs: Client, url: str, number: str) -> None:
    given = {"n": text(number, "Number")}
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes=given)
    assert error.told == (
        "InvalidParameterValue",
        "Can't cast the value of message (user) attribute 'n' to a number.",
    )


@pytest.mark.parametrize("name", ["StringListValues", "BinaryListValues"])
async def test_lists_as_values_are_not_supported(either: Client, name: str) -> None:
    url = await either.queue()
    values = ["a"] if name == "StringListValues" else [b"a"]
    attributes = {"x": {**text("a"), name: values}}
    error = await either.refusal("SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes=attributes)
    assert error.code == "AWS.SimpleQueueService.UnsupportedOperation"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SenderId", text("me"), "Message system attribute name 'SenderId' is invalid. Valid names: AWSTraceHeader."),
        ("AWSTraceHeader", text("1", "Number"), "Message system attribute 'AWSTraceHeader' must be of type 'String'."),
    ],
)
async def test_the_trace_header_is_the_only_system_attribute(
    sqs: Client, url: str, name: str, value: dict[str, Any], told: str
) -> None:
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="x", MessageSystemAttributes={name: value})
    assert error.told == ("InvalidParameterValue", told)


# Other parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [-1, 901, 10**30])
async def test_a_delay_outside_of_fifteen_minutes(either: Client, delay: int) -> None:
    url = await either.queue()
    error = await either.refusal("SendMessage", QueueUrl=url, MessageBody="x", DelaySeconds=delay)
    assert error.told == (
        "InvalidParameterValue",
        f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
    )


async def test_a_standard_queue_knows_no_deduplication_id(sqs: Client, url: str) -> None:
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="x", MessageDeduplicationId="d")
    assert error.told == (
        "InvalidParameterValue",
        "Value d for parameter MessageDeduplicationId is invalid. Reason: The request include parameter that is not "
        "valid for this queue type.",
    )


@pytest.mark.parametrize("name", ["MessageGroupId", "MessageDeduplicationId"])
@pytest.mark.parametrize("value", ["a b", "é", "x" * 129, "a\n", "\t"])
async def test_ids_of_groups_and_duplicates(sqs: Client, name: str, value: str) -> None:
    url = await sqs.queue("line.fifo")
    given = {"MessageGroupId": "g", "MessageDeduplicationId": "d", name: value}
    error = await sqs.refusal("SendMessage", QueueUrl=url, MessageBody="x", **given)
    assert error.told == (
        "InvalidParameterValue",
        f"Value {value[:128]} for parameter {name} is invalid. Reason: {name} can only include alphanumeric and "
        "punctuation characters. 1 to 128 in length.",
    )


async def test_all_punctuation_is_good_in_ids(sqs: Client) -> None:
    url = await sqs.queue("line.fifo")
    odd = r"""a0!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"""
    await sqs.send(url, MessageGroupId=odd, MessageDeduplicationId=odd)
    (message,) = await sqs.receive(url, MessageSystemAttributeNames=["MessageGroupId", "MessageDeduplicationId"])
    assert message["Attributes"] == {"MessageGroupId": odd, "MessageDeduplicationId": odd}
