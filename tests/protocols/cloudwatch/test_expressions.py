"""Metric math: what expressions mean, and that none does harm."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encola.protocols.cloudwatch.expressions.evaluate import Evaluator
from encola.protocols.cloudwatch.expressions.functions import FUNCTIONS, NOT_SERVED
from encola.protocols.cloudwatch.expressions.parser import DEPTH_MAX, Expression, parse
from encola.protocols.cloudwatch.expressions.tokens import LENGTH_MAX, ExpressionError
from encola.protocols.cloudwatch.expressions.values import Series, Work

GRID = range(0, 300, 60)
Values = list[float | None]


def series(*values: float | None, label: str = "") -> Series:
    """Values of the grid's times; None: there is none."""
    points = {at: float(value) for at, value in zip(GRID, values, strict=False) if value is not None}
    return Series(points, GRID, label)


KNOWN = {
    "m1": series(30, 20, 0, 0),
    "m2": series(20, None, 20, None),
    "one": series(1, 1, 0, 0, None),
    "two": series(30, None, 0, 0, 30),
    "three": series(0, 0, 20, None, 20),
    "gaps": series(None, 2, None, None, 8),
    "empty": series(),
}


def evaluated(text: str, work: int = 1_000_000, known: dict[str, Series] = KNOWN) -> Series | list[Series]:
    evaluator = Evaluator(known, list(known.items()), GRID, Work(work))
    return evaluator.evaluate(parse(text))


