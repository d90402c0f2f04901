"""The operators of metric math. Where only one of two time series has a value at some time, the other counts as 0."""

import math
from collections.abc import Callable

from encola.protocols.cloudwatch.expressions.tokens import ExpressionError
from encola.protocols.cloudwatch.expressions.values import (
    NAN,
    Series,
    Value,
    Work,
    check_periods,
    kept,
    mapped,
    name_of,
    times_of,
)

Operator = Callable[[float, float], float]


def _divided(a: float, b: float) -> float:
    return a / b if b else NAN


def _power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except (ValueError, OverflowError):
        return NAN


def _both(a: float, b: float) -> float:
    return float(bool(a) and bool(b))


def _either(a: float, b: float) -> float:
    return float(bool(a) or bool(b))


OPERATORS: dict[str, Operator] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divided,
    "^": _power,
    "==": lambda a, b: float(a == b),
    "!=": lambda a, b: float(a != b),
    "<": lambda a, b: float(a < b),
    "<=": lambda a, b: float(a <= b),
    ">": lambda a, b: float(a > b),
    ">=": lambda a, b: float(a >= b),
    "AND": _both,
    "OR": _either,
}


def operate(sign: str, left: Value, right: Value, work: Work) -> Value:
    """``left sign right``. Raises ExpressionError for values that the operator does not take."""
    operator = OPERATORS[sign]
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            raise ExpressionError(f"The arrays on both sides of {sign} have {len(left)} and {len(right)} time series")
        return [_of_series(operator, a, b, work) for a, b in zip(left, right, strict=True)]
    if isinstance(left, list) and isinstance(right, Series | float):
        return [_of_series(operator, one, right, work) for one in left]
    if isinstance(right, list) and isinstance(left, Series | float):
        return [_of_series(_swapped(operator), one, left, work) for one in right]
    if isinstance(left, Series) and isinstance(right, Series | float):
        return _of_series(operator, left, right, work)
    if isinstance(left, float) and isinstance(right, Series):
        return _of_series(_swapped(operator), right, left, work)
    if isinstance(left, float) and isinstance(right, float):
        return NAN if math.isnan(left) or math.isnan(right) else operator(left, right)
    raise ExpressionError(f"{sign} cannot be between {name_of(left)} and {name_of(right)}")


def _swapped(operator: Operator) -> Operator:
    return lambda a, b: operator(b, a)


def negated(value: Value, work: Work) -> Value:
    """``-value``. Raises ExpressionError."""
    if isinstance(value, float):
        return -value
    if isinstance(value, Series):
        return mapped(value, lambda one: -one, work)
    if isinstance(value, list):
        return [mapped(series, lambda one: -one, work) for series in value]
    raise ExpressionError(f"- cannot be before {name_of(value)}")


def _of_series(operator: Operator, left: Series, right: Series | float, work: Work) -> Series:
    if isinstance(right, float):
        work.spend(len(left.points))
        known = not math.isnan(right)
        return kept(left, ((at, operator(value, right)) for at, value in left.points.items() if known))
    check_periods((left, right))
    a, b = left.points, right.points
    work.spend(len(a) + len(b))
    times = a if a.keys() == b.keys() else times_of((left, right))
    return kept(left, ((at, operator(a.get(at, 0.0), b.get(at, 0.0))) for at in times))
