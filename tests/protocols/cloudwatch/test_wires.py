"""The three protocols: the same questions, the same answers, signatures, and whatever else may come."""

import json
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import cbor2
import pytest
from botocore.parsers import create_parser
from botocore.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st

from encola.broker.broker import Broker
from encola.broker.clock import Clock
from encola.engine.metrics import Point
from encola.engine.queue import Queue
from encola.engine.store import StoreError
from encola.protocols.aws.identity import Authenticator
from encola.protocols.cloudwatch.endpoint import ACTIONS, CloudWatchEndpoint
from encola.protocols.cloudwatch.errors import SHAPES
from encola.protocols.http.message import Request, Response
from encola.stores.memory import MemoryStore

from ..aws.signer import CREDENTIAL, SECRET, signed
from .conftest import ACCOUNT, LAST_MINUTE, NOW_SECONDS, metric, stat
from .source import MadeUp, level

SPAN = {"StartTime": NOW_SECONDS - 300, "EndTime": NOW_SECONDS}
MODEL = Session().get_service_model("cloudwatch")


@pytest.fixture(autouse=True)
def points(source: MadeUp, work: Queue) -> None:
    source.add(work.id, Point(LAST_MINUTE, 60, sent=3, sent_bytes=30, size_min=10, size_max=10, visible=level(2, 60)))


@pytest.fixture
def guarded(broker: Broker, source: MadeUp) -> CloudWatchEndpoint:
    """It lets in one key, and knows when that signs."""
    assert CREDENTIAL.account == ACCOUNT
    return CloudWatchEndpoint(
        broker, source, Authenticator([CREDENTIAL], service="monitoring", wall=lambda: NOW_SECONDS)
    )


def flat(value: Any, name: str = "") -> dict[str, str]:
    """A tree as the fields of the Query protocol."""
    if isinstance(value, dict):
        below = [flat(one, f"{name}.{key}" if name else key) for key, one in value.items()]
    elif isinstance(value, list):
        below = [flat(one, f"{name}.member.{number}") for number, one in enumerate(value, start=1)]
    else:
        return {name: json.dumps(value) if isinstance(value, bool) else str(value)}
    return {field: text for one in below for field, text in one.items()}


def query(operation: str, asked: dict[str, Any], **signing: Any) -> Request:
    body = urlencode({"Action": operation, "Version": "2010-08-01", **flat(asked)}).encode()
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    return signed("POST", "/", headers, body, service="monitoring", **signing)


def in_json(operation: str, asked: dict[str, Any], **signing: Any) -> Request:
    headers = [
        ("X-Amz-Target", f"GraniteServiceVersion20100801.{operation}"),
        ("Content-Type", "application/x-amz-json-1.0"),
    ]
    return signed("POST", "/", headers, json.dumps(asked).encode(), service="monitoring", **signing)


def in_cbor(operation: str, asked: dict[str, Any], **signing: Any) -> Request:
    times = {name: cbor2.CBORTag(1, float(asked[name])) for name in ("StartTime", "EndTime") if name in asked}
    headers = [("smithy-protocol", "rpc-v2-cbor"), ("Content-Type", "application/cbor"), ("Accept", "application/cbor")]
    path = f"/service/GraniteServiceVersion20100801/operation/{operation}"
    return signed("POST", path, headers, cbor2.dumps({**asked, **times}), service="monitoring", **signing)


WIRES = {"query": query, "json": in_json, "cbor": in_cbor}
wires = pytest.mark.parametrize("wire", WIRES)


def read(operation: str, wire: str, response: Response) -> dict[str, Any]:
    """An answer as botocore reads it, with times as seconds; CBOR as the library reads it, whose times are of tag 1."""
    if wire == "cbor":
        assert ("smithy-protocol", "rpc-v2-cbor") in response.headers
        assert ("Content-Type", "application/cbor") in response.headers
        return dict(plain(cbor2.loads(response.body)))
    parser = create_parser(wire)
    told = {"status_code": response.status, "headers": dict(response.headers), "body": response.body}
    parsed = parser.parse(told, MODEL.operation_model(operation).output_shape)
    return {name: plain(value) for name, value in parsed.items() if name != "ResponseMetadata"}


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return int(value.timestamp()) if hasattr(value, "timestamp") else value


