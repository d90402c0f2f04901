"""What the pages of messages are made of: bodies as people read them, filters, ages, reasons."""

import json
import time

import pytest

from encola.dashboard import spans
from encola.dashboard.bodies import ALL_BYTES, SHOWN_BYTES, natural_of, pretty, shown
from encola.dashboard.fields import Fields
from encola.dashboard.filters import Filter
from encola.dashboard.reasons import GROUPS_MAX, Groups, why
from encola.engine.message import Envelope, Header, MessageId, MessageState, Peek

NOW = 1_000_000_000_000


def _peek(
    number: int = 1, body: bytes = b"body", *, age: int = 0, ready_in: int = 0, leased: bool = False, **envelope: object
) -> Peek:
    receives = 1 if leased else 0
    state = MessageState(MessageId(number), NOW + ready_in, receives, receives, NOW - age, 0, NOW - 1 if leased else 0)
    return Peek(state, Envelope(f"m{number}", **envelope), body)  # type: ignore[arg-type]


# Bodies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "natural"),
    [
        (b'{"a": 1}', "json"),
        (b" [1]\n", "json"),
        (b'"just a string"', "text"),
        (b"17", "text"),
        (b"{not json", "text"),
        (b"[" * 100_000, "text"),
        ("ünïcode".encode(), "text"),
        (b"", "text"),
        (b"\xff\xfe", "hex"),
        (b"a\0b", "hex"),
    ],
)
def test_a_body_is_shown_as_its_content_suggests(body: bytes, natural: str) -> None:
    assert natural_of(body) == natural
    assert shown(body).show == natural


def test_json_keeps_the_order_of_its_keys_its_numbers_and_its_escapes() -> None:
    text = r'{"z":1.0,"a":{"n":1e400,"e":[],"o":{}},"z":12345678901234567890123,"s":"a,{\"\u00e9]"}'
    laid_out, whole = pretty(text, 10_000)
    assert whole
    assert laid_out.splitlines()[:3] == ["{", '  "z": 1.0,', '  "a": {']
    assert "".join(line.strip() for line in laid_out.splitlines()).replace('": ', '":') == text


def test_what_is_deeply_nested_does_not_grow_by_its_square() -> None:
    text = "[" * 900 + "1," * 200_000 + "1" + "]" * 900
    body = shown(text.encode(), everything=True)
    assert body.show == "json"
    assert not body.whole
    assert len(body.text) < ALL_BYTES + 1000


def test_of_a_long_body_the_first_part_is_shown_and_all_of_it_on_demand() -> None:
    long = ("é" * 600_000).encode()
    first = shown(long)
    assert (first.size, first.whole) == (1_200_000, False)
    assert first.text == "é" * (SHOWN_BYTES // 2)
    assert shown(long, everything=True).text == "é" * 600_000
    assert not shown(json.dumps(list(range(100_000))).encode()).whole
    assert not shown(b"\0" * 1_000_000).whole


def test_an_odd_cut_through_a_letter_shows_no_half_letter() -> None:
    assert "\ufffd" not in shown(b"a" + ("é" * SHOWN_BYTES).encode()).text


def test_what_a_page_would_swallow_or_turn_around_is_shown_by_signs() -> None:
    assert shown("a\x07\r\n\tb\x7f\x85\u202ec".encode(), "text").text == "a␇␍\n\tb␡⟨85⟩⟨U+202E⟩c"
    assert shown(b"ok \xff", "text").text == "ok \ufffd"
    assert shown(b"\x00AZ\xff").text == "000000  00 41 5a ff" + " " * 38 + ".AZ."


def test_json_is_not_claimed_where_there_is_none() -> None:
    assert shown(b"plain", "json").show == "text"
    assert shown(b'{"a":1}', "text").text == '{"a":1}'
    assert shown(b'{"a":1}', "nonsense").show == "json"


# Ages -------------------------------------------------------------------------------------------------


def test_ages_and_times_are_read_as_people_type_them() -> None:
    assert [spans.span(text) for text in ("90s", "15m", "2h", "3D")] == [90_000, 900_000, 7_200_000, 259_200_000]
    assert spans.moment("10s", NOW) == NOW - 10_000
    assert spans.moment("1970-01-01 00:01", NOW) == 60_000
    assert spans.moment("1970-01-01T01:00:00+01:00", NOW) == 0
    assert spans.moment("999999999999d", NOW) == 0
    for text in ("", "h", "-3s", "1.5h", "soon", "²s", "9" * 5000 + "s", "2026-99-01"):
        with pytest.raises(spans.NotATimeError):
            spans.moment(text, NOW)


# Filters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "peek", "fits"),
    [
        ("text=BODY", _peek(), True),
        ("text=%C3%89t%C3%A9", _peek(body="ÉTÉ".encode()), True),
        ("text=nobody", _peek(), False),
        ("group=a", _peek(group="a"), True),
        ("group=a", _peek(group="b"), False),
        ("attribute=tenant", _peek(headers={"tenant": Header("String", b"x")}), True),
        ("attribute=tenant%3Dx", _peek(headers={"tenant": Header("String", b"x")}), True),
        ("attribute=tenant%3Dy", _peek(headers={"tenant": Header("String", b"x")}), False),
        ("attribute=tenant%3D", _peek(), False),
        ("receives=1", _peek(leased=True), True),
        ("receives=1", _peek(), False),
        ("older=10s", _peek(age=10_000), True),
        ("older=11s", _peek(age=10_000), False),
        ("younger=10s", _peek(age=10_000), True),
        ("younger=9s", _peek(age=10_000), False),
        ("older=1s", _peek(sent_at=NOW - 5000), True),
        ("state=waiting", _peek(), True),
        ("state=flight", _peek(ready_in=5, leased=True), True),
        ("state=delayed", _peek(ready_in=5), True),
        ("state=delayed", _peek(ready_in=5, leased=True), False),
        ("state=nonsense", _peek(), True),
        ("reason=received+too+often&source=orders", _peek(dead_letter_source="1/orders"), True),
        ("source=orders", _peek(dead_letter_source="1/others"), False),
        ("text=body&group=b", _peek(group="a"), False),
    ],
)
def test_a_filter_takes_what_its_address_says(query: str, peek: Peek, fits: bool) -> None:
    assert Filter.of(Fields.parse(query)).test(NOW)(peek) is fits


