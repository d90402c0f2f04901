"""CloudWatch's requests come through the same front door as those of queues, and are told apart there."""

import pytest

from encola.protocols.http.message import Request, Response
from encola.server.front import Front

SCOPE = "AWS4-HMAC-SHA256 Credential=KEY/20260102/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
MONITORING, SQS = {"authorization": SCOPE.format("monitoring")}, {"authorization": SCOPE.format("sqs")}


def handler(name: str):  # type: ignore[no-untyped-def]
    async def answer(request: Request) -> Response:
        return Response(200, name.encode())

    return answer


FRONT = Front(handler("sqs"), handler("health"), trusting=True, cloudwatch=handler("cloudwatch"))


@pytest.mark.parametrize(
    ("path", "headers", "answerer"),
    [
        ("/", MONITORING, b"cloudwatch"),  # the Query protocol
        ("/", {"x-amz-target": "GraniteServiceVersion20100801.ListMetrics", **MONITORING}, b"cloudwatch"),
        ("/", {"x-amz-target": "GraniteServiceVersion20100801.ListMetrics"}, b"cloudwatch"),
        ("/service/GraniteServiceVersion20100801/operation/ListMetrics", MONITORING, b"cloudwatch"),
        ("/service/GraniteServiceVersion20100801/operation/ListMetrics", {}, b"cloudwatch"),
        ("/?X-Amz-Credential=KEY%2F20260102%2Fus-east-1%2Fmonitoring%2Faws4_request", {}, b"cloudwatch"),
        ("/?X-Amz-Credential=KEY/20260102/us-east-1/monitoring/aws4_request", {}, b"cloudwatch"),
        ("/", SQS, b"sqs"),
        ("/", {}, b"sqs"),
        ("/111122223333/monitoring", SQS, b"sqs"),
        ("/", {"x-amz-target": "AmazonSQS.SendMessage", **SQS}, b"sqs"),
        ("/", {"x-amz-target": "AmazonSQS.SendMessage", **MONITORING}, b"sqs"),  # who refuses the signature
    ],
)
async def test_who_answers_is_told_by_target_path_and_signature(
    path: str, headers: dict[str, str], answerer: bytes
) -> None:
    request = Request("POST", path, {"host": "localhost", **headers}, b"")
    assert (await FRONT.handle(request)).body == answerer


async def test_pages_of_other_sites_read_no_metrics() -> None:
    headers = {"host": "localhost", "origin": "https://evil.example", **MONITORING}
    assert (await FRONT.handle(Request("POST", "/", headers, b""))).status == 403
