"""MD5 digests: of bodies, of attributes and of system attributes, and of what a receive leaves out.

The first digests are known answers; the others come from a second, plain implementation of the documented rule.
"""

import hashlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.engine.message import Header
from encola.protocols.sqs.checksums import md5_of, md5_of_attributes

from .client import Client


def string(value: str) -> dict[str, Any]:
    return {"DataType": "String", "StringValue": value}


GREETING = {"Hello": string("There"), "General": string("Kenobi"), "Help.Me": string("Me")}


def digest_of(attributes: dict[str, dict[str, Any]]) -> str:
    """The rule of the developer guide, written anew and plainly."""
    digest = hashlib.md5(usedforsecurity=False)

    def add(data: bytes) -> None:
        digest.update(struct.pack(">I", len(data)) + data)

    for name, value in sorted(attributes.items()):
        add(name.encode())
        add(value["DataType"].encode())
        binary = value["DataType"].split(".")[0] == "Binary"
        digest.update(b"\x02" if binary else b"\x01")
        add(value["BinaryValue"] if binary else value["StringValue"].encode())
    return digest.hexdigest()


def test_known_digests() -> None:
    assert md5_of(b"test") == "098f6bcd4621d373cade4e832627b4f6"
    trace = b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"
    assert md5_of_attributes({"attr1": Header("Binary", trace)}) == "8cbe4db156db8a94db8b801b7addb984"
    headers = {name: Header("String", value["StringValue"].encode()) for name, value in GREETING.items()}
    assert md5_of_attributes(headers) == "4c360f3fdafd970e05fae2f149d997f5"
    assert md5_of_attributes({}) is None


HEADERS = st.dictionaries(
    st.text(min_size=1, max_size=20),
    st.one_of(
        st.builds(Header, st.sampled_from(["String", "Number.int", "String.ü"]), st.text().map(str.encode)),
        st.builds(Header, st.sampled_from(["Binary", "Binary.x"]), st.binary()),
    ),
    min_size=1,
)


@given(HEADERS)
def test_digests_follow_the_documented_rule(headers: dict[str, Header]) -> None:
    attributes = {
        name: {"DataType": one.type, "BinaryValue": one.value}
        if one.type.startswith("Binary")
        else {"DataType": one.type, "StringValue": one.value.decode()}
        for name, one in headers.items()
    }
    assert md5_of_attributes(headers) == digest_of(attributes)


ALL = {
    **GREETING,
    "count": {"DataType": "Number.int", "StringValue": "5"},
    "raw": {"DataType": "Binary.gif", "BinaryValue": b"\x00\xff"},
    "smile": string("ü\U0001f600"),
}
TRACE = {"AWSTraceHeader": string("Root=1-5759e988-bd862e3fe1be46a994272793")}


async def test_a_send_answers_three_digests(either: Client) -> None:
    url = await either.queue()
    sent = await either.send(url, "grüße", MessageAttributes=ALL, MessageSystemAttributes=TRACE)
    assert sent["MD5OfMessageBody"] == hashlib.md5("grüße".encode(), usedforsecurity=False).hexdigest()
    assert sent["MD5OfMessageAttributes"] == digest_of(ALL)
    assert sent["MD5OfMessageSystemAttributes"] == digest_of(TRACE)


async def test_without_attributes_there_is_no_digest_of_them(either: Client) -> None:
    url = await either.queue()
    assert set(await either.send(url)) == {"MD5OfMessageBody", "MessageId"}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["All"], set(ALL)),
        ([".*"], set(ALL)),
        (["Hello"], {"Hello"}),
        (["Hello", "raw", "missing"], {"Hello", "raw"}),
        (["Hel.*"], {"Hello", "Help.Me"}),
        (["Help.*", "count"], {"Help.Me", "count"}),
        (["missing"], set()),
        (["Hel*"], set()),
        (["hello"], set()),
        ([], set()),
    ],
)
async def test_a_receive_answers_the_chosen_attributes_and_their_digest(
    either: Client, wanted: list[str], names: set[str]
) -> None:
    url = await either.queue()
    await either.send(url, "grüße", MessageAttributes=ALL)
    (message,) = await either.receive(url, MessageAttributeNames=wanted)
    chosen = {name: ALL[name] for name in names}
    assert message.get("MessageAttributes", {}) == chosen
    assert message.get("MD5OfMessageAttributes") == (digest_of(chosen) if chosen else None)
    assert message["MD5OfBody"] == hashlib.md5("grüße".encode(), usedforsecurity=False).hexdigest()
