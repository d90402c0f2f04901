"""The typed arguments of a task: what goes in comes out, and what does not fit is refused by whoever sees it first."""

import dataclasses
import enum
import json
import math
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import encola
from encola.consumers.errors import BadPayloadError, ConfigurationError
from encola.consumers.message import JobMessage, decode, encode
from encola.consumers.payload import Payload, decode_as, payload_hash, to_json
from encola.testing import Inline


@dataclasses.dataclass
class Place:
    row: int
    seat: str = "A"


class Ticket(TypedDict):
    place: Place
    price: NotRequired[Decimal]


class Visitor(msgspec.Struct):
    name: str
    age: Annotated[int, msgspec.Meta(ge=0)] = 0


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


def back(payload: Payload, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """What the consumer gets."""
    return payload.decode(payload.encode(args, kwargs))


def of(hint: Any) -> Payload:
    """The payload of a function with one parameter of a type."""

    def function(value): ...  # type: ignore[no-untyped-def]

    function.__annotations__ = {"value": hint}
    return Payload(function)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(JSON)
def test_any_value_that_json_has_comes_back_as_it_went_and_so_does_its_message(value: Any) -> None:
    data = of(Any).encode((value,), {})
    body = encode(JobMessage("task", msgspec.Raw(data), "task/1"))
    assert not set("\ufffe\uffff") & set(body)  # SQS does not take them
    assert of(Any).decode(decode(body).args) == {"value": value}


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Place, Place(3, "C")),
        (Ticket, {"place": Place(1), "price": Decimal("9.90")}),
        (Ticket, {"place": Place(1)}),
        (Visitor, Visitor("Ada", 36)),
        (Colour, Colour.RED),
        (Level, Level.LOW),
        (Literal["a", 1], 1),
        (date, date(2026, 10, 1)),
        (datetime, datetime(2026, 10, 1, 6, 30, tzinfo=UTC)),
        (time, time(6, 30)),
        (timedelta, timedelta(days=1, seconds=0.5)),
        (uuid.UUID, uuid.UUID(int=7)),
        (Decimal, Decimal("0.10")),
        (bytes, b"\x00\xff"),
        (set[int], {1, 2}),
        (tuple[int, str], (1, "a")),
        (dict[int, list[Place]], {1: [Place(2)]}),
        (int | str | None, None),
        (int | Place | None, Place(1)),
        (float, 1.5),
        (int, 2**200),
        (int, -(2**63) - 1),
        (str, "\u2028 \U0001f600 \0"),
    ],
)
def test_a_value_of_a_type_comes_back_as_that_type(hint: Any, value: Any) -> None:
    found = back(of(hint), value)["value"]
    assert found == value
    assert type(found) is type(value)


def test_defaults_are_the_consumers_and_keyword_only_parameters_travel_by_name() -> None:
    def function(month: str, part: int = 1, *, draft: bool = False, tags: list[str] = []) -> None: ...  # noqa: B006

    payload = Payload(function)
    assert payload.encode(("2026-10",), {}) == b'{"month":"2026-10"}'
    assert back(payload, "2026-10", draft=True) == {"month": "2026-10", "part": 1, "draft": True, "tags": []}
    first, second = back(payload, "a"), back(payload, "b")
    first["tags"].append("changed")
    assert second["tags"] == []


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, "missing a required argument: 'month'"),
        (("a", 1, 2), {}, "too many positional arguments"),
        (("a",), {"year": 1}, "got an unexpected keyword argument 'year'"),
        (("a",), {"month": "b"}, "multiple values for argument 'month'"),
        ((1,), {}, "Expected `str`, got `int` - at `$.month`"),
        (("a", "1"), {}, "Expected `int`, got `str` - at `$.part`"),
        (("a", True), {}, "Expected `int`, got `bool` - at `$.part`"),
        (("a", math.nan), {}, "nan cannot be made JSON"),
        ((object(),), {}, "a object cannot be made JSON"),
        (("\ud800",), {}, "surrogates not allowed"),
    ],
)
def test_a_producer_is_told_what_does_not_fit(args: tuple[Any, ...], kwargs: dict[str, Any], text: str) -> None:
    def report(month: str, part: int = 1) -> None: ...

    with pytest.raises(BadPayloadError) as refused:
        Payload(report).encode(args, kwargs)
    assert text in str(refused.value)
    assert "report: " in str(refused.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": (1, v)}, lambda v: [Visitor("a", v)]])
def test_what_is_no_number_is_refused_and_does_not_become_null(value: float, wrap: Callable[[float], Any]) -> None:
    """It went out as null, and the consumer got None."""
    with pytest.raises(BadPayloadError, match="cannot be made JSON"):
        of(Any).encode((wrap(value),), {})
    with pytest.raises(ValueError, match="cannot be made JSON"):
        to_json(wrap(value))
    assert to_json([None, 1.5]) == b"[null,1.5]"


def test_what_is_nested_without_an_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(BadPayloadError):
        of(Any).encode((endless,), {})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"month":1}',
        b"{}",
        b'{"month":"a","more":1}',
        b'{"month":"a"}x',
        b'{"month":"\xff"}',
    ],
)
def test_a_consumer_refuses_what_does_not_fit_also_what_it_does_not_know(data: bytes) -> None:
    def report(month: str) -> None: ...

    with pytest.raises(BadPayloadError, match="report: "):
        Payload(report).decode(data)


