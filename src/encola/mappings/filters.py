"""Filter criteria: which messages a mapping wants, in the syntax of EventBridge patterns. Pure.

Sources: AWS Lambda developer guide, "Control which events Lambda sends to your function"; Amazon EventBridge user
guide, "Comparison operators for use in event patterns".

A pattern is compiled to tests, functions of the value at one place of a record. Two kinds of them: one of *fields*
(an object in the pattern) and one of *leaves* (a list in it). A value that is an array stands for each of its elements.
"""

import decimal
import json
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import msgspec

PATTERNS_MAX = 5
PATTERN_LENGTH_MAX = 4096
DEPTH_MAX = 50
NUMBER_MAX = decimal.Decimal("5e9")  # of either sign, in "numeric"

Test = Callable[[Any], bool]
"""Asked of the value at one place of a record; ``_MISSING`` where there is none."""

_MISSING = object()
_BODY = "body"


class FilterError(ValueError):
    """A pattern that is none; the text says why."""


class _Number(msgspec.Struct, frozen=True):
    """A number as it was written: Lambda compares numbers as text, so 300 and 3.0e2 differ."""

    text: str


class _Body(msgspec.Struct):
    """A message's body: as text, and as JSON where it is an object or an array (else ``_MISSING``)."""

    text: str
    parsed: Any


class Filters:
    """The compiled patterns of a mapping; without any, every message is wanted. Raises FilterError."""

    def __init__(self, patterns: Sequence[str]) -> None:
        if len(patterns) > PATTERNS_MAX:
            raise FilterError(f"there may be at most {PATTERNS_MAX} filters")
        self._tests = [_compiled(pattern) for pattern in patterns]

    def __bool__(self) -> bool:
        return bool(self._tests)

    def matches(self, record: dict[str, Any]) -> bool:
        """Is a record of the function's event wanted, by any of the patterns?"""
        if not self._tests:
            return True
        seen = {**record, _BODY: _body_of(record[_BODY])}
        return any(test(seen) for test in self._tests)


def _compiled(pattern: str) -> Test:
    if len(pattern) > PATTERN_LENGTH_MAX:
        raise FilterError(f"a pattern may have at most {PATTERN_LENGTH_MAX} characters")
    try:
        rule = _parsed(pattern)
    except ValueError:
        raise FilterError("a pattern must be JSON") from None
    if not isinstance(rule, dict):
        raise FilterError("a pattern must be a JSON object")
    return _fields(rule, DEPTH_MAX, top=True)


def _parsed(text: str) -> Any:
    """JSON with numbers as they are written; of a name that comes twice, the last. Raises ValueError."""
    try:
        return json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _body_of(text: str) -> _Body:
    parsed: Any = _MISSING
    if text.lstrip(" \t\r\n")[:1] in ("{", "["):
        try:
            parsed = _parsed(text)
        except ValueError:
            parsed = _MISSING
    return _Body(text, parsed)


# Fields --------------------------------------------------------------------------------------------


def _fields(rule: dict[str, Any], depth: int, *, top: bool = False) -> Test:
    """All fields of an object must match, and of ``$or`` one of its choices."""
    if not rule:
        raise FilterError("an object of a pattern must not be empty")
    if depth == 0:
        raise FilterError("a pattern is nested too deeply")
    tests: list[tuple[str, Test]] = []
    choices: list[list[Test]] = []
    for name, value in rule.items():
        if name == "$or" and _is_choice(value):
            choices.append([_fields(one, depth - 1, top=top) for one in value])
        elif isinstance(value, dict):
            inner = _fields(value, depth - 1)
            tests.append((name, _of_json_body(inner) if top and name == _BODY else inner))
        elif isinstance(value, list):
            inner = _leaf(value)
            tests.append((name, _of_text_body(inner) if top and name == _BODY else inner))
        else:
            raise FilterError(f"the value of {name!r} must be an object or a list")

    def test_one(value: dict[str, Any]) -> bool:
        return all(test(value.get(name, _MISSING)) for name, test in tests) and all(
            any(choice(value) for choice in group) for group in choices
        )

    def test(value: Any) -> bool:
        if isinstance(value, dict):
            return test_one(value)
        if isinstance(value, list) and value:
            return any(test(one) for one in value if isinstance(one, dict | list))
        return test_one({})  # nothing is below: only what must not exist can match

    return test


def _is_choice(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(one, dict) for one in value)


def _of_json_body(inner: Test) -> Test:
    return lambda body: body.parsed is not _MISSING and inner(body.parsed)


def _of_text_body(inner: Test) -> Test:
    return lambda body: body.parsed is _MISSING and inner(body.text)


# Leaves --------------------------------------------------------------------------------------------


def _leaf(rules: list[Any]) -> Test:
    """One of the rules must match one of the values at this place."""
    if not rules:
        raise FilterError("a list of a pattern must not be empty")
    wanted = [_matcher(rule) for rule in rules if not _is_exists(rule)]
    may_exist = any(_is_exists(rule) and rule["exists"] for rule in rules)
    may_be_absent = any(_is_exists(rule) and not rule["exists"] for rule in rules)

    def test(value: Any) -> bool:
        leaves = _leaves(value)
        if not leaves:
            return may_be_absent
        return may_exist or any(match(leaf) for leaf in leaves for match in wanted)

    return test


