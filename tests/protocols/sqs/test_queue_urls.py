"""Queue URLs: what they look like, and in which forms clients may name a queue."""

from collections.abc import Callable
from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.protocols.aws.identity import Authenticator
from encola.protocols.sqs.desk import SqsOptions
from encola.protocols.sqs.endpoint import SqsEndpoint

from .botocore_wire import request_of
from .client import ACCOUNT, OTHER_ACCOUNT, Client, bodies

Caller = Callable[..., Client]


@pytest.mark.parametrize(
    ("host", "secure", "origin"),
    [
        ("localhost:9324", False, "http://localhost:9324"),
        ("queue.example.org", True, "https://queue.example.org"),
        ("127.0.0.1:80", False, "http://127.0.0.1:80"),
        ("[::1]:9324", False, "http://[::1]:9324"),
    ],
)
async def test_urls_echo_the_callers_host(caller: Caller, host: str, secure: bool, origin: str) -> None:
    sqs = caller(host=host, secure=secure)
    url = f"{origin}/{ACCOUNT}/work"
    assert await sqs.queue() == url
    assert (await sqs("GetQueueUrl", QueueName="work"))["QueueUrl"] == url
    assert (await sqs("ListQueues"))["QueueUrls"] == [url]
    assert len(url.removeprefix(f"{origin}/").split("/")) == 2  # KEDA and Terraform take it apart


async def test_a_configured_origin_comes_before_the_host(broker: Broker) -> None:
    options = SqsOptions(public_url="https://queues.example.org")
    sqs = Client(SqsEndpoint(broker, Authenticator([]), options))
    assert await sqs.queue() == f"https://queues.example.org/{ACCOUNT}/work"


@pytest.mark.parametrize(
    "form",
    [
        "work",
        "/work",
        f"http://queue.test:9324/{ACCOUNT}/work",
        f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/work",
        f"http://other:1/{ACCOUNT}/work/",
        f"http://us-east-1.queue.test/queue/us-east-1/{ACCOUNT}/work",
        f"{ACCOUNT}/work",
        f"/{ACCOUNT}/work",
    ],
)
async def test_ways_to_name_a_queue(either: Client, form: str) -> None:
    await either.queue()
    await either.send(form, "hello")
    assert bodies(await either.receive("work")) == ["hello"]


@pytest.mark.parametrize("form", [f"http://queue.test:9324/{OTHER_ACCOUNT}/work", "works", "Work", "work.fifo", "wor"])
async def test_names_of_no_queue(either: Client, form: str) -> None:
    await either.queue()
    error = await either.refusal("ReceiveMessage", QueueUrl=form)
    assert error.code == "AWS.SimpleQueueService.NonExistentQueue"


@pytest.mark.parametrize(
    "form",
    [
        "http://queue.test:9324",
        "http://queue.test:9324/",
        "http://queue.test/work",
        "http://queue.test/1/work",
        "/",
        "//",
        "a/b",
        "http://" + "x" * 5000,
    ],
)
async def test_what_is_no_address(either: Client, form: str) -> None:
    error = await either.refusal("ReceiveMessage", QueueUrl=form)
    assert error.told == ("InvalidAddress", f"The address {form[:500]} is not valid for this endpoint.")
    assert error.status == 404


async def test_only_short_addresses_are_remembered(sqs: Client, endpoint: SqsEndpoint) -> None:
    await sqs.queue()
    await sqs.receive("work")
    remembered = len(endpoint.desk._addresses)
    for number in range(20):
        await sqs.refusal("ReceiveMessage", QueueUrl="x" * (1000 + number))
    assert len(endpoint.desk._addresses) == remembered


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-3", "local", "mars-north-1"])
async def test_any_region_is_served_and_named_in_arns(caller: Caller, region: str) -> None:
    sqs = caller(region=region)
    url = await sqs.queue()
    assert await sqs.attributes(url, "QueueArn") == {"QueueArn": f"arn:aws:sqs:{region}:{ACCOUNT}:work"}
    assert (await caller(region="elsewhere")("ListQueues"))["QueueUrls"] == [url]


# The Query protocol on a queue's own path -----------------------------------------------------------


