"""Conditions of policies, operator by operator: what holds, what does not, and what a missing key means."""

import pytest

from encola.protocols.aws.conditions import OPERATORS, ConditionError, parse_condition

CASES: dict[str, tuple[tuple[str, str, bool], ...]] = {
    # operator: (wanted, found, holds)
    "StringEquals": (("a", "a", True), ("a", "A", False), ("a*", "ab", False)),
    "StringEqualsIgnoreCase": (("a", "A", True), ("straße", "STRASSE", True), ("a", "b", False)),
    "StringLike": (("a*", "ab", True), ("a?", "ab", True), ("A*", "ab", False), ("a", "ab", False)),
    "ArnEquals": (
        ("arn:aws:sns:*:1:t", "arn:aws:sns:us-east-1:1:t", True),
        ("arn:aws:sns:us-east-1:*:s", "arn:aws:sns:us-east-1:1:t", False),
        ("*", "arn:aws:sns:us-east-1:1:t", True),
        ("arn:aws:sns:*:1:t", "none", False),
    ),
    "IpAddress": (
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3/8", "10.9.9.9", True),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "10.0.0.1", False),
        ("0.0.0.0/0", "not an address", False),
        ("0.0.0.0/0", "", False),
    ),
    "Bool": (("true", "true", True), ("TRUE", "True", True), ("true", "false", False), ("false", "x", False)),
    "BinaryEquals": (("QUJD", "QUJD", True), ("QUJD", "qujd", False)),
    "NumericEquals": (("1", "1.0", True), ("1", "2", False), ("1", "x", False)),
    "NumericLessThan": (("2", "1", True), ("2", "2", False), ("2", "-1e9", True)),
    "NumericLessThanEquals": (("2", "2", True), ("2", "2.1", False)),
    "NumericGreaterThan": (("2", "3", True), ("2", "2", False)),
    "NumericGreaterThanEquals": (("2", "2", True), ("2", "1", False)),
    "DateEquals": (
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", True),
        ("2026-01-02T03:04:05Z", "1767323045", True),
        ("2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05Z", True),
        ("2026-01-02", "2026-01-02T00:00:00Z", True),
        ("2026-01-02", "2026-01-02T00:00:01Z", False),
        ("2026-01-02", "yesterday", False),
    ),
    "DateLessThan": (("2026-01-02", "2026-01-01T23:59:59Z", True), ("2026-01-02", "2026-01-02T00:00:00Z", False)),
    "DateLessThanEquals": (("2026-01-02", "2026-01-02T00:00:00Z", True), ("2026-01-02", "2026-01-03", False)),
    "DateGreaterThan": (("2026-01-02", "2026-01-03", True), ("2026-01-02", "2026-01-02", False)),
    "DateGreaterThanEquals": (("2026-01-02", "2026-01-02", True), ("2026-01-02", "2026-01-01", False)),
}
SAME = {"ArnLike": "ArnEquals"}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnEquals",
    "NotIpAddress": "IpAddress",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
}


def holds(name: str, wanted: tuple[str, ...], found: str | None, key: str = "aws:Key") -> bool:
    context = {} if found is None else {"aws:key": found}
    return parse_condition(name, key, wanted).holds(context)


def test_every_operator_is_tested() -> None:
    assert set(OPERATORS) == {*CASES, *SAME, *NEGATED}


POSITIVE = [(name, *case) for name in CASES for case in CASES[name]]
POSITIVE += [(name, *case) for name, same in SAME.items() for case in CASES[same]]


@pytest.mark.parametrize(("name", "wanted", "found", "expected"), POSITIVE)
def test_operators(name: str, wanted: str, found: str, expected: bool) -> None:
    assert holds(name, (wanted,), found) is expected
    assert holds(f"{name}IfExists", (wanted,), found) is expected
    assert holds(f"ForAnyValue:{name}", (wanted,), found) is expected
    assert holds(f"ForAllValues:{name}", (wanted,), found) is expected


@pytest.mark.parametrize(
    ("name", "wanted", "found", "expected"),
    [(name, wanted, found, not expected) for name, same in NEGATED.items() for wanted, found, expected in CASES[same]],
)
def test_negated_operators(name: str, wanted: str, found: str, expected: bool) -> None:
    assert holds(name, (wanted,), found) is expected


def test_one_of_the_values_is_enough_and_for_a_negated_operator_none_may_be() -> None:
    assert holds("StringEquals", ("a", "b"), "b")
    assert not holds("StringEquals", ("a", "b"), "c")
    assert holds("StringNotEquals", ("a", "b"), "c")
    assert not holds("StringNotEquals", ("a", "b"), "b")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("StringEquals", False),
        ("StringEqualsIfExists", True),
        ("StringNotEquals", True),
        ("StringNotEqualsIfExists", True),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("NumericLessThan", False),
        ("NotIpAddress", True),
        ("Bool", False),
    ],
)
def test_a_key_that_is_missing(name: str, expected: bool) -> None:
    wanted = {"NumericLessThan": "1", "NotIpAddress": "::/0", "Bool": "true"}.get(name, "a")
    assert holds(name, (wanted,), None) is expected


def test_null_asks_whether_there_is_a_key() -> None:
    assert holds("Null", ("true",), None)
    assert not holds("Null", ("true",), "x")
    assert holds("Null", ("false",), "x")
    assert not holds("Null", ("false",), None)


def test_keys_are_compared_without_regard_to_case() -> None:
    assert holds("StringEquals", ("a",), "a", "AWS:KEY")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("stringEquals", "x"),
        ("StringEqualsifexists", "x"),
        ("NullIfExists", "true"),
        ("ForAnyValue:Null", "true"),
        ("ForSomeValue:StringEquals", "x"),
        ("Null", "maybe"),
        ("Bool", "1"),
        ("NumericEquals", "x"),
        ("NumericEquals", "nan"),
        ("DateEquals", "soon"),
        ("IpAddress", "10.0.0.0/33"),
        ("IpAddress", "localhost"),
        ("ArnEquals", "work"),
        ("ArnEquals", "arn:aws:sns:*:t"),
    ],
)
def test_what_cannot_be_applied_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConditionError):
        parse_condition(name, "k", (value,))