def _leaves(value: Any) -> list[Any]:
    """The scalars at a place: the value itself, or those of an array. An object has none: rules are for leaves."""
    if not isinstance(value, list):
        return [] if value is _MISSING or isinstance(value, dict) else [value]
    found: list[Any] = []
    left = list(reversed(value))
    while left:
        one = left.pop()
        if isinstance(one, list):
            left.extend(reversed(one))
        elif not isinstance(one, dict):
            found.append(one)
    return found


def _is_exists(rule: Any) -> bool:
    if not isinstance(rule, dict) or "exists" not in rule:
        return False
    if len(rule) != 1 or not isinstance(rule["exists"], bool):
        raise FilterError('"exists" must be true or false, and alone')
    return True


def _matcher(rule: Any) -> Test:
    """What one rule of a list wants of a scalar."""
    if not isinstance(rule, dict):
        if isinstance(rule, list):
            raise FilterError("a list of a pattern must not hold a list")
        return _equals(rule)
    if len(rule) != 1:
        raise FilterError("a rule must have exactly one operator")
    ((operator, operand),) = rule.items()
    make = _OPERATORS.get(operator)
    if make is None:
        raise FilterError(f"the operator {operator[:50]!r} is not known")
    return make(operand)


def _equals(wanted: Any) -> Test:
    kind = type(wanted)  # True is no 1, and a number no text
    return lambda value: type(value) is kind and value == wanted


def _equals_ignoring_case(operand: Any) -> Test:
    wanted = _text(operand).casefold()
    return lambda value: isinstance(value, str) and value.casefold() == wanted


def _prefix(operand: Any) -> Test:
    if isinstance(operand, dict):
        folded = _of_ignore_case(operand)
        return lambda value: isinstance(value, str) and value.casefold().startswith(folded)
    wanted = _text(operand)
    return lambda value: isinstance(value, str) and value.startswith(wanted)


def _suffix(operand: Any) -> Test:
    if isinstance(operand, dict):
        folded = _of_ignore_case(operand)
        return lambda value: isinstance(value, str) and value.casefold().endswith(folded)
    wanted = _text(operand)
    return lambda value: isinstance(value, str) and value.endswith(wanted)


def _of_ignore_case(operand: dict[str, Any]) -> str:
    if list(operand) != ["equals-ignore-case"]:
        raise FilterError('only "equals-ignore-case" may be within "prefix" and "suffix"')
    return _text(operand["equals-ignore-case"]).casefold()


def _text(operand: Any) -> str:
    if not isinstance(operand, str):
        raise FilterError("this operator takes text")
    return operand


def _anything_but(operand: Any) -> Test:
    if isinstance(operand, dict):
        unwanted = _anything_but_texts(operand)
    else:
        values = operand if isinstance(operand, list) else [operand]
        if not values or not (_all(values, str) or _all(values, _Number)):
            raise FilterError('"anything-but" takes texts or numbers')
        unwanted = [_equals(value) for value in values]
    return lambda value: not any(test(value) for test in unwanted)


def _anything_but_texts(operand: dict[str, Any]) -> list[Test]:
    ((operator, inner),) = operand.items() if len(operand) == 1 else (("", None),)
    make = {"prefix": _prefix, "suffix": _suffix, "equals-ignore-case": _equals_ignoring_case}.get(operator)
    texts = inner if isinstance(inner, list) else [inner]
    if make is None or not texts or not _all(texts, str):
        raise FilterError('within "anything-but" only prefix, suffix and equals-ignore-case of texts are known')
    return [make(text) for text in texts]


def _all(values: list[Any], kind: type) -> bool:
    return all(isinstance(value, kind) for value in values)


_COMPARISONS: dict[str, Callable[[decimal.Decimal, decimal.Decimal], bool]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def _numeric(operand: Any) -> Test:
    """``["=", 5]``, ``["<", 5]`` or a range as ``[">", 0, "<=", 5]``."""
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise FilterError('"numeric" takes one comparison, or the two of a range')
    pairs = list(zip(operand[::2], operand[1::2], strict=True))
    for comparison, bound in pairs:
        if not isinstance(comparison, str) or comparison not in _COMPARISONS or not isinstance(bound, _Number):
            raise FilterError('"numeric" takes comparisons of numbers')
    bounds = [_decimal(bound) for _, bound in pairs]
    if any(bound is None or abs(bound) > NUMBER_MAX for bound in bounds):
        raise FilterError('the numbers of "numeric" must be between -5e9 and 5e9')
    if len(pairs) == 2 and not (
        pairs[0][0] in (">", ">=") and pairs[1][0] in ("<", "<=") and bounds[0] < bounds[1]  # type: ignore[operator]
    ):
        raise FilterError('a range of "numeric" goes from a lower bound to a higher one')
    checks = [(_COMPARISONS[comparison], bound) for (comparison, _), bound in zip(pairs, bounds, strict=True)]

    def test(value: Any) -> bool:
        number = _decimal(value) if isinstance(value, _Number) else None
        return number is not None and all(holds(number, bound) for holds, bound in checks)  # type: ignore[arg-type]

    return test


def _decimal(number: _Number) -> decimal.Decimal | None:
    """None for what no computer counts to."""
    try:
        value = decimal.Decimal(number.text)
    except decimal.DecimalException:
        return None
    return value if value.is_finite() else None


_OPERATORS: dict[str, Callable[[Any], Test]] = {
    "anything-but": _anything_but,
    "equals-ignore-case": _equals_ignoring_case,
    "numeric": _numeric,
    "prefix": _prefix,
    "suffix": _suffix,
}
OPERATORS = (*_OPERATORS, "exists")