async def query(endpoint: SqsEndpoint, method: str, target: str, body: bytes = b"") -> tuple[int, str]:
    request = request_of("ListQueues", {}, "query")
    request.method, request.target, request.body = method, target, body
    scope = f"{ACCOUNT}/20260101/us-east-1/sqs/aws4_request"
    request.headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    response = await endpoint.handle(request)
    return response.status, response.body.decode()


SEND = "Action=SendMessage&MessageBody=a%20b%2Bc+d&Version=2012-11-05"


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", f"/{ACCOUNT}/work?{SEND}", b""),
        ("POST", f"/{ACCOUNT}/work", SEND.encode()),
        ("POST", f"/{ACCOUNT}/work?Version=2012-11-05", SEND.encode()),
        ("GET", f"/?{SEND}&QueueUrl=work", b""),
        ("POST", "/", f"{SEND}&QueueUrl=http%3A%2F%2Fx%2F{ACCOUNT}%2Fwork".encode()),
        ("POST", f"/{ACCOUNT}/other", f"{SEND}&QueueUrl=work".encode()),
        ("GET", f"/work?{SEND}", b""),
    ],
)
async def test_get_and_post_on_the_root_and_on_the_queues_path(
    sqs: Client, endpoint: SqsEndpoint, method: str, target: str, body: bytes
) -> None:
    await sqs.queue()
    status, answer = await query(endpoint, method, target, body)
    assert (status, "<SendMessageResult>" in answer) == (200, True)
    assert bodies(await sqs.receive("work")) == ["a b+c d"]


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "code"),
    [
        ("GET", "/", b"", 400, "MissingParameter"),
        ("POST", "/", b"", 400, "MissingParameter"),
        ("POST", "/", b"Action=", 400, "MissingParameter"),
        ("POST", "/", b"Action=Fly", 400, "InvalidAction"),
        ("GET", "/?Action=PeekMessages&QueueUrl=work", b"", 400, "InvalidAction"),
        ("PUT", "/?Action=ListQueues", b"", 400, "InvalidAction"),
        ("POST", "/", b"Action=ListQueues&x=\xff", 400, "MalformedInput"),
        ("POST", "/", b"Action=ListQueues&x=%FF", 400, "MalformedInput"),
        ("POST", "/", b"Action=ListQueues" + b"&x" * 2000, 400, "MalformedInput"),
        ("GET", "/x?Action=ReceiveMessage", b"", 400, "AWS.SimpleQueueService.NonExistentQueue"),
        ("GET", "/1/x?Action=ReceiveMessage", b"", 404, "InvalidAddress"),
        ("POST", "/", b"Action=ListQueues&MaxResults=ten", 400, "InvalidParameterValue"),
    ],
)
async def test_wrong_queries(
    endpoint: SqsEndpoint, method: str, target: str, body: bytes, status: int, code: str
) -> None:
    found, answer = await query(endpoint, method, target, body)
    assert (found, f"<Code>{code}</Code>" in answer) == (status, True), answer


# Wrong JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"target": "AmazonSQS.Fly"}, 400, "InvalidAction;Sender"),
        ({"target": ""}, 400, "InvalidAction;Sender"),
        ({"target": None}, 400, "InvalidAction;Sender"),
        ({"target": "listqueues"}, 400, "InvalidAction;Sender"),
        ({"method": "GET"}, 400, "InvalidAction;Sender"),
        ({"body": b"["}, 400, "MalformedInput;Sender"),
        ({"body": b'{"MaxResults": "1"}'}, 400, "MalformedInput;Sender"),
    ],
)
async def test_wrong_json_requests(endpoint: SqsEndpoint, changed: dict[str, Any], status: int, code: str) -> None:
    request = request_of("ListQueues", {})
    request.method = changed.get("method", request.method)
    request.body = changed.get("body", request.body)
    if "target" in changed:
        del request.headers["x-amz-target"]
        if changed["target"] is not None:
            request.headers["x-amz-target"] = changed["target"]
    response = await endpoint.handle(request)
    assert (response.status, dict(response.headers)["x-amzn-query-error"]) == (status, code)


async def test_an_empty_json_body_is_an_empty_object(endpoint: SqsEndpoint) -> None:
    request = request_of("ListQueues", {})
    request.body = b""
    assert (await endpoint.handle(request)).status == 200
