"""GetMetricData: the values of many metrics, and metric math over them.

Queries are answered in their order, and only as far as the page goes. All queries of one queue and one window are
answered by one reading of its points, which are then let go: memory holds values, not points. Between two queues other
requests have their turn, and expressions are evaluated in a thread.
"""

import asyncio
from typing import NamedTuple

import msgspec

from encola.engine.queue import MINUTE, SECOND
from encola.metrics.definitions import Definition
from encola.protocols.aws.identity import Identity
from encola.protocols.cloudwatch import tokens
from encola.protocols.cloudwatch.desk import Desk
from encola.protocols.cloudwatch.errors import invalid
from encola.protocols.cloudwatch.expressions.evaluate import Evaluator
from encola.protocols.cloudwatch.expressions.tokens import ExpressionError
from encola.protocols.cloudwatch.expressions.values import Array, Series, Work
from encola.protocols.cloudwatch.queries import (
    ACTION,
    DATAPOINTS_MAX,
    SCANS,
    MathQuery,
    MetricQuery,
    Queries,
    checked,
    in_expression,
    order_of,
)
from encola.protocols.cloudwatch.reading import Reader, Step, can_tell, intervals
from encola.protocols.cloudwatch.shapes import GetMetricDataRequest, GetMetricDataResult, MessageData, MetricDataResult
from encola.protocols.cloudwatch.windows import window_of

POINTS_READ_PER_PAGE = 100_000
"""A page ends when so many points were read, too."""
POINTS_READ_MAX = 400_000
"""... but an expression must have all of its metrics: beyond this it is refused."""
WORK_MAX = 3_000_000
"""Data points that all expressions of a request may compute, with those in between."""

__all__ = ["ACTION", "get_metric_data"]


class Place(NamedTuple):
    """Where a page begins: which query, which of its time series, behind which time (None: at its first)."""

    query: int = 0
    series: int = 0
    after: int | None = None


async def get_metric_data(desk: Desk, identity: Identity, asked: GetMetricDataRequest) -> GetMetricDataResult:
    """One page. Raises CloudWatchError."""
    queries = checked(desk, identity, asked)
    asked_of = tokens.fingerprint(asked.MetricDataQueries, asked.StartTime, asked.EndTime, asked.ScanBy)
    place = Place()
    if asked.NextToken is not None:
        place = tokens.read(asked.NextToken, asked_of, Place)
    page = _Page(asked.MaxDatapoints or DATAPOINTS_MAX, descending=asked.ScanBy in (None, SCANS[0]))
    answers = _Answers(desk, queries)
    following = await page.fill(answers, place)
    result = GetMetricDataResult(page.results)
    if following is not None:
        result.NextToken = tokens.write(following, asked_of)
    return result


class _Page:
    """Results up to a number of data points."""

    def __init__(self, most: int, *, descending: bool) -> None:
        self._room = most
        self._descending = descending
        self.results: list[MetricDataResult] = []

    async def fill(self, answers: "_Answers", place: Place) -> Place | None:
        """Answers where the next page begins; None: this is the last."""
        for index, (name, query) in enumerate(answers.queries.all.items()):
            if index < place.query or not query.returned:
                continue
            if self.results and (self._room <= 0 or answers.read > POINTS_READ_PER_PAGE):
                return Place(index)
            value = await answers.of(name)
            parts = value if isinstance(value, list) else [value]
            for number, series in enumerate(parts):
                resumed = place if index == place.query else Place()
                if number < resumed.series:
                    continue
                after = resumed.after if number == resumed.series else None
                if self.results and self._room <= 0:
                    return Place(index, number)
                last = self._add(query, series, after, several=isinstance(value, list))
                if last is not None:
                    return Place(index, number, last)
        return None

    def _add(self, query: MetricQuery | MathQuery, series: Series, after: int | None, *, several: bool) -> int | None:
        """Adds what there is room for. Answers the time of the last data point if more follow, else None."""
        times = sorted(series.points, reverse=self._descending)
        if after is not None:
            times = [at for at in times if (at < after if self._descending else at > after)]
        taken = times[: self._room]
        self._room -= len(taken)
        partial = len(taken) < len(times)
        self.results.append(
            MetricDataResult(
                Id=query.id,
                Label=f"{query.label} {series.label}".strip() if several else query.label,
                Timestamps=taken,
                Values=[series.points[at] for at in taken],
                StatusCode="PartialData" if partial else "Complete",
                Messages=_messages(query),
            )
        )
        return taken[-1] if partial else None


