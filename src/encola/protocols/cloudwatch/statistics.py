"""GetMetricStatistics: the statistics of one metric."""

from encola.protocols.aws.identity import Identity
from encola.protocols.cloudwatch.checks import DIMENSIONS_MAX, UNITS, check_range
from encola.protocols.cloudwatch.desk import Desk, Target
from encola.protocols.cloudwatch.errors import invalid_combination, invalid_value, missing
from encola.protocols.cloudwatch.reading import NAMES, Reader, Statistic, can_tell, intervals, is_fine, statistic_of
from encola.protocols.cloudwatch.shapes import Datapoint, GetMetricStatisticsRequest, GetMetricStatisticsResult
from encola.protocols.cloudwatch.windows import is_period, window_of

ACTION = "GetMetricStatistics"
DATAPOINTS_MAX = 1_440
EXTENDED_MAX = 10


async def get_metric_statistics(
    desk: Desk, identity: Identity, asked: GetMetricStatisticsRequest
) -> GetMetricStatisticsResult:
    """Values of each interval that has any, in the order of time."""
    statistics = _checked(asked)
    now = desk.now()
    target = desk.target(identity, ACTION, asked.Namespace or "", asked.MetricName or "", asked.Dimensions)
    if target is None or asked.Unit not in (None, target.definition.unit):
        return GetMetricStatisticsResult(asked.MetricName or "", [])
    reader = Reader(desk.source, now)
    points: dict[int, Datapoint] = {}
    for fine in (False, True):
        chosen = [one for one in statistics if is_fine(target.definition, one) is fine]
        if chosen:
            await _measure(reader, target, chosen, asked, fine, now, points)
    return GetMetricStatisticsResult(asked.MetricName or "", [points[at] for at in sorted(points)])


async def _measure(
    reader: Reader,
    target: Target,
    statistics: list[Statistic],
    asked: GetMetricStatisticsRequest,
    fine: bool,
    now: int,
    points: dict[int, Datapoint],
) -> None:
    """Adds these statistics to the points."""
    definition = target.definition
    window = window_of(asked.StartTime or 0, asked.EndTime or 0, asked.Period or 0, now, fine=fine)
    for at, parts in intervals(definition, await reader.steps(target, window), window).items():
        for statistic in statistics:
            value = statistic.value(parts) if can_tell(definition, statistic) else None
            if value is None:
                continue
            point = points.setdefault(at, Datapoint(at, Unit=definition.unit))
            if statistic.rank is None:
                setattr(point, statistic.name, value)
            else:
                point.ExtendedStatistics = {**(point.ExtendedStatistics or {}), statistic.name: value}


def _checked(asked: GetMetricStatisticsRequest) -> list[Statistic]:
    """The statistics that are asked for. Raises CloudWatchError for a request that cannot be."""
    for name in ("Namespace", "MetricName", "StartTime", "EndTime", "Period"):
        if getattr(asked, name) is None:
            raise missing(name)
    if not asked.Statistics and not asked.ExtendedStatistics:
        raise invalid_combination("At least one of the parameters Statistics and ExtendedStatistics must be specified.")
    if len(asked.Dimensions) > DIMENSIONS_MAX:
        raise invalid_value(f"The parameter Dimensions must have at most {DIMENSIONS_MAX} members.")
    if asked.Unit is not None and asked.Unit not in UNITS:
        raise invalid_value("The parameter Unit must be a unit of CloudWatch, as Count or Seconds.")
    period = asked.Period or 0
    if not is_period(period):
        raise invalid_value("The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
    start, end = check_range(asked.StartTime, asked.EndTime)
    requested = -(-(end - start) // (period * 1000))
    if requested > DATAPOINTS_MAX:
        raise invalid_combination(
            f"You have requested up to {requested:,} datapoints, which exceeds the limit of {DATAPOINTS_MAX:,}. You "
            "may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    return _statistics(asked)


def _statistics(asked: GetMetricStatisticsRequest) -> list[Statistic]:
    found = []
    for name in dict.fromkeys(asked.Statistics or ()):
        if name not in NAMES:
            raise invalid_value(f"The parameter Statistics must have values of {', '.join(NAMES)}.")
        found.append(Statistic(name))
    extended = list(dict.fromkeys(asked.ExtendedStatistics or ()))
    if len(extended) > EXTENDED_MAX:
        raise invalid_value(f"The parameter ExtendedStatistics must have at most {EXTENDED_MAX} members.")
    for name in extended:
        statistic = statistic_of(name)
        if statistic is None or statistic.rank is None:
            raise invalid_value("Of ExtendedStatistics the percentiles p0 to p100 are supported, no others.")
        found.append(statistic)
    return found
