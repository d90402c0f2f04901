"""Messages in and out, and the copies that stand in for what plain SQS cannot do."""

from typing import Any

import pytest

from encola.consumers.sqs import copies
from encola.consumers.sqs.batches import BYTES_MAX, size_of
from encola.consumers.sqs.copies import Received
from encola.consumers.sqs.shapes import AttributeValue, AttributeValues, Message, SendEntry
from encola.consumers.transport import Outgoing

NOW = 1_800_000_000_000
SENT = NOW - 60_000


def message(**more: Any) -> Received:
    system = {"ApproximateReceiveCount": "3", "SentTimestamp": str(SENT), **more.pop("system", {})}
    return copies.received("q", Message("id", "handle", more.pop("body", "body"), system, more), 5.0)


def text(value: str) -> AttributeValue:
    return AttributeValue("String", value)


def values_of(entry: SendEntry) -> AttributeValues:
    return entry.message_attributes or {}


def test_a_message_is_read_with_what_the_service_says_of_it() -> None:
    found = message(x=text("1"), n=AttributeValue("Number", "5"), b=AttributeValue("Binary", None, b"\0"))
    assert found.attributes == {"x": "1", "n": "5"}
    assert (found.receives, found.sent_at, found.received_at) == (3, SENT, 5.0)
    ordered = message(system={"MessageGroupId": "g", "SequenceNumber": "17"})
    assert (ordered.group, ordered.sequence) == ("g", "17")


@pytest.mark.parametrize("nonsense", ["", "-4", "many", "1e9", "٣", "9" * 400])
def test_nonsense_in_our_attributes_counts_for_nothing(nonsense: str) -> None:
    found = message(**{copies.RECEIVES_ATTRIBUTE: text(nonsense), copies.SENT_ATTRIBUTE: text(nonsense)})
    assert (found.receives, found.sent_at) == (3, SENT)


@pytest.mark.parametrize(
    ("delay", "expected"),
    [(0.0, None), (-5.0, None), (0.2, 1), (900.0, 900)],
)
def test_a_short_delay_is_the_services_own(delay: float, expected: int | None) -> None:
    entry = copies.draft(Outgoing(body="b", delay=delay), 900, NOW)
    assert (entry.delay_seconds, entry.message_attributes) == (expected, None)


def test_a_longer_delay_is_noted_in_the_message() -> None:
    entry = copies.draft(Outgoing(body="b", attributes={"x": "y"}, delay=1000.5), 900, NOW)
    assert entry.delay_seconds == 900
    assert values_of(entry) == {"x": text("y"), "encola.due": text(str(NOW + 1_000_500))}


def test_a_postponed_copy_knows_how_often_and_since_when_it_has_been_there() -> None:
    """Given a third delivery, when it is taken back, then the copy's first delivery is the third again."""
    entry = copies.postponed(message(x=text("y")), 5.0, NOW)
    assert entry.delay_seconds == 5
    assert values_of(entry) == {"x": text("y"), "encola.receives": text("2"), "encola.sent": text(str(SENT))}
    again = copies.received(
        "q",
        Message("id2", "h", "body", {"ApproximateReceiveCount": "1", "SentTimestamp": str(NOW)}, values_of(entry)),
        9.0,
    )
    assert (again.receives, again.sent_at) == (3, SENT)


def test_hops_of_a_long_delay_end_with_the_exact_rest() -> None:
    first = copies.postponed(message(), 2000.0, NOW)
    assert first.delay_seconds == 900
    assert values_of(first)["encola.due"] == text(str(NOW + 2_000_000))
    last = copies.postponed(message(**values_of(first)), 200.0, NOW)
    assert last.delay_seconds == 200
    assert "encola.due" not in values_of(last)


def test_attributes_that_are_no_text_are_copied_as_they_are() -> None:
    values = {"n": AttributeValue("Number.int", "5"), "b": AttributeValue("Binary", None, b"\0\1")}
    entry = copies.postponed(message(**values), 0.0, NOW)
    assert {name: values_of(entry)[name] for name in values} == values


def test_of_too_many_attributes_the_foreign_ones_go_and_never_ours() -> None:
    foreign = {f"f{number}": text("x") for number in range(8)}
    entry = copies.postponed(message(**{"encola.task": text("report"), **foreign}), 0.0, NOW)
    assert set(values_of(entry)) == {"encola.task", "encola.receives", "encola.sent", *list(foreign)[:7]}


def test_a_dead_letter_says_why_and_forgets_its_life_before() -> None:
    before = {name: text("5") for name in ("encola.due", "encola.receives", "encola.sent", "encola.error")}
    found = message(**before, **{"encola.task": text("report")}, system={"MessageGroupId": "g"})
    entry = copies.dead_letter(found, "bad-payload", "month is missing", fifo=True)
    assert values_of(entry) == {
        "encola.task": text("report"),
        "encola.reason": text("bad-payload"),
        "encola.error": text("month is missing"),
    }
    assert (entry.message_body, entry.message_group_id, entry.message_deduplication_id) == ("body", "g", "id")


def test_reasons_hold_only_what_a_message_may_hold() -> None:
    entry = copies.dead_letter(message(), "", "\x1b[31mred\x00\ud800 ok\t\U0001f600\uffff" + "x" * 99_999, fifo=False)
    assert values_of(entry)["encola.reason"] == text("unknown")
    error = values_of(entry)["encola.error"].string_value
    assert error is not None
    assert error.startswith("\ufffd[31mred\ufffd\ufffd ok\t\U0001f600\ufffdxxx")
    assert len(error) == copies.ERROR_LENGTH_MAX
    assert entry.message_deduplication_id is None


def test_a_dead_letter_without_an_explanation_has_none() -> None:
    assert set(values_of(copies.dead_letter(message(), "expired", "", fifo=False))) == {"encola.reason"}


@pytest.mark.parametrize(
    ("room", "kept"),
    [(1000, {"encola.reason", "encola.error"}), (100, {"encola.reason"}), (3, set())],
)
def test_a_message_of_the_greatest_size_goes_without_what_does_not_fit(room: int, kept: set[str]) -> None:
    entry = copies.dead_letter(message(body="x" * (BYTES_MAX - room)), "crashed", "e" * 500, fifo=False)
    assert set(values_of(entry)) == kept
    assert size_of(entry) <= BYTES_MAX