def _messages(query: MetricQuery | MathQuery) -> list[MessageData]:
    if not isinstance(query, MetricQuery) or query.target is None:
        return []
    if can_tell(query.target.definition, query.statistic):
        return []
    text = f"Of {query.target.definition.name} only sums and extremes are kept: percentiles cannot be told."
    return [MessageData("StatisticNotAvailable", text)]


class _Answers:
    """The values of queries, each found once, when it is needed."""

    def __init__(self, desk: Desk, queries: Queries) -> None:
        self.queries = queries
        self._reader = Reader(desk.source, queries.now)
        self._known: dict[str, Series | Array] = {}
        self._work = Work(WORK_MAX)
        self._needed = {one for query in queries.all.values() if isinstance(query, MathQuery) for one in query.needs}
        self._together: dict[bytes, list[MetricQuery]] = {}
        for query in queries.metrics:
            self._together.setdefault(_key(query), []).append(query)

    @property
    def read(self) -> int:
        """Points that were read so far."""
        return self._reader.read

    async def of(self, name: str) -> Series | Array:
        """The value of a query. Raises CloudWatchError."""
        query = self.queries.all[name]
        if isinstance(query, MetricQuery):
            if name not in self._known:
                await self._read(query)
            return self._known[name] if name in self._needed else self._known.pop(name)
        for one in order_of(self.queries.all, name, set(self._known)):
            needed = self.queries.all[one]
            if isinstance(needed, MathQuery):
                self._known[one] = await self._evaluate(needed)
            elif one not in self._known:
                await self._read(needed)
                if self.read > POINTS_READ_MAX:
                    raise invalid(
                        f"Error in expression {name!r}: its metrics have more than {POINTS_READ_MAX} data points. "
                        "Ask for fewer metrics, a longer Period or a shorter time."
                    )
        return self._known[name]

    async def _read(self, query: MetricQuery) -> None:
        """Finds the values of a query, and of all others that are of the same points."""
        target, window = query.target, query.window
        if target is None:
            self._known[query.id] = Series({}, window.grid, query.label)
            return
        steps = await self._reader.steps(target, window)
        for one in self._together[_key(query)]:
            if one.target is not None:
                self._known[one.id] = _series(one, one.target.definition, steps)
        await asyncio.sleep(0)

    async def _evaluate(self, query: MathQuery) -> Series | Array:
        """Its needs are known. In a thread: it may take a while. Raises CloudWatchError."""
        metrics = [
            (one.id, value) for one in self.queries.metrics if isinstance(value := self._known.get(one.id), Series)
        ]
        evaluator = Evaluator(self._known, metrics, self._grid(query), self._work)
        try:
            return await asyncio.get_running_loop().run_in_executor(None, evaluator.evaluate, query.expression)
        except ExpressionError as error:
            raise in_expression(query.id, error) from None

    def _grid(self, query: MathQuery) -> range:
        """The times of a series that is made of a scalar; without a period of its own, the shortest counts."""
        periods = [one.window.period // SECOND for one in self.queries.metrics]
        period = query.period_seconds or min(periods, default=MINUTE // SECOND)
        return window_of(self.queries.start, self.queries.end, period, self.queries.now).grid


def _key(query: MetricQuery) -> bytes:
    """Queries with the same key are answered from the same points."""
    queue = query.target.queue if query.target is not None else None
    return msgspec.json.encode((query.target is None, queue.id if queue else None, query.window))


def _series(query: MetricQuery, definition: Definition, steps: list[Step]) -> Series:
    """The values of the intervals that have any."""
    points = {}
    if can_tell(definition, query.statistic):
        for at, parts in intervals(definition, steps, query.window).items():
            value = query.statistic.value(parts)
            if value is not None:
                points[at] = value
    return Series(points, query.window.grid, query.label)
