"""The queries of GetMetricData, checked: what each one wants to know, and of which others an expression is made."""

import re

import msgspec

from encola.engine.message import Instant
from encola.protocols.aws.identity import Identity
from encola.protocols.cloudwatch.checks import DIMENSIONS_MAX, UNITS, check_range
from encola.protocols.cloudwatch.desk import Desk, Target
from encola.protocols.cloudwatch.errors import CloudWatchError, invalid
from encola.protocols.cloudwatch.expressions.parser import Expression, parse
from encola.protocols.cloudwatch.expressions.tokens import ExpressionError
from encola.protocols.cloudwatch.reading import Statistic, is_fine, statistic_of
from encola.protocols.cloudwatch.shapes import GetMetricDataRequest, MetricDataQuery, MetricStatShape
from encola.protocols.cloudwatch.windows import Window, is_period, window_of

ACTION = "GetMetricData"
QUERIES_MAX = 500
DATAPOINTS_MAX = 100_800
LABEL_LENGTH_MAX = 1024

SCANS = ("TimestampDescending", "TimestampAscending")

_ID = re.compile(r"[a-z][a-zA-Z0-9_]{0,254}\Z")
_INSIGHTS = re.compile(r"\s*SELECT\b", re.IGNORECASE)


class MetricQuery(msgspec.Struct, frozen=True):
    """The values of one metric. ``target`` is None where there is no such metric: it has no values."""

    id: str
    label: str
    returned: bool
    window: Window
    statistic: Statistic
    target: Target | None


class MathQuery(msgspec.Struct, frozen=True):
    """An expression, and the Ids of all that must be known before it can be evaluated."""

    id: str
    label: str
    returned: bool
    expression: Expression
    needs: tuple[str, ...]
    period_seconds: int | None


Query = MetricQuery | MathQuery


class Queries(msgspec.Struct, frozen=True):
    """All queries of a request, in its order."""

    all: dict[str, Query]
    start: Instant
    end: Instant
    now: Instant

    @property
    def metrics(self) -> list[MetricQuery]:
        return [query for query in self.all.values() if isinstance(query, MetricQuery)]


def checked(desk: Desk, identity: Identity, asked: GetMetricDataRequest) -> Queries:
    """Raises CloudWatchError for a request that cannot be, or whose caller may not ask it."""
    start, end = check_range(asked.StartTime, asked.EndTime)
    given = asked.MetricDataQueries
    if not given:
        raise invalid("The parameter MetricDataQueries must have at least one member.")
    if len(given) > QUERIES_MAX:
        raise invalid(f"The collection MetricDataQueries must not have a size greater than {QUERIES_MAX}.")
    if asked.ScanBy not in (None, *SCANS):
        raise invalid(f"The parameter ScanBy must be {SCANS[0]} or {SCANS[1]}.")
    if asked.MaxDatapoints is not None and not 1 <= asked.MaxDatapoints <= DATAPOINTS_MAX:
        raise invalid(f"The parameter MaxDatapoints must be between 1 and {DATAPOINTS_MAX}.")
    if not any(query.ReturnData for query in given):
        raise invalid("At least one of the queries must have ReturnData true.")
    for query in given:
        _check_query(query, identity)
    now = desk.now()
    labels = _labels(given)
    metric_ids = [query.Id for query in given if query.MetricStat is not None]
    found: dict[str, Query] = {}
    for query in given:
        if query.Id in found:
            raise invalid(f"The values for parameter id in MetricDataQueries are not unique: {query.Id}.")
        label = query.Label if query.Label is not None else labels[query.Id]
        if query.MetricStat is not None:
            found[query.Id] = _metric(
                desk, identity, query.MetricStat, (query.Id, label, query.ReturnData, start, end, now)
            )
        else:
            found[query.Id] = _math(query, label, metric_ids)
    _check_cycles(found)
    return Queries(found, start, end, now)


