"""The inputs and outputs of the operations, with the names of the Amazon CloudWatch API reference.

One struct serves the three wire protocols. Times of requests come from the wires as milliseconds since 1970; those of
answers are whole seconds (``TIMES`` names them), and each wire writes them its own way. ``None`` is left out of
answers.
"""

import msgspec

TIMES_ASKED = ("StartTime", "EndTime")
TIMES = ("Timestamps", "Timestamp")


class Shape(msgspec.Struct, omit_defaults=True):
    """Base of all shapes. Unknown members of a request are ignored, as AWS does."""


class Dimension(Shape):
    Name: str
    Value: str | None = None


class MetricShape(Shape):
    Namespace: str | None = None
    MetricName: str | None = None
    Dimensions: list[Dimension] = []


class MetricStatShape(Shape):
    Metric: MetricShape
    Period: int
    Stat: str
    Unit: str | None = None


class MetricDataQuery(Shape):
    Id: str
    MetricStat: MetricStatShape | None = None
    Expression: str | None = None
    Label: str | None = None
    ReturnData: bool = True
    Period: int | None = None
    AccountId: str | None = None


class GetMetricDataRequest(Shape):
    MetricDataQueries: list[MetricDataQuery] | None = None
    StartTime: int | None = None
    EndTime: int | None = None
    NextToken: str | None = None
    ScanBy: str | None = None
    MaxDatapoints: int | None = None


class MessageData(Shape):
    Code: str
    Value: str


class MetricDataResult(Shape, omit_defaults=False):
    Id: str
    Label: str
    Timestamps: list[int]
    Values: list[float]
    StatusCode: str
    Messages: list[MessageData] = []


class GetMetricDataResult(Shape, omit_defaults=False):
    MetricDataResults: list[MetricDataResult]
    Messages: list[MessageData] = []
    NextToken: str | msgspec.UnsetType = msgspec.UNSET


class GetMetricStatisticsRequest(Shape):
    Namespace: str | None = None
    MetricName: str | None = None
    Dimensions: list[Dimension] = []
    StartTime: int | None = None
    EndTime: int | None = None
    Period: int | None = None
    Statistics: list[str] | None = None
    ExtendedStatistics: list[str] | None = None
    Unit: str | None = None


class Datapoint(Shape):
    Timestamp: int
    SampleCount: float | None = None
    Average: float | None = None
    Sum: float | None = None
    Minimum: float | None = None
    Maximum: float | None = None
    Unit: str | None = None
    ExtendedStatistics: dict[str, float] | None = None


class GetMetricStatisticsResult(Shape, omit_defaults=False):
    Label: str
    Datapoints: list[Datapoint]


class ListMetricsRequest(Shape):
    Namespace: str | None = None
    MetricName: str | None = None
    Dimensions: list[Dimension] = []
    NextToken: str | None = None
    RecentlyActive: str | None = None
    IncludeLinkedAccounts: bool = False
    OwningAccount: str | None = None


class ListMetricsResult(Shape, omit_defaults=False):
    Metrics: list[MetricShape]
    NextToken: str | msgspec.UnsetType = msgspec.UNSET