def values(text: str) -> Values:
    """Of the result, which must be one series, at the grid's times."""
    found = evaluated(text)
    assert isinstance(found, Series)
    assert set(found.points) <= set(GRID)
    return [found.points.get(at) for at in GRID]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Arithmetic: a missing value is 0, and a division by zero has no result.
        ("m1+m2", [50, 20, 20, 0, None]),
        ("m1-m2", [10, 20, -20, 0, None]),
        ("m1/m2", [1.5, None, 0, None, None]),
        ("100/m1", [100 / 30, 5, None, None, None]),
        ("m1*2+1", [61, 41, 1, 1, None]),
        ("1+m1*2", [61, 41, 1, 1, None]),
        ("(1+m1)*2", [62, 42, 2, 2, None]),
        ("-m1", [-30, -20, 0, 0, None]),
        ("-m1^2", [-900, -400, 0, 0, None]),
        ("m1^2^0.5", [30**2**0.5, 20**2**0.5, 0, 0, None]),
        ("m1-10-5", [15, 5, -15, -15, None]),
        ("m1/10/2", [1.5, 1, 0, 0, None]),
        ("m1 * 1e-1", [3, 2, 0, 0, None]),
        ("(0-m1)^0.5", [None, None, 0, 0, None]),
        ("m1^1000", [None, None, 0, 0, None]),
        # Comparisons and logic: the examples of CloudWatch's user guide.
        ("m1 < m2", [0, 0, 1, 0, None]),
        ("m1 >= 30", [1, 0, 0, 0, None]),
        ("m1 > 15 AND m2 > 15", [1, 0, 0, 0, None]),
        ("m1 > 15 && m2 > 15", [1, 0, 0, 0, None]),
        ("m1 == 20 OR m2 == 20", [1, 1, 1, 0, None]),
        ("m1 == 20 || m1 != 20", [1, 1, 1, 1, None]),
        ("m1 <= 0", [0, 0, 1, 1, None]),
        # IF: the user guide's examples, too.
        ("IF(one, two, three)", [30, 0, 20, None, None]),
        ("IF(one, 5, three)", [5, 5, 20, None, None]),
        ("IF(one, two, 5)", [30, 0, 5, 5, None]),
        ("IF(m1<25, m1)", [None, 20, 0, 0, None]),
        ("IF(m1<25, 10, 2)", [2, 10, 10, 10, None]),
        ("IF(1, two)", [30, None, 0, 0, 30]),
        ("IF(0, two)", [None] * 5),
        ("IF(0, two, three)", [0, 0, 20, None, 20]),
        ("IF(1/0, two)", [None] * 5),
        # Of each value, of all values.
        ("ABS(m2-m1)", [10, 20, 20, 0, None]),
        ("CEIL(m1/7)", [5, 3, 0, 0, None]),
        ("FLOOR(m1/7)", [4, 2, 0, 0, None]),
        ("LOG10(m1*0+100)", [2, 2, 2, 2, None]),
        ("LOG(m1)", [math.log(30), math.log(20), None, None, None]),
        ("m1-AVG(m1)", [17.5, 7.5, -12.5, -12.5, None]),
        ("m1/MAX(m1)", [1, 20 / 30, 0, 0, None]),
        ("m1+MIN(m2)", [50, 40, 20, 20, None]),
        ("m2*0+SUM(m1)", [50, None, 50, None, None]),
        ("m2*0+DATAPOINT_COUNT(m1)", [4, None, 4, None, None]),
        ("m2*0+STDDEV([m2,m1])", [5, 0, 10, 0, None]),
        ("SUM([m1,m2])", [50, 20, 20, 0, None]),
        ("AVG([m1,m2])", [25, 10, 10, 0, None]),
        ("MIN([m1,m2])", [20, 20, 0, 0, None]),
        ("MAX([m1,m2])", [30, 20, 20, 0, None]),
        ("MAX([m1, 10])", [30, 20, 10, 10, 10]),
        ("DATAPOINT_COUNT([m1,m2])", [2, 1, 2, 1, None]),
        ("m1+AVG(empty)", [None] * 5),
        # METRICS, and arrays.
        ('SUM(METRICS("m"))', [50, 20, 20, 0, None]),
        ("SUM([METRICS('m1'), METRICS('m2')])", [50, 20, 20, 0, None]),
        ("m1*0+METRIC_COUNT(METRICS())", [7, 7, 7, 7, None]),
        ("m1*0+METRIC_COUNT(REMOVE_EMPTY(METRICS()))", [6, 6, 6, 6, None]),
        ("AVG([m1,m2]/10)", [2.5, 1, 1, 0, None]),
        ("SUM(60/[m1,m2])", [5, 3, 3, None, None]),
        ("SUM(-[m1,m2])", [-50, -20, -20, 0, None]),
        ("SUM([m1,m2]*[m2,m1])", [1200, 0, 0, 0, None]),
        ("FIRST(SORT([m2,m1], SUM, DESC))", [30, 20, 0, 0, None]),
        ("LAST(SORT([m2,m1,empty], MAX, ASC))", [None] * 5),
        ("FIRST(SLICE([m1,m2],1))", [20, None, 20, None, None]),
        ("FIRST(SLICE([m1,m2,one],1,2))", [20, None, 20, None, None]),
        ("FIRST(SORT([m1,m2], AVG, ASC, 1))", [30, 20, 0, 0, None]),
        # Gaps.
        ("FILL(gaps, 0)", [0, 2, 0, 0, 8]),
        ("FILL(gaps, REPEAT)", [None, 2, 2, 2, 8]),
        ("FILL(gaps, LINEAR)", [None, 2, 4, 6, 8]),
        ("FILL(gaps, m1)", [30, 2, 0, 0, 8]),
        ("FILL(gaps, MIN(gaps))", [2, 2, 2, 2, 8]),
        ("FIRST(FILL([gaps,m1], 1))", [1, 2, 1, 1, 8]),
        # Neighbours.
        ("DIFF(m1)", [None, -10, -20, 0, None]),
        ("RATE(gaps)", [None, None, None, None, 6 / 180]),
        ("DIFF_TIME(gaps)", [None, None, None, None, 180]),
        ("RUNNING_SUM(m1)", [30, 50, 50, 50, None]),
        # Periods and the clock.
        ("m1/PERIOD(m1)", [0.5, 20 / 60, 0, 0, None]),
        ("TIME_SERIES(7)", [7] * 5),
        ("TIME_SERIES(MAX(m1)*2)", [60] * 5),
        ("MINUTE(m1)", [0, 1, 2, 3, 4]),
        ("HOUR(m1)+DAY(m1)+DATE(m1)+MONTH(m1)", [6] * 5),  # midnight, a Thursday, the first of January
        ("YEAR(m1)", [1970] * 5),
        ("EPOCH(m1)", list(GRID)),
        # What scaling rules write.
        ("FILL(m1,0)/2", [15, 10, 0, 0, 0]),
        ("IF(m2 > 0, m1/m2, m1)", [1.5, None, 0, None, None]),
        ("CEIL(SUM([m1, m2]) / 100)", [1, 1, 1, 0, None]),
    ],
)
def test_what_an_expression_means(text: str, expected: Values) -> None:
    assert values(text) == pytest.approx(expected)


