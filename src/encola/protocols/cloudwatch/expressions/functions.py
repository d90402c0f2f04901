"""The functions of metric math: of each value, of all values, of neighbours, of the clock, of arrays.

Each takes values and answers one; a wrong kind or number of arguments is an ExpressionError.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from encola.protocols.cloudwatch.expressions.parser import Word
from encola.protocols.cloudwatch.expressions.tokens import ExpressionError
from encola.protocols.cloudwatch.expressions.values import (
    NAN,
    Array,
    Series,
    Value,
    Work,
    check_periods,
    kept,
    mapped,
    name_of,
    times_of,
)

Function = Callable[[Sequence[Value], range, Work], Value]
"""Takes the arguments, the times of a series that comes of nothing, and the counter of work."""


def _takes(arguments: Sequence[Value], least: int, most: int) -> None:
    if not least <= len(arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise ExpressionError(f"It takes {wanted} arguments, not {len(arguments)}")


def _series(value: Value) -> Series:
    if not isinstance(value, Series):
        raise ExpressionError(f"It takes a time series, not {name_of(value)}")
    return value


def _array(value: Value) -> Array:
    if not isinstance(value, list):
        raise ExpressionError(f"It takes an array of time series, not {name_of(value)}")
    return value


def _scalar(value: Value) -> float:
    if not isinstance(value, float):
        raise ExpressionError(f"It takes a scalar, not {name_of(value)}")
    return value


def _word(value: Value, *allowed: str) -> str:
    if not isinstance(value, Word) or value.name not in allowed:
        raise ExpressionError(f"It takes one of {', '.join(allowed)}, not {name_of(value)}")
    return value.name


def _whole(value: Value) -> int:
    number = _scalar(value)
    if not (math.isfinite(number) and number == int(number) and abs(number) < 1e9):
        raise ExpressionError("It takes a whole number")
    return int(number)


# Of each value --------------------------------------------------------------------------------------


def _each(function: Callable[[float], float]) -> Function:
    def apply(arguments: Sequence[Value], grid: range, work: Work) -> Value:
        _takes(arguments, 1, 1)
        value = arguments[0]
        if isinstance(value, float):
            return next(iter(mapped(Series({0: value}, range(0)), function, work).points.values()), NAN)
        return _to_each(value, lambda series: mapped(series, function, work))

    return apply


def _to_each(value: Value, function: Callable[[Series], Series]) -> Value:
    if isinstance(value, list):
        return [function(series) for series in value]
    return function(_series(value))


# Of all values --------------------------------------------------------------------------------------


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else NAN


def _deviation(values: Sequence[float]) -> float:
    middle = mean(values)
    return math.sqrt(mean([(value - middle) ** 2 for value in values])) if values else NAN


def _least(values: Sequence[float]) -> float:
    return min(values, default=NAN)


def _greatest(values: Sequence[float]) -> float:
    return max(values, default=NAN)


def _counted(values: Sequence[float]) -> float:
    return float(len(values))


_OF_ALL: dict[str, Callable[[Sequence[float]], float]] = {
    "AVG": mean,
    "DATAPOINT_COUNT": _counted,
    "MAX": _greatest,
    "MIN": _least,
    "STDDEV": _deviation,
    "SUM": math.fsum,
}


def _reduced(name: str) -> Function:
    """A series becomes a scalar, an array a series. Of an average over an array, missing values count as 0."""
    function = _OF_ALL[name]

    def apply(arguments: Sequence[Value], grid: range, work: Work) -> Value:
        _takes(arguments, 1, 1)
        value = arguments[0]
        if isinstance(value, list):
            return _over_array(function, value, work, whole=name == "AVG")
        points = list(_series(value).points.values())
        work.spend(len(points))
        return _guarded(function, points)

    return apply


def _over_array(function: Callable[[Sequence[float]], float], array: Array, work: Work, *, whole: bool) -> Series:
    if not array:
        raise ExpressionError("The array has no time series")
    check_periods(array)
    work.spend(sum(len(series.points) for series in array))
    by_time: dict[int, list[float]] = {at: [] for at in times_of(array)}
    for series in array:
        for at, value in series.points.items():
            by_time[at].append(value)
    if whole:
        for values in by_time.values():
            values.extend([0.0] * (len(array) - len(values)))
            work.spend(len(values))
    result = kept(array[0], ((at, _guarded(function, values)) for at, values in by_time.items()))
    result.label = ""
    return result


def _guarded(function: Callable[[Sequence[float]], float], values: Sequence[float]) -> float:
    try:
        return function(values)
    except (OverflowError, ValueError):
        return NAN


# Of neighbours --------------------------------------------------------------------------------------


def _steps(step: Callable[[int, float, int, float], float]) -> Function:
    """Of each point and the one before it; the first has none and is left out."""

    def of_one(series: Series) -> Series:
        points = list(series.points.items())
        pairs = pairwise(points)
        return kept(series, ((at, step(before, old, at, new)) for (before, old), (at, new) in pairs))

    def apply(arguments: Sequence[Value], grid: range, work: Work) -> Value:
        _takes(arguments, 1, 1)
        _spend_all(arguments[0], work)
        return _to_each(arguments[0], of_one)

    return apply


def _spend_all(value: Value, work: Work) -> None:
    for series in value if isinstance(value, list) else [value]:
        work.spend(len(series.grid) if isinstance(series, Series) else 0)


def _running_sum(arguments: Sequence[Value], grid: range, work: Work) -> Value:
    _takes(arguments, 1, 1)
    _spend_all(arguments[0], work)

    def of_one(series: Series) -> Series:
        total, points = 0.0, []
        for at, value in series.points.items():
            total += value
            points.append((at, total))
        return kept(series, points)

    return _to_each(arguments[0], of_one)


def _fill(arguments: Sequence[Value], grid: range, work: Work) -> Value:
    _takes(arguments, 2, 2)
    value, filler = arguments
    _spend_all(value, work)
    if isinstance(filler, Word):
        way = _repeated if _word(filler, "REPEAT", "LINEAR") == "REPEAT" else _interpolated
        return _to_each(value, way)
    if isinstance(filler, Series):
        check_periods([filler, *(value if isinstance(value, list) else [_series(value)])])
        others = filler.points
        return _to_each(
            value, lambda one: kept(one, ((at, one.points.get(at, others.get(at, NAN))) for at in one.grid))
        )
    constant = _scalar(filler)
    return _to_each(value, lambda one: kept(one, ((at, one.points.get(at, constant)) for at in one.grid)))


def _repeated(series: Series) -> Series:
    last, points = NAN, []
    for at in series.grid:
        last = series.points.get(at, last)
        points.append((at, last))
    return kept(series, points)


def _interpolated(series: Series) -> Series:
    points: list[tuple[int, float]] = []
    for at in series.grid:
        value = series.points.get(at)
        if value is None:
            continue
        if points:
            before, old = points[-1]
            slope = (value - old) / (at - before)
            points.extend(
                (one, old + slope * (one - before)) for one in range(before + series.grid.step, at, series.grid.step)
            )
        points.append((at, value))
    return kept(series, points)


# Of the clock, and of periods -----------------------------------------------------------------------


def _clock(read: Callable[[int], int]) -> Function:
    def apply(arguments: Sequence[Value], grid: range, work: Work) -> Value:
        _takes(arguments, 1, 1)
        series = _series(arguments[0])
        work.spend(len(series.grid))
        return kept(series, ((at, float(read(at))) for at in series.grid))

    return apply


def _date(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _period(arguments: Sequence[Value], grid: range, work: Work) -> Value:
    _takes(arguments, 1, 1)
    return float(_series(arguments[0]).grid.step)


def _time_series(arguments: Sequence[Value], grid: range, work: Work) -> Value:
    _takes(arguments, 1, 1)
    value = _scalar(arguments[0])
    work.spend(len(grid))
    return kept(Series({}, grid), ((at, value) for at in grid))


# Conditions -----------------------------------------------------------------------------------------


def _if(arguments: Sequence[Value], grid: range, work: Work) -> Value:
    _takes(arguments, 2, 3)
    for one in arguments:
        if not isinstance(one, float | Series):
            raise ExpressionError(f"It takes scalars and time series, not {name_of(one)}")
    otherwise = arguments[2] if len(arguments) == 3 else NAN
    condition, met = arguments[0], arguments[1]
    if isinstance(condition, Series):
        check_periods([one for one in arguments if isinstance(one, Series)])
        work.spend(len(condition.points))
        points = ((at, _at(met, at, 0.0) if yes else _at(otherwise, at, NAN)) for at, yes in condition.points.items())
        return kept(condition, points)
    if math.isnan(_scalar(condition)) or (not condition and len(arguments) == 2):
        return Series({}, met.grid if isinstance(met, Series) else grid)
    return met if condition else otherwise


def _at(value: Value, at: int, missing: float) -> float:
    return value.points.get(at, missing) if isinstance(value, Series) else _scalar(value)


# Of arrays ------------------------------------------------------------------------------------------


def _metric_count(arguments: Sequence[Value], grid: range, work: Work) -> Value:
    _takes(arguments, 1, 1)
    return float(len(_array(arguments[0])))


def _remove_empty(arguments: Sequence[Value], grid: range, work: Work) -> Value:
    _takes(arguments, 1, 1)
    return [series for series in _array(arguments[0]) if series.points]


def _end_of(place: int) -> Function:
    def apply(arguments: Sequence[Value], grid: range, work: Work) -> Value:
        _takes(arguments, 1, 1)
        array = _array(arguments[0])
        if not array:
            raise ExpressionError("The array has no time series")
        return array[place]

    return apply


def _slice(arguments: Sequence[Value], grid: range, work: Work) -> Value:
    _takes(arguments, 2, 3)
    array, start = _array(arguments[0]), _whole(arguments[1])
    end = _whole(arguments[2]) if len(arguments) == 3 else len(array)
    return array[max(0, start) : max(0, end)]


def _sort(arguments: Sequence[Value], grid: range, work: Work) -> Value:
    _takes(arguments, 3, 4)
    array = _array(arguments[0])
    function = _OF_ALL[_word(arguments[1], "AVG", "MIN", "MAX", "SUM")]
    descending = _word(arguments[2], "ASC", "DESC") == "DESC"
    _spend_all(array, work)
    ranked = [(_guarded(function, list(series.points.values())), series) for series in array if series.points]
    ranked.sort(key=lambda one: one[0], reverse=descending)
    found = [series for _, series in ranked] + [series for series in array if not series.points]
    return found[: max(0, _whole(arguments[3]))] if len(arguments) == 4 else found


FUNCTIONS: dict[str, Function] = {
    **{name: _reduced(name) for name in _OF_ALL},
    "ABS": _each(abs),
    "CEIL": _each(math.ceil),
    "DATE": _clock(lambda at: _date(at).day),
    "DAY": _clock(lambda at: _date(at).isoweekday()),
    "DIFF": _steps(lambda before, old, at, new: new - old),
    "DIFF_TIME": _steps(lambda before, old, at, new: float(at - before)),
    "EPOCH": _clock(lambda at: at),
    "FILL": _fill,
    "FIRST": _end_of(0),
    "FLOOR": _each(math.floor),
    "HOUR": _clock(lambda at: _date(at).hour),
    "IF": _if,
    "LAST": _end_of(-1),
    "LOG": _each(math.log),
    "LOG10": _each(math.log10),
    "METRIC_COUNT": _metric_count,
    "MINUTE": _clock(lambda at: _date(at).minute),
    "MONTH": _clock(lambda at: _date(at).month),
    "PERIOD": _period,
    "RATE": _steps(lambda before, old, at, new: (new - old) / (at - before)),
    "REMOVE_EMPTY": _remove_empty,
    "RUNNING_SUM": _running_sum,
    "SLICE": _slice,
    "SORT": _sort,
    "TIME_SERIES": _time_series,
    "YEAR": _clock(lambda at: _date(at).year),
}
"""METRICS is not here: it is about the request, not about values."""

NOT_SERVED = (
    "ANOMALY_DETECTION_BAND",
    "DB_PERF_INSIGHTS",
    "INSIGHT_RULE_METRIC",
    "LAMBDA",
    "SEARCH",
    "SERVICE_QUOTA",
)
"""Functions of CloudWatch that are about more than numbers."""
