"""Signed requests through the endpoint, with credentials that may do less than everything."""

from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.protocols.aws.identity import Authenticator, Credential
from encola.protocols.http.message import Response
from encola.protocols.sqs.endpoint import SqsEndpoint

from ..aws.signer import NOW, ORIGIN, signed
from .botocore_wire import request_of
from .client import ACCOUNT, OTHER_ACCOUNT, Client, bodies

CREDENTIALS = (
    Credential("OWNER", "secret-1", ACCOUNT),
    Credential("SENDER", "secret-2", ACCOUNT, "sender", ("SendMessage", "GetQueueUrl"), ("work*",)),
    Credential("READER", "secret-3", ACCOUNT, "reader", ("List*", "Get*"), ("*",)),
    Credential("MAKER", "secret-4", ACCOUNT, "maker", ("*",), ("made-*",)),
    Credential("OTHER", "secret-5", OTHER_ACCOUNT, "other", ("SendMessage",), ("work",)),
)


class SignedClient(Client):
    """A caller with a key and its secret."""

    def __init__(self, endpoint: SqsEndpoint, credential: Credential, protocol: str = "json") -> None:
        super().__init__(endpoint, protocol=protocol, account=credential.account)
        self._credential = credential

    async def response(self, operation: str, **parameters: Any) -> Response:
        made = request_of(operation, parameters, self.protocol)
        headers = [(name, value) for name, value in made.headers.items() if name not in ("host", "content-length")]
        key, secret = self._credential.access_key, self._credential.secret_key
        return await self._endpoint.handle(signed(made.method, made.target, headers, made.body, key=key, secret=secret))


Callers = dict[str, SignedClient]


@pytest.fixture(params=["json", "query"])
async def callers(request: pytest.FixtureRequest, broker: Broker) -> Callers:
    endpoint = SqsEndpoint(broker, Authenticator(CREDENTIALS, wall=lambda: NOW))
    callers = {one.access_key.lower(): SignedClient(endpoint, one, request.param) for one in CREDENTIALS}
    assert await callers["owner"].queue("work") == f"{ORIGIN}/{ACCOUNT}/work"
    await callers["owner"].queue("private")
    return callers


async def denied(client: Client, operation: str, **given: Any) -> str:
    error = await client.refusal(operation, **given)
    assert (error.status, error.code) == (403, "AccessDenied")
    return error.message


async def test_actions_are_limited(callers: Callers) -> None:
    await callers["sender"].send("work", "hello")
    message = await denied(callers["sender"], "ReceiveMessage", QueueUrl="work")
    assert message == (
        f"User: arn:aws:iam::{ACCOUNT}:user/sender is not authorized to perform: sqs:receivemessage on resource: "
        f"arn:aws:sqs:us-east-1:{ACCOUNT}:work"
    )
    assert bodies(await callers["owner"].receive("work")) == ["hello"]
    assert (await callers["reader"].attributes("work", "QueueArn"))["QueueArn"].endswith(":work")
    await denied(callers["reader"], "SendMessage", QueueUrl="work", MessageBody="x")


async def test_queues_are_limited(callers: Callers) -> None:
    await denied(callers["sender"], "SendMessage", QueueUrl="private", MessageBody="x")
    await denied(callers["sender"], "GetQueueUrl", QueueName="private")
    assert (await callers["sender"]("GetQueueUrl", QueueName="work"))["QueueUrl"]


async def test_creating_is_limited_by_the_name_that_is_to_be(callers: Callers) -> None:
    await callers["maker"].queue("made-1")
    message = await denied(callers["maker"], "CreateQueue", QueueName="other")
    assert message == (
        f"User: arn:aws:iam::{ACCOUNT}:user/maker is not authorized to perform: sqs:createqueue on resource: "
        f"arn:aws:sqs:us-east-1:{ACCOUNT}:other"
    )
    await denied(callers["sender"], "CreateQueue", QueueName="work-2")
    await callers["maker"]("DeleteQueue", QueueUrl="made-1")


async def test_listing_all_queues_needs_the_right_to_all_queues(callers: Callers) -> None:
    assert len((await callers["reader"]("ListQueues"))["QueueUrls"]) == 2
    for name in ("sender", "maker"):
        message = await denied(callers[name], "ListQueues")
        assert message == f"User: arn:aws:iam::{ACCOUNT}:user/{name} is not authorized to perform: sqs:listqueues"


async def test_a_policy_adds_to_what_a_credential_of_its_own_account_may(callers: Callers) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user/sender"
    policy = (
        f'{{"Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{arn}"}}, "Action": "sqs:ReceiveMessage", '
        f'"Resource": "arn:aws:sqs:us-east-1:{ACCOUNT}:work"}}}}'
    )
    await callers["owner"].set("work", Policy=policy)
    await callers["sender"].receive("work")
    await denied(callers["reader"], "ReceiveMessage", QueueUrl="work")
    await denied(callers["sender"], "PurgeQueue", QueueUrl="work")


async def test_another_account_needs_both_the_policy_and_the_right(callers: Callers) -> None:
    url = f"{ORIGIN}/{ACCOUNT}/work"
    await denied(callers["other"], "SendMessage", QueueUrl=url, MessageBody="x")
    allowed = {"Label": "all", "AWSAccountIds": [OTHER_ACCOUNT], "Actions": ["*"]}
    for name in ("work", "private"):
        await callers["owner"]("AddPermission", QueueUrl=name, **allowed)
    await callers["other"].send(url)
    await denied(callers["other"], "ReceiveMessage", QueueUrl=url)
    await denied(callers["other"], "SendMessage", QueueUrl=f"{ORIGIN}/{ACCOUNT}/private", MessageBody="x")


async def test_the_sender_of_a_message_is_its_user(callers: Callers) -> None:
    await callers["sender"].send("work")
    await callers["owner"].send("work")
    first, second = await callers["owner"].receive("work", MessageSystemAttributeNames=["SenderId"])
    assert first["Attributes"]["SenderId"].startswith("AIDA")
    assert second["Attributes"]["SenderId"] == ACCOUNT


@pytest.mark.parametrize("protocol", ["json", "query"])
async def test_a_wrong_secret_has_its_name_in_each_protocol(broker: Broker, protocol: str) -> None:
    endpoint = SqsEndpoint(broker, Authenticator(CREDENTIALS, wall=lambda: NOW))
    error = await SignedClient(endpoint, Credential("OWNER", "wrong", ACCOUNT), protocol).refusal("ListQueues")
    assert (error.status, error.code) == (403, "SignatureDoesNotMatch")
    assert error.shape == ("InvalidSignatureException" if protocol == "json" else "")
    error = await SignedClient(endpoint, Credential("NOBODY", "x", ACCOUNT), protocol).refusal("ListQueues")
    assert (error.status, error.code) == (403, "InvalidClientTokenId")
    assert error.message == "The security token included in the request is invalid."