@wires
@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("GetMetricData",
         {**SPAN, "MetricDataQueries": [stat("m1"), {"Id": "e1", "Expression": "m1*2", "Label": "<&>é"}]}),
        ("GetMetricData", {**SPAN, "MetricDataQueries": [stat("m1", queue="nobody", ReturnData=True)]}),
        ("GetMetricData", {**SPAN, "MetricDataQueries": [stat("m1", "SentMessageSize", "p9")], "MaxDatapoints": 5}),
        ("GetMetricStatistics", {**SPAN, **metric(), "Period": 60, "Statistics": ["Sum", "Average"]}),
        ("GetMetricStatistics", {**SPAN, **metric(), "Period": 60, "ExtendedStatistics": ["p50", "p99.9"]}),
        ("GetMetricStatistics", {**SPAN, **metric(queue="nobody"), "Period": 60, "Statistics": ["Sum"]}),
        ("ListMetrics", {"Namespace": "AWS/SQS"}),
        ("ListMetrics", {}),
    ],
)  # fmt: skip
async def test_a_signed_request_is_answered_alike_in_all_protocols(
    guarded: CloudWatchEndpoint, wire: str, operation: str, asked: dict[str, Any]
) -> None:
    response = await guarded.handle(WIRES[wire](operation, asked))
    assert response.status == 200, response.body
    oracle = await guarded.handle(in_json(operation, asked))
    assert read(operation, wire, response) == read(operation, "json", oracle)