def _check_query(query: MetricDataQuery, identity: Identity) -> None:
    if not _ID.match(query.Id):
        raise invalid(
            f"The value {query.Id[:300]!r} for parameter Id must begin with a small letter and have only letters, "
            "digits and underscores, 255 at most."
        )
    if (query.MetricStat is None) is (query.Expression is None):
        raise invalid(f"Error in query {query.Id}: it must have either MetricStat or Expression, and not both.")
    if query.Label is not None and len(query.Label) > LABEL_LENGTH_MAX:
        raise invalid(f"Error in query {query.Id}: Label must have at most {LABEL_LENGTH_MAX} characters.")
    if query.Period is not None and not is_period(query.Period):
        raise invalid(f"Error in query {query.Id}: Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
    if query.AccountId not in (None, identity.account):
        raise CloudWatchError("AccessDenied", f"Error in query {query.Id}: metrics of other accounts cannot be read.")


def _metric(
    desk: Desk,
    identity: Identity,
    asked: MetricStatShape,
    rest: tuple[str, str, bool, Instant, Instant, Instant],
) -> MetricQuery:
    name, label, returned, start, end, now = rest
    metric = asked.Metric
    if not is_period(asked.Period):
        raise invalid(f"Error in query {name}: Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
    if asked.Unit is not None and asked.Unit not in UNITS:
        raise invalid(f"Error in query {name}: Unit must be a unit of CloudWatch, as Count or Seconds.")
    if len(metric.Dimensions) > DIMENSIONS_MAX:
        raise invalid(f"Error in query {name}: Dimensions must have at most {DIMENSIONS_MAX} members.")
    statistic = statistic_of(asked.Stat)
    if statistic is None:
        raise invalid(
            f"Error in query {name}: Stat must be SampleCount, Average, Sum, Minimum, Maximum or a percentile as p99; "
            "other statistics are not supported."
        )
    target = desk.target(identity, ACTION, metric.Namespace or "", metric.MetricName or "", metric.Dimensions)
    if target is not None and asked.Unit not in (None, target.definition.unit):
        target = None
    fine = target is not None and is_fine(target.definition, statistic)
    return MetricQuery(name, label, returned, window_of(start, end, asked.Period, now, fine=fine), statistic, target)


def _math(query: MetricDataQuery, label: str, metric_ids: list[str]) -> MathQuery:
    text = query.Expression or ""
    if _INSIGHTS.match(text):
        raise invalid(f"Error in expression {query.Id!r}: queries of Metrics Insights (SELECT) are not supported.")
    try:
        expression = parse(text)
    except ExpressionError as error:
        raise in_expression(query.Id, error) from None
    needs = dict.fromkeys(expression.references)
    for part in expression.all_metrics:
        needs.update(dict.fromkeys(name for name in metric_ids if part in name))
    return MathQuery(query.Id, label, query.ReturnData, expression, tuple(needs), query.Period)


def in_expression(name: str, error: ExpressionError) -> CloudWatchError:
    return invalid(f"Error in expression {name!r}: {error}.")


def _check_cycles(queries: dict[str, Query]) -> None:
    """Every Id that an expression needs is there, and none needs itself by some detour. Raises CloudWatchError."""
    done: set[str] = set()
    for name in queries:
        order_of(queries, name, done)


def order_of(queries: dict[str, Query], name: str, done: set[str]) -> list[str]:
    """What must be evaluated for a query, itself last, without what is ``done``; adds to that.

    Raises CloudWatchError.
    """
    found: list[str] = []
    open_ids: dict[str, None] = {}
    todo = [name]
    while todo:
        current = todo[-1]
        query = queries[current]
        needs = query.needs if isinstance(query, MathQuery) else ()
        missing = [one for one in needs if one not in done]
        if current in done or not missing:
            todo.pop()
            open_ids.pop(current, None)
            if current not in done:
                done.add(current)
                found.append(current)
            continue
        open_ids[current] = None
        for one in missing:
            if one not in queries:
                raise invalid(f"Error in expression {current!r}: There is no query with the Id {one[:100]}.")
            if one in open_ids:
                raise invalid(f"Error in expression {current!r}: It depends on itself.")
        todo.append(missing[0])
    return found


def _labels(given: list[MetricDataQuery]) -> dict[str, str]:
    """What tells the results apart: the metric's name, the queue's, or both."""
    metrics = [query.MetricStat.Metric for query in given if query.MetricStat is not None]
    names = {metric.MetricName for metric in metrics}
    queues = {tuple(one.Value for one in metric.Dimensions) for metric in metrics}
    found = {}
    for query in given:
        if query.MetricStat is None:
            found[query.Id] = query.Id
            continue
        metric = query.MetricStat.Metric
        parts = [one.Value or "" for one in metric.Dimensions] if len(queues) > 1 else []
        if len(names) > 1 or not parts:
            parts.append(metric.MetricName or "")
        found[query.Id] = " ".join(parts)
    return found
