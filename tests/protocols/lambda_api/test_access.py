"""Who may call: signatures for the service "lambda", and the limits of credentials."""

import pytest

from encola.mappings.manager import Mappings
from encola.protocols.aws.identity import Authenticator, Credential
from encola.protocols.http.message import Request
from encola.protocols.lambda_api.endpoint import COLLECTION, LambdaEndpoint

from .client import ACCOUNT, REGION, Client, RefusedError

SOURCE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:work"
OTHER = f"arn:aws:sqs:{REGION}:{ACCOUNT}:other"
SECRET = "a-secret"
CREDENTIALS = (
    Credential("ROOT", SECRET, ACCOUNT),
    Credential("READER", SECRET, ACCOUNT, "reader", ("Get*", "lambda:List*"), ("work",)),
    Credential("SENDER", SECRET, ACCOUNT, "sender", ("SendMessage", "ReceiveMessage"), ("*",)),
    Credential("WORKER", SECRET, ACCOUNT, "worker", ("*",), ("work",)),
)


@pytest.fixture
def closed(mappings: Mappings) -> LambdaEndpoint:
    return LambdaEndpoint(mappings, Authenticator(CREDENTIALS, service="lambda"))


async def code_of(client: Client, operation: str, **parameters: object) -> str:
    with pytest.raises(RefusedError) as caught:
        await client(operation, **parameters)
    return f"{caught.value.status} {caught.value.code}"


async def test_a_signed_request_is_let_in(closed: LambdaEndpoint) -> None:
    root = Client(closed, "ROOT", SECRET)
    made = await root("CreateEventSourceMapping", EventSourceArn=SOURCE, FunctionName="f")
    assert (await root("ListEventSourceMappings", FunctionName="f"))["EventSourceMappings"][0]["UUID"] == made["UUID"]


async def test_others_are_not(closed: LambdaEndpoint) -> None:
    operation = "ListEventSourceMappings"
    assert await code_of(Client(closed, "ROOT", "wrong"), operation) == "403 InvalidSignatureException"
    assert await code_of(Client(closed, "NOBODY", SECRET), operation) == "403 UnrecognizedClientException"
    of_sqs = Client(closed, "ROOT", SECRET, service="sqs")
    assert await code_of(of_sqs, operation) == "403 InvalidSignatureException"
    unsigned = await closed.handle(Request("GET", COLLECTION, {"host": "h"}, b""))
    assert unsigned.status == 403
    assert dict(unsigned.headers)["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    broken = await closed.handle(Request("GET", COLLECTION, {"host": "h", "authorization": "Basic x"}, b""))
    assert dict(broken.headers)["x-amzn-ErrorType"] == "IncompleteSignatureException"


async def test_a_credential_may_do_what_its_actions_say_on_its_queues(closed: LambdaEndpoint) -> None:
    root, reader, sender, worker = (Client(closed, key, SECRET) for key in ("ROOT", "READER", "SENDER", "WORKER"))
    work = await root("CreateEventSourceMapping", EventSourceArn=SOURCE, FunctionName="f")
    other = await root("CreateEventSourceMapping", EventSourceArn=OTHER, FunctionName="f")
    assert (await reader("GetEventSourceMapping", UUID=work["UUID"]))["UUID"] == work["UUID"]
    for client in (reader, worker):
        shown = (await client("ListEventSourceMappings"))["EventSourceMappings"]
        assert [one["UUID"] for one in shown] == [work["UUID"]]
        assert await code_of(client, "GetEventSourceMapping", UUID=other["UUID"]) == "403 AccessDeniedException"
    for operation in ("UpdateEventSourceMapping", "DeleteEventSourceMapping"):
        assert await code_of(reader, operation, UUID=work["UUID"]) == "403 AccessDeniedException"
        assert await code_of(worker, operation, UUID=other["UUID"]) == "403 AccessDeniedException"
    assert (await sender("ListEventSourceMappings"))["EventSourceMappings"] == []
    given = {"EventSourceArn": SOURCE, "FunctionName": "g"}
    assert await code_of(sender, "CreateEventSourceMapping", **given) == "403 AccessDeniedException"
    assert await code_of(reader, "CreateEventSourceMapping", **given) == "403 AccessDeniedException"
    assert (await worker("CreateEventSourceMapping", **given))["State"] == "Creating"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/2015-03-31/functions/f/invocations"),
        ("GET", "/2015-03-31/functions"),
        ("PATCH", COLLECTION),
        ("DELETE", COLLECTION),
        ("POST", f"{COLLECTION}/some-uuid"),
        ("GET", f"{COLLECTION}x"),
    ],
)
async def test_the_rest_of_lambda_is_not_here(call: Client, method: str, path: str) -> None:
    response = await call.send(method, path)
    assert (response.status, dict(response.headers)["x-amzn-ErrorType"]) == (404, "UnknownOperationException")


async def test_a_query_beyond_reason_is_refused(call: Client) -> None:
    response = await call.send("GET", f"{COLLECTION}?{'a=1&' * 100}")
    assert response.status == 400