def test_an_explanation_is_short_whatever_came() -> None:
    with pytest.raises(BadPayloadError) as refused:
        of(Literal["a"]).decode(json.dumps({"value": "x" * 100_000}).encode())
    assert len(str(refused.value)) < 700


def test_parts_of_the_arguments_name_the_first_that_is_missing() -> None:
    def function(first: int, second: int = 2, *, third: int = 3) -> None: ...

    payload = Payload(function)
    assert payload.encode_partial((), {}) == (b"{}", "first")
    assert payload.encode_partial((1,), {}) == (b'{"first":1}', "second")
    assert payload.encode_partial((1, 2), {"third": 3})[1] is None
    assert payload.encode_partial((), {"first": 1, "third": 3})[1] == "second"
    for args, kwargs in (((1, 2, 3), {}), ((), {"fourth": 1}), ((object(),), {})):
        with pytest.raises(BadPayloadError):
            payload.encode_partial(args, kwargs)


def _mutable(value: list[int] = [1]) -> None: ...  # noqa: B006


def _unknown(value: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda *values: None, r"a task cannot take \*args, \*\*kwargs or positional-only parameters"),
        (lambda **values: None, r"a task cannot take \*args"),
        (lambda value, /: None, "or positional-only parameters"),
        (_mutable, r"Using a non-empty mutable collection"),
        (_unknown, "name 'Nowhere' is not defined .types of a task must be known at module level."),
    ],
)
def test_a_signature_that_cannot_travel_is_refused_at_the_declaration(function: Callable[..., Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        Payload(function)
    with pytest.raises(ConfigurationError, match="more than one array-like"):
        of(list[int] | tuple[int, ...])


def test_resources_are_no_arguments() -> None:
    def function(
        month: str, database: Annotated[object, encola.Use(dict)] = encola.USE, note: Annotated[str, "text"] = ""
    ) -> None: ...

    payload = Payload(function)
    assert payload.uses == {"database": dict}
    assert payload.names == ("month", "note")
    with pytest.raises(BadPayloadError, match="unexpected keyword argument 'database'"):
        payload.encode(("a",), {"database": {}})


# pydantic --------------------------------------------------------------------------------------------


def test_models_of_pydantic_are_validated_at_both_ends() -> None:
    pydantic = pytest.importorskip("pydantic")
    order_type = pydantic.create_model("Order", number=(int, ...), placed=(date, ...), lines=(list[str], []))
    order = order_type(number=1, placed=date(2026, 10, 1))
    for hint, value in (
        (order_type, order),
        (list[order_type], [order]),
        (order_type | None, None),
        (dict[str, order_type], {"a": order}),
    ):
        assert back(of(hint), value) == {"value": value}
    with pytest.raises(BadPayloadError, match="valid integer"):
        of(order_type).encode(({"number": "x", "placed": "2026-10-01"},), {})
    assert decode_as(order_type, to_json(order)) == order


# Telling payloads apart ------------------------------------------------------------------------------


@given(JSON)
def test_spaces_and_the_order_of_members_do_not_change_the_hash(value: Any) -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(one) for one in value] if isinstance(value, list) else value

    plain = msgspec.json.encode(value)
    assert payload_hash(plain) == payload_hash(msgspec.json.format(plain, indent=3))
    assert payload_hash(plain) == payload_hash(json.dumps(turned(value)).encode())


@given(JSON, JSON)
def test_other_values_have_another_hash(one: Any, other: Any) -> None:
    same = msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic")
    assert (payload_hash(msgspec.json.encode(one)) == payload_hash(msgspec.json.encode(other))) == same


# The whole way ---------------------------------------------------------------------------------------


def test_what_a_producer_sends_is_what_the_task_gets_and_what_it_answers_comes_back() -> None:
    app = encola.App("there-and-back")
    seen: list[Any] = []

    @app.task(queue="q")
    def turn(place: Place, colour: Colour, on: date, price: Decimal = Decimal(1)) -> Visitor:
        seen.append((place, colour, on, price))
        return Visitor(place.seat, place.row)

    with Inline(app) as run:
        job = turn.send(Place(3, "\ufffe"), Colour.RED, on=date(2026, 10, 1))
        run.until_idle()
        assert seen == [(Place(3, "\ufffe"), Colour.RED, date(2026, 10, 1), Decimal(1))]
        assert job.result() == Visitor("\ufffe", 3)
