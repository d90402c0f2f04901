"""The endpoint as a whole: what it makes of failures that are not the caller's, and the switches for development."""

import logging

import pytest

from encola.broker.broker import Broker
from encola.engine.store import StoreError
from encola.protocols.aws.identity import Authenticator, Credential
from encola.protocols.sqs.desk import SqsOptions
from encola.protocols.sqs.endpoint import SqsEndpoint

from .client import Client, bodies

SECRET = "what was in the message"


async def test_a_store_that_fails_is_a_503_and_nothing_is_acknowledged(
    either: Client, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await either.queue()

    async def fail(*_: object) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr(broker._store, "apply", fail)
    error = await either.refusal("SendMessage", QueueUrl=url, MessageBody=SECRET)
    assert (error.status, error.code) == (503, "ServiceUnavailable")
    assert "disk" not in error.message
    if either.protocol == "json":
        assert error.headers["x-amzn-query-error"] == "ServiceUnavailable;Receiver"
    else:
        assert b"<Type>Receiver</Type>" in error.response.body


async def test_a_fault_of_ours_is_a_500_and_logged_without_its_text(
    either: Client, broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url = await either.queue()

    async def fail(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(broker, "send", fail)
    with caplog.at_level(logging.DEBUG):
        error = await either.refusal("SendMessage", QueueUrl=url, MessageBody=SECRET)
    assert (error.status, error.code) == (500, "InternalFailure")
    assert SECRET.encode() not in error.response.body
    assert SECRET not in caplog.text
    assert "RuntimeError" in caplog.text


@pytest.mark.parametrize("protocol", ["json", "query"])
@pytest.mark.parametrize("name", ["new", "new.fifo"])
async def test_queues_can_be_created_by_their_first_use(broker: Broker, protocol: str, name: str) -> None:
    sqs = Client(SqsEndpoint(broker, Authenticator([]), SqsOptions(auto_create_queues=True)), protocol=protocol)
    more = {"MessageGroupId": "g"} if name.endswith(".fifo") else {}
    await sqs.send(name, "first", **more)
    assert bodies(await sqs.receive(name)) == ["first"]
    assert (await sqs("GetQueueUrl", QueueName=f"other-{name}"))["QueueUrl"].endswith(f"/other-{name}")
    assert await sqs.receive(f"third-{name}") == []
    entry = {"Id": "a", "MessageBody": "x", **more}
    assert (await sqs("SendMessageBatch", QueueUrl=f"fourth-{name}", Entries=[entry]))["Successful"]
    error = await sqs.refusal("DeleteQueue", QueueUrl="never-used")
    assert error.code == "AWS.SimpleQueueService.NonExistentQueue"


@pytest.mark.parametrize("name", ["a b", "http://queue.test/444455556666/new"])
async def test_only_ones_own_queues_with_good_names_are_created(broker: Broker, name: str) -> None:
    sqs = Client(SqsEndpoint(broker, Authenticator([]), SqsOptions(auto_create_queues=True)))
    assert (await sqs.refusal("SendMessage", QueueUrl=name, MessageBody="x")).status == 400
    await sqs.refusal("GetQueueUrl", QueueName="new", QueueOwnerAWSAccountId="444455556666")
    assert broker.queues() == []


@pytest.mark.parametrize("protocol", ["json", "query"])
async def test_without_a_valid_signature_nothing_is_done(broker: Broker, protocol: str) -> None:
    endpoint = SqsEndpoint(broker, Authenticator([Credential("AKIDEXAMPLE", "secret")]))
    error = await Client(endpoint, protocol=protocol).refusal("CreateQueue", QueueName="work")
    assert error.code == "IncompleteSignature"
    assert broker.queues() == []