@wires
async def test_times_and_numbers_arrive(guarded: CloudWatchEndpoint, wire: str) -> None:
    response = await guarded.handle(WIRES[wire]("GetMetricData", {**SPAN, "MetricDataQueries": [stat("m1")]}))
    (result,) = read("GetMetricData", wire, response)["MetricDataResults"]
    assert (result["Timestamps"], result["Values"]) == ([LAST_MINUTE // 1000], [3.0])
    assert type(result["Values"][0]) is float
    if wire == "cbor":
        assert cbor2.dumps(cbor2.CBORTag(1, LAST_MINUTE // 1000)) in response.body


@pytest.mark.parametrize("text", ["2026-01-02T02:59:05Z", "2026-01-02T02:59:05.000Z", "2026-01-02T03:59:05+01:00",
                                  "2026-01-02T02:59:05", str(NOW_SECONDS - 300)])  # fmt: skip
async def test_the_query_protocol_takes_times_as_clients_write_them(guarded: CloudWatchEndpoint, text: str) -> None:
    asked = {**SPAN, **metric(), "Period": 60, "Statistics": ["Sum"], "StartTime": text}
    response = await guarded.handle(query("GetMetricStatistics", asked))
    assert [one["Sum"] for one in read("GetMetricStatistics", "query", response)["Datapoints"]] == [3]


@wires
async def test_times_that_are_none_are_refused(guarded: CloudWatchEndpoint, wire: str) -> None:
    asked = {**SPAN, **metric(), "Period": 60, "Statistics": ["Sum"]}
    if wire == "cbor":
        path = "/service/GraniteServiceVersion20100801/operation/GetMetricStatistics"
        request = signed("POST", path, [], cbor2.dumps({**asked, "StartTime": "soon"}), service="monitoring")
    else:
        request = WIRES[wire]("GetMetricStatistics", {**asked, "StartTime": "soon"})
    response = await guarded.handle(request)
    assert response.status == 400
    assert b"StartTime" in response.body


@wires
@pytest.mark.parametrize(
    ("operation", "asked", "code"),
    [
        ("GetMetricStatistics", {**SPAN, **metric(), "Period": 7, "Statistics": ["Sum"]}, "InvalidParameterValue"),
        ("GetMetricStatistics", {**metric(), "Period": 60, "Statistics": ["Sum"]}, "MissingParameter"),
        ("GetMetricStatistics", {**SPAN, **metric(), "Period": 60}, "InvalidParameterCombination"),
        ("GetMetricData", {**SPAN, "MetricDataQueries": [stat("M1")]}, "ValidationError"),
        ("GetMetricData", {**SPAN, "MetricDataQueries": [stat("m1", period="often")]}, "ValidationError"),
        ("GetMetricData", {**SPAN, "MetricDataQueries": [stat("m1")], "NextToken": "x"}, "InvalidNextToken"),
        ("PutMetricData", {}, "InvalidAction"),
        ("", {}, "InvalidAction"),
    ],
)
async def test_an_error_is_told_in_the_protocol_of_the_request(
    guarded: CloudWatchEndpoint, wire: str, operation: str, asked: dict[str, Any], code: str
) -> None:
    response = await guarded.handle(WIRES[wire](operation, asked))
    assert response.status == 400
    told(wire, response, code, SHAPES[code].shape)


def told(wire: str, response: Response, code: str, shape: str) -> None:
    headers = dict(response.headers)
    if wire == "query":
        found = ElementTree.fromstring(response.body).find(".//{*}Code")
        assert found is not None
        assert found.text == code
        return
    body = cbor2.loads(response.body) if wire == "cbor" else json.loads(response.body)
    assert body["__type"] == f"com.amazonaws.cloudwatch#{shape}"
    assert body["message"]
    assert headers["x-amzn-query-error"] == f"{code};{'Receiver' if response.status >= 500 else 'Sender'}"


@wires
@pytest.mark.parametrize(
    ("signing", "status", "code", "shape"),
    [
        ({"secret": SECRET + "x"}, 403, "SignatureDoesNotMatch", "InvalidSignatureException"),
        ({"key": "AKIDSOMEBODY"}, 403, "InvalidClientTokenId", "InvalidClientTokenId"),
        ({"at": NOW_SECONDS - 3600}, 403, "SignatureDoesNotMatch", "InvalidSignatureException"),
    ],
)
async def test_a_wrong_signature_is_refused(
    guarded: CloudWatchEndpoint, wire: str, signing: dict[str, Any], status: int, code: str, shape: str
) -> None:
    response = await guarded.handle(WIRES[wire]("ListMetrics", {}, **signing))
    assert response.status == status
    told(wire, response, code, shape)


@wires
async def test_a_signature_for_another_service_is_refused(guarded: CloudWatchEndpoint, wire: str) -> None:
    request = WIRES[wire]("ListMetrics", {})
    request.headers["authorization"] = request.headers["authorization"].replace("/monitoring/", "/sqs/")
    assert (await guarded.handle(request)).status == 403


@wires
async def test_a_body_that_was_changed_on_its_way_is_refused(guarded: CloudWatchEndpoint, wire: str) -> None:
    request = WIRES[wire]("GetMetricData", {**SPAN, "MetricDataQueries": [stat("m1")]})
    request.body = request.body.replace(b"m1", b"m2")
    response = await guarded.handle(request)
    told(wire, response, "SignatureDoesNotMatch", "InvalidSignatureException")


async def test_a_presigned_url_is_answered(guarded: CloudWatchEndpoint) -> None:
    params = {"Action": "ListMetrics", "MetricName": "CommitSize"}
    request = signed("GET", "/", params=params, service="monitoring", expires=60)
    response = await guarded.handle(request)
    assert [one["MetricName"] for one in read("ListMetrics", "query", response)["Metrics"]] == ["CommitSize"]


@wires
async def test_a_store_that_is_not_there_is_told_as_such(
    guarded: CloudWatchEndpoint, source: MadeUp, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(source, "series", fail)
    response = await guarded.handle(WIRES[wire]("GetMetricData", {**SPAN, "MetricDataQueries": [stat("m1")]}))
    assert response.status == 503
    told(wire, response, "ServiceUnavailable", "ServiceUnavailableException")


@wires
async def test_a_fault_of_ours_is_logged_without_what_was_asked(
    guarded: CloudWatchEndpoint,
    source: MadeUp,
    wire: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = "secret of a client"

    async def fail(*_: Any) -> None:
        raise KeyError(said)

    monkeypatch.setattr(source, "series", fail)
    response = await guarded.handle(WIRES[wire]("GetMetricData", {**SPAN, "MetricDataQueries": [stat("m1")]}))
    assert response.status == 500
    told(wire, response, "InternalServiceError", "InternalServiceFault")
    assert "GetMetricData failed with KeyError" in caplog.text
    assert said not in caplog.text


# Whatever may come ----------------------------------------------------------------------------------

CBOR_PATH = "/service/GraniteServiceVersion20100801/operation/ListMetrics"


@pytest.mark.parametrize(
    "body",
    [
        b"\x81" * 10_000,  # lists in lists
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",  # a list of very many
        b"\xbf",  # a map without an end
        b"\x80",  # a list
        b"\xff",
        b"\xa1\x01\x02",  # a key that is a number
        b"\xa1\x60\xd8\x23\x61(",  # a pattern
        b"\xa1\x60\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
        b"\xa1\x60\xc2\x41\x01",  # a large number
        b"\xa1\x60\xc4\x82\x01\x01",  # a decimal
        b"\xa1\x60\xc0\x74" + b"2026-01-02T03:04:05Z",  # a time as text
        b"\xa1\x60\xd9\xff\xff\x01",  # a tag that nobody knows
        b"\xa1\x61x\xc1\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00",  # a time that is not a number
    ],
)
async def test_cbor_that_the_protocol_does_not_have_is_refused(endpoint: CloudWatchEndpoint, body: bytes) -> None:
    response = await endpoint.handle(Request("POST", CBOR_PATH, {}, body))
    assert response.status == 400
    told("cbor", response, "MalformedInput", "SerializationException")


async def test_cbor_of_indefinite_length_is_read(endpoint: CloudWatchEndpoint) -> None:
    """Some SDKs write as they go."""
    body = b"\xbf" + cbor2.dumps("MetricName") + b"\x7f" + cbor2.dumps("Commit") + cbor2.dumps("Size") + b"\xff\xff"
    response = await endpoint.handle(Request("POST", CBOR_PATH, {}, body))
    assert [one["MetricName"] for one in cbor2.loads(response.body)["Metrics"]] == ["CommitSize"]


async def test_members_that_are_null_did_not_come(endpoint: CloudWatchEndpoint) -> None:
    asked = {"Namespace": None, "Dimensions": None, "MetricName": "CommitSize", "NextToken": None}
    for request in (in_json("ListMetrics", asked), in_cbor("ListMetrics", asked)):
        assert (await endpoint.handle(request)).status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_other_methods_are_no_operations(endpoint: CloudWatchEndpoint, method: str) -> None:
    headers = {"x-amz-target": "GraniteServiceVersion20100801.ListMetrics"}
    assert (await endpoint.handle(Request(method, "/", headers, b"{}"))).status == 400
    assert (await endpoint.handle(Request(method, CBOR_PATH, {}, b"\xa0"))).status == 400
    assert (await endpoint.handle(Request(method, "/", {}, b""))).status == 400


FORMS = st.dictionaries(
    st.one_of(
        st.sampled_from(["MetricDataQueries", "MetricDataQueries.member", "MetricDataQueries.member.1",
                         "MetricDataQueries.member.1.Id", "MetricDataQueries.member.1.MetricStat.Period",
                         "MetricDataQueries.member.1.Expression", "Dimensions.member.1", "Dimensions.member.1.Name",
                         "Statistics.member.1", "Statistics.member.1.member.1", "StartTime", "StartTime.x", "EndTime",
                         "Period", "NextToken", "MaxDatapoints", "..", ".member.1", "member"]),
        st.text(max_size=10),
    ),
    st.one_of(st.sampled_from(["", "m1", "60", "-1", "2026-01-02T03:04:05Z", "1767323045", "true", "Sum", "9" * 50]),
              st.text(max_size=10)),
    max_size=12,
)  # fmt: skip
TREES: Any = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(), st.text(max_size=5), st.binary(max_size=3)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
ASKED = st.dictionaries(
    st.sampled_from(["MetricDataQueries", "StartTime", "EndTime", "Dimensions", "Namespace", "MetricName", "Period",
                     "Statistics", "NextToken", "ScanBy", "MaxDatapoints", "Unit"]),
    TREES,
)  # fmt: skip
FUZZ = settings(max_examples=150, deadline=None)


class Nothing:
    """There are no points, and there is no broker to ask for queues."""

    async def series(self, *_: Any) -> list[Any]:
        return []

    server_series = series


@FUZZ
@given(st.sampled_from(ACTIONS), st.one_of(FORMS.map(urlencode).map(str.encode), st.binary(max_size=60)))
async def test_any_form_is_answered_or_refused(action: str, form: bytes) -> None:
    await never_ours(Request("POST", f"/?Action={action}", {}, form))


@FUZZ
@given(st.sampled_from(ACTIONS), st.one_of(ASKED.map(cbor2.dumps), st.binary(max_size=60)))
async def test_any_cbor_is_answered_or_refused(action: str, body: bytes) -> None:
    await never_ours(Request("POST", f"/service/GraniteServiceVersion20100801/operation/{action}", {}, body))


@FUZZ
@given(st.sampled_from(ACTIONS), st.one_of(ASKED.map(lambda one: json.dumps(one, default=str).encode()), st.binary()))
async def test_any_json_is_answered_or_refused(action: str, body: bytes) -> None:
    await never_ours(Request("POST", "/", {"x-amz-target": f"GraniteServiceVersion20100801.{action}"}, body))


async def never_ours(request: Request) -> None:
    endpoint = CloudWatchEndpoint(Broker(MemoryStore(), Clock()), Nothing(), Authenticator([], service="monitoring"))
    assert (await endpoint.handle(request)).status in (200, 400, 403)