def test_a_filter_says_what_is_wrong_with_it() -> None:
    assert "soon" in Filter.of(Fields.parse("older=soon")).problem
    assert Filter.of(Fields.parse("older=2h&receives=x")).problem == ""
    assert Filter.of(Fields.parse("order=newest&after=3")).empty


def test_the_address_of_a_filter_is_the_filter() -> None:
    query = {"text": "a=&b", "receives": 3, "state": "flight", "error": "#"}
    found = Filter.of(Fields([(name, str(value)) for name, value in query.items()]))
    assert found.query() == query
    assert found.words() == "text “a=&b”, error “#”, received at least 3 times, in flight"


# Reasons ----------------------------------------------------------------------------------------------


def _dead(number: int, reason: str = "", error: str = "", source: str = "1/orders", age: int = 0) -> Peek:
    headers = {"encola.reason": Header("String", reason.encode()), "encola.error": Header("String", error.encode())}
    kept = {name: header for name, header in headers.items() if header.value}
    return _peek(number, age=age, headers=kept, dead_letter_source=source)


def test_why_a_message_is_here_is_what_was_said_or_what_is_known() -> None:
    said = why(_dead(1, "permanent", "\nValueError: no 17\n  more"))
    assert (said.reason, said.source, said.error, said.kind) == (
        "permanent",
        "orders",
        "ValueError: no 17",
        "ValueError: no #",
    )
    assert why(_dead(1)).reason == "received too often"
    assert why(_dead(1, source="")).reason == "sent to this queue"


def test_messages_of_one_reason_are_one_group_whatever_numbers_their_errors_have() -> None:
    groups = Groups()
    for number, (error, age) in enumerate([("E: 1", 30), ("E: 22", 10), ("F", 5), ("E: 0xff", 50)], 1):
        groups.add(_dead(number, "failed", error, age=age))
    first, second = groups.largest_first()
    assert (first.kind, first.count, first.example) == ("E: #", 3, "E: 22")
    assert ((first.newest, first.newest_at), (first.oldest, first.oldest_at)) == ((2, NOW - 10), (4, NOW - 50))
    assert (second.kind, second.count) == ("F", 1)


def test_there_are_only_so_many_groups_and_the_rest_is_counted() -> None:
    groups = Groups()
    for number in range(GROUPS_MAX + 50):
        groups.add(_dead(number, "failed", "error " + chr(0x4E00 + number)))
    assert (len(groups.largest_first()), groups.others) == (GROUPS_MAX, 50)


def test_a_megabyte_of_quotes_is_laid_out_in_time_that_grows_with_its_length() -> None:
    def seconds(size: int) -> float:
        body = json.dumps({"text": '"\\' * size}).encode()
        times = []
        for _ in range(3):
            start = time.perf_counter()
            shown(body, everything=True)
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(160_000) < 100 * seconds(10_000) + 0.1
