"""Who may read metrics: credentials that are limited to actions and to queues."""

import json
from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.protocols.aws.credentials import Credential
from encola.protocols.aws.identity import Authenticator
from encola.protocols.cloudwatch.endpoint import ACTIONS, CloudWatchEndpoint
from encola.server.config import Config

from ..aws.signer import KEY, SECRET, signed
from .conftest import ACCOUNT, NOW_SECONDS, metric, stat
from .source import MadeUp

SPAN = {"StartTime": NOW_SECONDS - 300, "EndTime": NOW_SECONDS}
STATISTICS = {**SPAN, "Period": 60, "Statistics": ["Sum"]}


class Limited:
    """Asks with a credential of these limits."""

    def __init__(
        self, broker: Broker, source: MadeUp, actions: tuple[str, ...], queues: tuple[str, ...] = ("*",)
    ) -> None:
        credential = Credential(KEY, SECRET, ACCOUNT, "reader", actions, queues)
        wall = lambda: float(NOW_SECONDS)  # noqa: E731
        self._endpoint = CloudWatchEndpoint(
            broker, source, Authenticator([credential], service="monitoring", wall=wall)
        )

    async def __call__(self, operation: str, **asked: Any) -> tuple[int, dict[str, Any]]:
        headers = [("X-Amz-Target", f"GraniteServiceVersion20100801.{operation}")]
        response = await self._endpoint.handle(
            signed("POST", "/", headers, json.dumps(asked).encode(), service="monitoring")
        )
        return response.status, json.loads(response.body)

    async def may(self) -> set[str]:
        """Which operations it may, on the queue ``work``."""
        answers = {
            "GetMetricData": await self("GetMetricData", **SPAN, MetricDataQueries=[stat("m1")]),
            "GetMetricStatistics": await self("GetMetricStatistics", **metric(), **STATISTICS),
            "ListMetrics": await self("ListMetrics"),
        }
        for status, answer in answers.values():
            assert status in (200, 403)
            assert status == 200 or answer["__type"].endswith("#AccessDeniedException")
            assert status == 200 or f"arn:aws:iam::{ACCOUNT}:user/reader" in answer["message"]
        return {name for name, (status, _) in answers.items() if status == 200}


@pytest.mark.parametrize(
    ("actions", "queues", "allowed"),
    [
        (("*",), ("*",), set(ACTIONS)),
        (("GetMetric*",), ("*",), {"GetMetricData", "GetMetricStatistics"}),
        (("cloudwatch:ListMetrics", "CloudWatch:getmetricdata"), ("*",), {"ListMetrics", "GetMetricData"}),
        (("SendMessage", "sqs:Get*Attributes"), ("*",), set()),
        (("*",), ("w*",), set(ACTIONS)),
        (("*",), ("other",), {"ListMetrics"}),
    ],
)
async def test_a_credential_may_what_it_may(
    broker: Broker, source: MadeUp, actions: tuple[str, ...], queues: tuple[str, ...], allowed: set[str]
) -> None:
    assert await Limited(broker, source, actions, queues).may() == allowed


async def test_who_is_limited_to_some_queues_sees_those_and_not_the_server(broker: Broker, source: MadeUp) -> None:
    limited = Limited(broker, source, ("*",), ("oth*",))
    _, answer = await limited("ListMetrics")
    assert {one["Dimensions"][0]["Value"] for one in answer["Metrics"]} == {"other"}
    status, answer = await limited("GetMetricStatistics", **metric("CommitSize", None, "Encola/SQS"), **STATISTICS)
    assert status == 403


async def test_one_query_that_is_not_allowed_refuses_them_all(broker: Broker, source: MadeUp) -> None:
    """A sum over what somebody may see, and silently not over the rest, would be a wrong number."""
    limited = Limited(broker, source, ("*",), ("other",))
    status, answer = await limited("GetMetricData", **SPAN, MetricDataQueries=[stat("m1", queue="other"), stat("m2")])
    assert (status, "queue work" in answer["message"]) == (403, True)
    status, _ = await limited("GetMetricData", **SPAN, MetricDataQueries=[stat("m1", queue="other")])
    assert status == 200


async def test_a_queue_that_is_not_there_is_refused_as_one_that_is(broker: Broker, source: MadeUp) -> None:
    """Whoever may not look does not learn what there is."""
    limited = Limited(broker, source, ("*",), ("other",))
    there, nowhere = [
        await limited("GetMetricStatistics", **metric(queue=name), **STATISTICS) for name in ("work", "nope")
    ]
    assert json.dumps(there).replace("work", "nope") == json.dumps(nowhere)


def test_the_configuration_knows_the_actions() -> None:
    for action in ACTIONS:
        Config(credentials=(Credential("KEY", "secret", actions=(action,)),))