def test_a_result_may_be_an_array_whose_series_keep_their_labels() -> None:
    found = evaluated("METRICS()/10", known={"a": series(10, label="A"), "b": series(20, label="B")})
    assert isinstance(found, list)
    assert [(one.label, list(one.points.values())) for one in found] == [("A", [1]), ("B", [2])]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Unexpected end"),
        ("m1+", "Unexpected end"),
        ("m1 m2", "Unexpected 'm2' at position 4"),
        ("(m1", "')' is missing"),
        ("[m1,]", "Unexpected ']'"),
        ("MAX(m1", "',' is missing"),
        ("m1 % 2", "Unexpected character at position 4"),
        ("m1 = 2", "Unexpected character at position 4"),
        ("'m1", "Unexpected character at position 1"),
        ("max(m1)", "Unexpected '('"),
        ("9" * 400, "too large"),
        ("5", "must be a time series or an array of time series, not a scalar"),
        ("AVG(m1)", "not a scalar"),
        ("'text'", "not a text"),
        ("REPEAT", "not the word REPEAT"),
        ("m1+REPEAT", "cannot be between a time series and the word REPEAT"),
        ("-'a'", "cannot be before a text"),
        ("['a']", "cannot hold a text"),
        ("nobody+1", "no query with the Id nobody"),
        ("NOTHING(m1)", "NOTHING is not known"),
        ("SEARCH('{AWS/SQS}', 'Sum')", "SEARCH is not supported"),
        ("ANOMALY_DETECTION_BAND(m1)", "is not supported"),
        ("ABS(m1, m2)", "ABS: It takes 1 arguments, not 2"),
        ("SORT(METRICS(), SUM)", "SORT: It takes 3 to 4 arguments"),
        ("SORT(METRICS(), MEDIAN, ASC)", "not the word MEDIAN"),
        ("SORT(METRICS(), SUM, ASC, 1.5)", "a whole number"),
        ("METRICS(m1)", "METRICS takes nothing, or one text"),
        ("METRIC_COUNT(m1)", "It takes an array of time series, not a time series"),
        ("PERIOD(METRICS())", "It takes a time series, not an array"),
        ("FILL(m1, SOMETIMES)", "one of REPEAT, LINEAR"),
        ("[m1,m2]+[m1]", "have 2 and 1 time series"),
        ("IF(METRICS(), 1, 2)", "IF: It takes scalars and time series"),
        ("SUM([])", "no time series"),
        ("FIRST(SLICE([m1],1))", "no time series"),
    ],
)
def test_what_is_wrong_is_said(text: str, told: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluated(text)
    assert told in str(caught.value)


def test_series_of_different_periods_do_not_go_together() -> None:
    known = {"m1": series(1), "m5": Series({0: 1.0}, range(0, 300, 300))}
    for text in ("m1+m5", "SUM([m1,m5])", "IF(m1,m5)", "FILL(m1,m5)"):
        with pytest.raises(ExpressionError, match="different periods"):
            evaluated(text, known=known)


def test_an_expression_is_as_long_and_as_deep_as_it_may_be() -> None:
    chain = "+".join(["m1"] * ((LENGTH_MAX + 1) // 3))
    assert len(chain) <= LENGTH_MAX
    assert values(chain)[0] == 30 * len(chain.split("+"))
    with pytest.raises(ExpressionError, match=f"more than {LENGTH_MAX} characters"):
        parse(chain + "+m1+m1")
    for opening, closing in (("(", ")"), ("-", ""), ("ABS(", ")"), ("2^", "")):
        deepest = opening * DEPTH_MAX + "m1" + closing * DEPTH_MAX
        assert isinstance(parse(deepest), Expression)
        with pytest.raises(ExpressionError, match="nested"):
            parse(opening + deepest + closing)


def test_work_has_an_end() -> None:
    with pytest.raises(ExpressionError, match="too many data points"):
        evaluated("+".join(["METRICS()"] * 100), work=1000)
    with pytest.raises(ExpressionError, match="too many data points"):
        evaluated("SUM([" + ",".join(["5"] * 500) + "])", work=1000)


def test_the_functions_that_are_not_served_are_not_served() -> None:
    assert not set(NOT_SERVED) & set(FUNCTIONS)


SCRAPS = st.sampled_from(
    [
        *FUNCTIONS, *NOT_SERVED, *KNOWN, "METRICS", "REPEAT", "LINEAR", "ASC", "DESC", "AND", "OR",
        *"()[],+-*/^<>", "==", "!=", "&&", "||", " ", "0", "1", "2.5", "1e308", "-1", "'m'", '"', "é", "\0",
    ]
)  # fmt: skip
ATOMS = st.sampled_from([*KNOWN, "0", "1", "3.5", "1e300", "'m'", "REPEAT", "SUM", "DESC", "METRICS()"])
TREES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "^", "<", "==", " AND ", " OR "]), inner).map("".join),
        st.tuples(st.sampled_from(list(FUNCTIONS)), st.lists(inner, max_size=3)).map(
            lambda call: f"{call[0]}({','.join(call[1])})"
        ),
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        inner.map(lambda one: f"(-{one})"),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(SCRAPS, max_size=30).map("".join), TREES, st.text(max_size=60)))
def test_whatever_is_written_has_a_result_of_finite_numbers_or_is_refused(text: str) -> None:
    try:
        found = evaluated(text, work=20_000)
    except ExpressionError:
        return
    for one in found if isinstance(found, list) else [found]:
        assert all(math.isfinite(value) for value in one.points.values())
        assert list(one.points) == sorted(one.points)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=5, max_size=5), st.floats(-1e3, 1e3))
def test_filling_leaves_no_gap_and_changes_no_value(given_values: Values, filler: float) -> None:
    known = {"m1": series(*given_values)}
    filled = evaluated(f"FILL(m1, ({filler!r}))", known=known)
    assert isinstance(filled, Series)
    assert [filled.points[at] for at in GRID] == [filler if one is None else one for one in given_values]
