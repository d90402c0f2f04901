"""Functions on AWS Lambda: the Invoke API as AWS has it, with signatures that are checked."""

import asyncio
import io
import json
import urllib.request
import zipfile
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import boto3
import pytest
from aiohttp import web
from moto.server import ThreadedMotoServer

from encola.mappings.functions import Reference
from encola.mappings.targets.pool import Targets
from encola.mappings.targets.target import Answer, Failed, Invocation, Refused, Returned
from encola.protocols.aws.identity import Authenticator, AuthError, Credential
from encola.protocols.http.message import Request

from .conftest import Serve
from .samples import ACCOUNT, function

KEY, SECRET = "AKIDFUNCTIONS", "the-secret-of-the-functions"
ARN = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:report:live"


@pytest.fixture(autouse=True)
def aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def targets() -> AsyncIterator[Targets]:
    targets = Targets()
    yield targets
    await targets.close()


class Lambda:
    """A stand-in for AWS Lambda: verifies the signature, then answers what the test says."""

    def __init__(self) -> None:
        credential = Credential(access_key=KEY, secret_key=SECRET, account=ACCOUNT)
        self._authenticator = Authenticator([credential], service="lambda")
        self.status, self.body, self.headers = 200, b"null", dict[str, str]()
        self.calls: list[tuple[str, str, str | None, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            identity = self._authenticator.authenticate(Request(request.method, request.raw_path, headers, body))
        except AuthError as error:
            return web.Response(status=error.status, headers={"x-amzn-ErrorType": "InvalidSignatureException"})
        kind = request.headers.get("X-Amz-Invocation-Type")
        self.calls.append((identity.region, unquote(request.raw_path), kind, json.loads(body)))
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@pytest.fixture
def aws() -> Lambda:
    return Lambda()


async def call(targets: Targets, endpoint: str, name: str = "report", **declared: Any) -> Answer:
    declared = {"region": "eu-west-1", **declared}
    target = targets.get(Reference(ACCOUNT, name), function(target=f"aws:{name}", endpoint=endpoint, **declared))
    return await target.invoke(Invocation("i", b'{"Records":["\xc3\xa9"]}', "arn"))


async def test_an_event_is_invoked_with_a_signature_and_the_result_comes_back(
    targets: Targets, serve: Serve, aws: Lambda
) -> None:
    aws.body = b'{"batchItemFailures":[]}'
    assert await call(targets, await serve(aws.handle)) == Returned(aws.body)
    path = "/2015-03-31/functions/report/invocations"
    assert aws.calls == [("eu-west-1", path, "RequestResponse", {"Records": ["é"]})]


async def test_an_arn_brings_its_own_region(targets: Targets, serve: Serve, aws: Lambda) -> None:
    assert await call(targets, await serve(aws.handle), ARN, region=None) == Returned(b"null")
    assert aws.calls[0][:2] == ("eu-central-1", f"/2015-03-31/functions/{ARN}/invocations")


async def test_an_error_of_the_function_is_a_failure(targets: Targets, serve: Serve, aws: Lambda) -> None:
    aws.headers = {"X-Amz-Function-Error": "Unhandled"}
    aws.body = b'{"errorType": "KeyError", "errorMessage": "month"}'
    assert await call(targets, await serve(aws.handle)) == Failed("KeyError: month")


@pytest.mark.parametrize(
    ("status", "name", "throttled"),
    [
        (429, "TooManyRequestsException", True),
        (403, "AccessDeniedException", False),
        (404, "ResourceNotFoundException:http://internal.amazon.com/", False),
        (409, "ResourceConflictException", False),
        (500, "ServiceException", False),
        (502, "EC2ThrottledException", False),
        (503, "", False),
    ],
)
async def test_what_the_service_refuses_has_not_run(
    targets: Targets, serve: Serve, aws: Lambda, status: int, name: str, throttled: bool
) -> None:
    aws.status, aws.headers = status, {"x-amzn-ErrorType": name}
    answer = await call(targets, await serve(aws.handle))
    assert answer == Refused(f"Invoke answered {status} {name.partition(':')[0]}".rstrip(), throttled=throttled)


@pytest.mark.parametrize(
    ("status", "name"), [(413, "RequestTooLargeException"), (400, "InvalidRequestContentException")]
)
async def test_an_event_that_the_service_will_never_take_is_a_failure(
    targets: Targets, serve: Serve, aws: Lambda, status: int, name: str
) -> None:
    aws.status, aws.headers = status, {"x-amzn-ErrorType": name}
    assert await call(targets, await serve(aws.handle)) == Failed(f"Invoke answered {status} {name}")


async def test_a_wrong_secret_runs_nothing(
    targets: Targets, serve: Serve, aws: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    assert await call(targets, await serve(aws.handle)) == Refused("Invoke answered 403 InvalidSignatureException")
    assert aws.calls == []


async def test_without_credentials_nothing_is_sent(
    targets: Targets, serve: Serve, aws: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert isinstance(await call(targets, await serve(aws.handle)), Refused)
    assert aws.calls == []


async def test_without_a_region_nothing_is_sent(targets: Targets) -> None:
    assert isinstance(await call(targets, "http://127.0.0.1:1", region=None), Refused)


async def test_nobody_listens(targets: Targets) -> None:
    answer = await call(targets, "http://127.0.0.1:1")
    assert isinstance(answer, Refused)
    assert "connect" in answer.problem


async def test_a_function_of_moto_is_invoked(targets: Targets) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        await asyncio.to_thread(make_function_of_moto, url, "report")
        assert isinstance(await call(targets, url), Returned)
    finally:
        server.stop()


def make_function_of_moto(url: str, name: str) -> None:
    """A function that moto answers by itself, without running any code."""
    simple = urllib.request.Request(f"{url}/moto-api/config", b'{"lambda": {"use_docker": false}}')
    simple.add_header("Content-Type", "application/json")
    urllib.request.urlopen(simple).close()
    options = {"endpoint_url": url, "region_name": "eu-west-1"}
    role = boto3.client("iam", **options).create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("report.py", "def handler(event, context): ...")
    boto3.client("lambda", **options).create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role,
        Handler="report.handler",
        Code={"ZipFile": code.getvalue()},
    )
