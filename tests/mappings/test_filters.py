"""Filter criteria: each operator, the rules for bodies, what is refused, and a plain second reading of the rules."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.mappings.filters import DEPTH_MAX, OPERATORS, PATTERN_LENGTH_MAX, PATTERNS_MAX, FilterError, Filters


def record(body: Any = "", **more: Any) -> dict[str, Any]:
    """A record whose body is a text, or the JSON of anything else."""
    return {"body": body if isinstance(body, str) else json.dumps(body), **more}


def wants(pattern: Any, body: Any = "", **more: Any) -> bool:
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    return Filters([text]).matches(record(body, **more))


def of_body(rule: Any) -> dict[str, Any]:
    return {"body": {"x": rule}}


MATCHES: list[tuple[str, Any, Any, bool]] = [
    ("text", ["a"], "a", True),
    ("other text", ["a"], "A", False),
    ("one of several", ["a", "b"], "b", True),
    ("empty text", [""], "", True),
    ("empty text is not null", [""], None, False),
    ("null", [None], None, True),
    ("null is not empty", [None], "", False),
    ("true", [True], True, True),
    ("true is not 1", [True], 1, False),
    ("false", [False], False, True),
    ("number", [300], 300, True),
    ("number is not text", [300], "300", False),
    ("text is not number", ["300"], 300, False),
    ("prefix", [{"prefix": "ab"}], "abc", True),
    ("prefix elsewhere", [{"prefix": "bc"}], "abc", False),
    ("prefix of a number", [{"prefix": "3"}], 30, False),
    ("prefix of any case", [{"prefix": {"equals-ignore-case": "AB"}}], "abc", True),
    ("suffix", [{"suffix": ".png"}], "a.png", True),
    ("suffix elsewhere", [{"suffix": ".png"}], "a.png.txt", False),
    ("suffix of any case", [{"suffix": {"equals-ignore-case": ".PNG"}}], "a.png", True),
    ("any case", [{"equals-ignore-case": "aLice"}], "Alice", True),
    ("any case, other text", [{"equals-ignore-case": "alice"}], "bob", False),
    ("anything but", [{"anything-but": "a"}], "b", True),
    ("anything but this", [{"anything-but": "a"}], "a", False),
    ("anything but these", [{"anything-but": ["a", "b"]}], "b", False),
    ("anything but a number", [{"anything-but": 5}], 6, True),
    ("anything but this number", [{"anything-but": [5, 6]}], 6, False),
    ("anything but is also null", [{"anything-but": "a"}], None, True),
    ("anything but a prefix", [{"anything-but": {"prefix": "us-"}}], "eu-1", True),
    ("anything but this prefix", [{"anything-but": {"prefix": "us-"}}], "us-1", False),
    ("anything but a suffix", [{"anything-but": {"suffix": [".a", ".b"]}}], "x.b", False),
    ("anything but any case", [{"anything-but": {"equals-ignore-case": "A"}}], "a", False),
    ("numeric equal", [{"numeric": ["=", 5]}], 5, True),
    ("numeric equal in another spelling", [{"numeric": ["=", 300]}], 3.0e2, True),
    ("numeric less", [{"numeric": ["<", 5]}], 4.9, True),
    ("numeric not less", [{"numeric": ["<", 5]}], 5, False),
    ("numeric range", [{"numeric": [">", 0, "<=", 5]}], 5, True),
    ("numeric below range", [{"numeric": [">", 0, "<=", 5]}], 0, False),
    ("numeric of text", [{"numeric": [">", 0]}], "5", False),
    ("numeric negative", [{"numeric": [">=", -10.5]}], -10.5, True),
    ("exists", [{"exists": True}], "a", True),
    ("exists with null", [{"exists": True}], None, True),
    ("does not exist, but does", [{"exists": False}], "a", False),
    ("exists is for leaves", [{"exists": True}], {"y": 1}, False),
    ("an object is no leaf", [{"exists": False}], {"y": 1}, True),
    ("one of an array", ["a"], ["b", "a"], True),
    ("none of an array", ["a"], ["b", "c"], False),
    ("within arrays of arrays", ["a"], [["b"], [["a"]]], True),
    ("an empty array has no leaves", [{"exists": True}], [], False),
    ("or over operators", [{"prefix": "a"}, {"numeric": [">", 5]}], 6, True),
]


@pytest.mark.parametrize(("rule", "value", "wanted"), [case[1:] for case in MATCHES], ids=[case[0] for case in MATCHES])
def test_a_rule_matches_a_value(rule: Any, value: Any, wanted: bool) -> None:
    assert wants(of_body(rule), {"x": value}) is wanted


@pytest.mark.parametrize("rule", [["a"], [None], [{"anything-but": "a"}], [{"exists": True}], [{"numeric": ["<", 9]}]])
def test_a_field_that_is_not_there_matches_nothing_but_its_absence(rule: Any) -> None:
    assert not wants(of_body(rule), {"y": 1})
    assert wants(of_body([{"exists": False}]), {"y": 1})


def test_every_operator_has_been_tried() -> None:
    tried = {operator for _, rules, _, _ in MATCHES for rule in rules if isinstance(rule, dict) for operator in rule}
    assert tried == set(OPERATORS)


def test_numbers_are_compared_as_they_are_written() -> None:
    assert wants('{"body": {"x": [300]}}', '{"x": 300}')
    assert not wants('{"body": {"x": [300]}}', '{"x": 3.0e2}')
    assert not wants('{"body": {"x": [300]}}', '{"x": 300.0}')
    assert wants('{"body": {"x": [3.0e2]}}', '{"x": 3.0e2}')


def test_numbers_of_any_length_do_not_disturb() -> None:
    digits = "9" * 10_000
    assert wants('{"body": {"x": [{"numeric": [">", 5]}]}}', f'{{"x": {digits}}}')
    assert not wants('{"body": {"x": [{"numeric": [">", 5]}]}}', '{"x": 1e99999999999999999999}')


def test_all_fields_must_match_and_one_of_a_choice() -> None:
    pattern = {"body": {"a": [1], "$or": [{"b": [2]}, {"c": {"d": [3]}}]}}
    assert wants(pattern, {"a": 1, "b": 2})
    assert wants(pattern, {"a": 1, "c": {"d": 3}})
    assert not wants(pattern, {"a": 1, "b": 3})
    assert not wants(pattern, {"b": 2})


def test_a_choice_may_stand_at_the_top() -> None:
    pattern = {"$or": [{"body": {"a": [1]}}, {"eventSource": ["other"]}]}
    assert wants(pattern, {"a": 1}, eventSource="aws:sqs")
    assert wants(pattern, "text", eventSource="other")
    assert not wants(pattern, {"a": 2}, eventSource="aws:sqs")


def test_the_fields_of_one_element_of_an_array_must_match_together() -> None:
    pattern = {"body": {"items": {"kind": ["a"], "size": [2]}}}
    assert wants(pattern, {"items": [{"kind": "b", "size": 1}, {"kind": "a", "size": 2}]})
    assert not wants(pattern, {"items": [{"kind": "a", "size": 1}, {"kind": "b", "size": 2}]})


def test_a_body_of_text_and_a_pattern_of_json_do_not_match_nor_the_other_way_round() -> None:
    assert not wants({"body": {"x": [{"exists": False}]}}, "plain text")
    assert not wants({"body": [{"prefix": "{"}]}, {"x": 1})
    assert wants({"body": [{"prefix": "pl"}]}, "plain text")
    assert wants({"body": {"x": [1]}}, [{"x": 1}])


@pytest.mark.parametrize("body", ["12", '"text"', "null", "{broken", "[1,", '{"x": NaN}', "[" * 100_000])
def test_only_objects_and_arrays_count_as_json(body: str) -> None:
    assert wants({"body": [{"prefix": body[:5]}]}, body)
    assert not wants({"body": {"x": [{"exists": False}]}}, body)


def test_without_a_rule_for_the_body_its_kind_does_not_matter() -> None:
    pattern = {"messageAttributes": {"kind": {"stringValue": ["a"]}}}
    attributes = {"kind": {"stringValue": "a", "dataType": "String"}}
    assert wants(pattern, "text", messageAttributes=attributes)
    assert wants(pattern, {"x": 1}, messageAttributes=attributes)
    assert not wants(pattern, {"x": 1}, messageAttributes={})


def test_of_a_name_that_comes_twice_the_last_counts() -> None:
    assert wants('{"body": {"x": [1], "x": [2]}}', '{"x": 5, "x": 2}')
    assert not wants('{"body": {"x": [1], "x": [2]}}', '{"x": 2, "x": 1}')


def test_one_of_the_patterns_is_enough_and_without_any_all_is_wanted() -> None:
    two = Filters(['{"body": {"x": [1]}}', '{"body": {"x": [2]}}'])
    assert [two.matches(record({"x": value})) for value in (1, 2, 3)] == [True, True, False]
    assert Filters([]).matches(record("anything"))


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "text",
        "[]",
        "1",
        "{}",
        '{"body": {}}',
        '{"body": []}',
        '{"body": "text"}',
        '{"body": {"x": 1}}',
        '{"body": {"x": [[1]]}}',
        '{"body": {"x": [{"nonsense": 1}]}}',
        '{"body": {"x": [{"prefix": "a", "suffix": "b"}]}}',
        '{"body": {"x": [{"prefix": 5}]}}',
        '{"body": {"x": [{"prefix": {"wildcard": "a"}}]}}',
        '{"body": {"x": [{"exists": "yes"}]}}',
        '{"body": {"x": [{"exists": true, "prefix": "a"}]}}',
        '{"body": {"x": [{"anything-but": []}]}}',
        '{"body": {"x": [{"anything-but": [1, "a"]}]}}',
        '{"body": {"x": [{"anything-but": null}]}}',
        '{"body": {"x": [{"anything-but": {"wildcard": "a"}}]}}',
        '{"body": {"x": [{"anything-but": {"prefix": 5}}]}}',
        '{"body": {"x": [{"numeric": []}]}}',
        '{"body": {"x": [{"numeric": [">"]}]}}',
        '{"body": {"x": [{"numeric": ["!", 5]}]}}',
        '{"body": {"x": [{"numeric": [">", "5"]}]}}',
        '{"body": {"x": [{"numeric": ["<", 0, ">", 5]}]}}',
        '{"body": {"x": [{"numeric": [">", 5, "<", 5]}]}}',
        '{"body": {"x": [{"numeric": [">", 5000000001]}]}}',
        '{"body": {"x": [NaN]}}',
        '{"$or": [{"body": {"a": [1]}}, {}]}',
        '{"a":' * (DEPTH_MAX + 1) + "[1]" + "}" * (DEPTH_MAX + 1),
        " " * PATTERN_LENGTH_MAX + '{"body": ["a"]}',
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(FilterError):
        Filters([pattern])


def test_there_may_be_five_patterns() -> None:
    assert Filters(['{"body": ["a"]}'] * PATTERNS_MAX).matches(record("a"))
    with pytest.raises(FilterError):
        Filters(['{"body": ["a"]}'] * (PATTERNS_MAX + 1))


# The rules once more, as plainly as they can be said: a pattern is read anew for each record.

texts = st.sampled_from(["", "a", "ab", "B", "b"])
numbers = st.sampled_from([0, 1, 2, 5])
scalars = st.one_of(texts, numbers, st.none(), st.booleans())
values = st.one_of(scalars, st.lists(scalars, max_size=3))
bodies = st.dictionaries(st.sampled_from(["x", "y"]), values, max_size=2)
rules = st.one_of(
    scalars,
    texts.map(lambda text: {"prefix": text}),
    texts.map(lambda text: {"suffix": text}),
    texts.map(lambda text: {"equals-ignore-case": text}),
    st.one_of(texts, st.lists(texts, min_size=1, max_size=2)).map(lambda these: {"anything-but": these}),
    numbers.map(lambda number: {"numeric": [">=", number]}),
    st.booleans().map(lambda exists: {"exists": exists}),
)
patterns = st.dictionaries(st.sampled_from(["x", "y"]), st.lists(rules, min_size=1, max_size=3), min_size=1, max_size=2)


def plainly(pattern: dict[str, Any], body: dict[str, Any]) -> bool:
    for name, alternatives in pattern.items():
        value = body.get(name, [])
        leaves = value if isinstance(value, list) else [value]
        if not any(fits(rule, leaves) for rule in alternatives):
            return False
    return True


def fits(rule: Any, leaves: list[Any]) -> bool:
    if isinstance(rule, dict) and "exists" in rule:
        return bool(leaves) is rule["exists"]
    return any(fits_one(rule, leaf) for leaf in leaves)


def fits_one(rule: Any, leaf: Any) -> bool:
    if not isinstance(rule, dict):
        return json.dumps(rule) == json.dumps(leaf)
    ((operator, operand),) = rule.items()
    if operator == "anything-but":
        return json.dumps(leaf) not in [
            json.dumps(one) for one in (operand if isinstance(operand, list) else [operand])
        ]
    if operator == "numeric":
        return isinstance(leaf, int) and not isinstance(leaf, bool) and leaf >= operand[1]
    if not isinstance(leaf, str):
        return False
    if operator == "prefix":
        return leaf[: len(operand)] == operand
    if operator == "suffix":
        return leaf[len(leaf) - len(operand) :] == operand if len(operand) <= len(leaf) else False
    return leaf.lower() == operand.lower()


@given(pattern=patterns, body=bodies)
def test_patterns_mean_what_a_plain_reading_of_the_rules_says(pattern: dict[str, Any], body: dict[str, Any]) -> None:
    assert wants({"body": pattern}, body) is plainly(pattern, body)


@given(st.text(max_size=60))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    try:
        filters = Filters([pattern])
    except FilterError:
        return
    assert filters.matches(record("text")) in (True, False)


@given(st.text(max_size=60))
def test_any_body_can_be_judged(body: str) -> None:
    assert wants({"body": {"x": [{"exists": True}]}}, body) in (True, False)
