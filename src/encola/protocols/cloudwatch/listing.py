"""ListMetrics."""

from collections.abc import Iterator

from encola.metrics.definitions import DIMENSION, QUEUE, SERVER
from encola.protocols.aws.identity import Identity
from encola.protocols.cloudwatch import tokens
from encola.protocols.cloudwatch.desk import Desk
from encola.protocols.cloudwatch.errors import invalid_value
from encola.protocols.cloudwatch.shapes import Dimension, ListMetricsRequest, ListMetricsResult, MetricShape

ACTION = "ListMetrics"
PAGE = 500
FILTERS_MAX = 10

_Key = tuple[str, str, str]
"""Queue ("": the server), namespace, name: metrics are listed in this order."""


async def list_metrics(desk: Desk, identity: Identity, asked: ListMetricsRequest) -> ListMetricsResult:
    """The metrics of the caller's own queues, and those of the server.

    All of them have values of the last three hours while the server runs, so RecentlyActive leaves out none.
    """
    if asked.RecentlyActive not in (None, "PT3H"):
        raise invalid_value("The parameter RecentlyActive must be PT3H.")
    if len(asked.Dimensions) > FILTERS_MAX:
        raise invalid_value(f"The parameter Dimensions must have at most {FILTERS_MAX} members.")
    if asked.OwningAccount not in (None, identity.account):
        return ListMetricsResult([])
    asked_of = tokens.fingerprint(asked.Namespace, asked.MetricName, asked.Dimensions)
    after: _Key | None = None
    if asked.NextToken is not None:
        after = tokens.read(asked.NextToken, asked_of, _Key)
    page: list[_Key] = []
    for key in _keys(desk, identity, asked):
        if after is not None and key <= after:
            continue
        if len(page) == PAGE:
            return ListMetricsResult([_metric(one) for one in page], tokens.write(page[-1], asked_of))
        page.append(key)
    return ListMetricsResult([_metric(one) for one in page])


def _keys(desk: Desk, identity: Identity, asked: ListMetricsRequest) -> Iterator[_Key]:
    """In order."""
    if not asked.Dimensions and identity.allows(ACTION, ""):
        yield from sorted(("", one.namespace, one.name) for one in SERVER if _matches(asked, one.namespace, one.name))
    if any(one.Name != DIMENSION for one in asked.Dimensions):
        return
    wanted = {one.Value for one in asked.Dimensions if one.Value is not None}
    names = sorted((one.namespace, one.name) for one in QUEUE if _matches(asked, one.namespace, one.name))
    for queue in desk.queues(identity, ACTION):
        if not wanted or wanted == {queue.address.name}:
            yield from ((queue.address.name, namespace, name) for namespace, name in names)


def _matches(asked: ListMetricsRequest, namespace: str, name: str) -> bool:
    return asked.Namespace in (None, namespace) and asked.MetricName in (None, name)


def _metric(key: _Key) -> MetricShape:
    queue, namespace, name = key
    return MetricShape(namespace, name, [Dimension(DIMENSION, queue)] if queue else [])
