"""The message of a job: what is read from odd bodies, and what is written for the next to read."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.consumers.errors import BadMessageError
from encola.consumers.message import JobMessage, Link, Membership, decode, encode, trace_of


def test_the_least_message_has_a_task_and_takes_no_arguments() -> None:
    assert decode('{"task": "report"}') == JobMessage("report")
    assert json.loads(encode(JobMessage("report", msgspec.Raw(b'{"month":"a"}')))) == {
        "task": "report",
        "args": {"month": "a"},
    }


def test_the_characters_that_sqs_does_not_take_are_escaped() -> None:
    """A job whose result had one of them failed to send what follows, again and again."""
    text = "\ufffe and \uffff"
    body = encode(JobMessage("t", msgspec.Raw(msgspec.json.encode({"text": text})), f"t/{text}"))
    assert not set("\ufffe\uffff") & set(body)
    assert msgspec.json.decode(decode(body).args) == {"text": text}
    assert decode(body).job == f"t/{text}"


def test_members_that_are_not_known_are_left_out() -> None:
    assert decode('{"task": "report", "args": {"n": 1}, "colour": "red"}').args == msgspec.Raw(b'{"n": 1}')


@pytest.mark.parametrize(
    "body",
    ["", " ", "hello", "null", "7", "[]", '"task"', "{}", '{"task": 7}', '{"task": "t", "job": 7}', '{"task": "t"',
     '{"task": "t", "v": "1"}', '{"task": "t", "keyed": 1}', '{"task": "t", "then": {}}', '{"task": "t", "then": [{}]}',
     '{"task": "t", "join": {}}', '{"task": "t"} x', '{"task": "\ud800"}', "[" * 100_000, '{"a":' * 100_000,
     '{"task": "t", "then": [{"task": "t", "queue": "", "job": "", "args": {}}]}'],
)  # fmt: skip
def test_a_body_that_is_no_message_of_a_job_is_refused_in_one_word(body: str) -> None:
    with pytest.raises(BadMessageError) as refused:
        decode(body)
    assert refused.value.reason == "bad-message"
    assert len(str(refused.value)) < 500


def test_a_newer_version_is_told_apart_and_older_ones_are_read() -> None:
    with pytest.raises(BadMessageError, match="of version 2; this runtime knows version 1 and below") as refused:
        decode('{"task": "t", "v": 2}')
    assert refused.value.reason == "unsupported-version"
    assert decode('{"task": "t", "v": 0}').v == 0


@given(st.text(), st.text(), st.text())
def test_a_message_comes_back_as_it_was_written(task: str, job: str, note: str) -> None:
    args = msgspec.Raw(msgspec.json.encode({"note": note}))
    message = JobMessage(task, args, job, keyed=True)
    found = decode(encode(message))
    assert (found.task, found.job, found.keyed) == (task, job, True)
    assert msgspec.json.decode(found.args) == {"note": note}


def test_links_and_memberships_come_back() -> None:
    link = Link("t", "q", "t/1", msgspec.Raw(b'{"a":1}'), into="b")
    message = JobMessage("t", job="t/0", then=(link, link), join=Membership("g", 3, 2, link, True))
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    ("attributes", "kept"),
    [
        ({}, {}),
        ({"traceparent": "00-a", "tracestate": "b", "baggage": "c", "encola.task": "t"},
         {"traceparent": "00-a", "tracestate": "b", "baggage": "c"}),
        ({"traceparent": "x" * 1024, "baggage": "x" * 1025}, {"traceparent": "x" * 1024}),
    ],
)  # fmt: skip
def test_a_trace_goes_on_unless_it_is_too_long(attributes: dict[str, str], kept: dict[str, Any]) -> None:
    assert trace_of(attributes) == kept
