"""Credentials belong to accounts and can be limited: who sees what, and who may do what."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encola.protocols.aws.credentials import Credential
from encola.testing import EncolaServer

from ..process import ServerProcess, client

ALICE = Credential(access_key="AKIDALICE", secret_key="secret-alice", account="111111111111", name="alice")
BOB = Credential(access_key="AKIDBOB", secret_key="secret-bob", account="222222222222")
PRODUCER = Credential(
    access_key="AKIDPRODUCER",
    secret_key="secret-producer",
    account="111111111111",
    name="producer",
    actions=("Send*", "GetQueueUrl"),
    queues=("orders-*",),
)


@pytest.fixture(scope="module")
def server() -> Iterator[EncolaServer]:
    with EncolaServer(credentials=(ALICE, BOB, PRODUCER)) as server:
        yield server


def caller(server: EncolaServer, who: Credential) -> Any:
    return client(server.url, aws_access_key_id=who.access_key, aws_secret_access_key=who.secret_key)


@pytest.fixture
def alice(server: EncolaServer) -> Any:
    return caller(server, ALICE)


@pytest.fixture
def bob(server: EncolaServer) -> Any:
    return caller(server, BOB)


@pytest.fixture
def producer(server: EncolaServer) -> Any:
    return caller(server, PRODUCER)


def refused(sqs: Any, operation: str, **parameters: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(sqs.exceptions.ClientError) as caught:
        getattr(sqs, operation)(**parameters)
    return str(caught.value.response["Error"]["Code"])


def test_two_accounts_have_their_own_queues_of_the_same_name(alice: Any, bob: Any) -> None:
    hers, his = (sqs.create_queue(QueueName="same")["QueueUrl"] for sqs in (alice, bob))
    assert hers != his
    alice.send_message(QueueUrl="same", MessageBody="of alice")
    bob.send_message(QueueUrl="same", MessageBody="of bob")
    for sqs, url, body in ((alice, hers, "of alice"), (bob, his, "of bob")):
        assert sqs.list_queues(QueueNamePrefix="same")["QueueUrls"] == [url]
        (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["SenderId"])["Messages"]
        assert message["Body"] == body
        assert (message["Attributes"]["SenderId"] == BOB.account) is (sqs is bob)


def test_another_accounts_queue_is_out_of_reach_whatever_one_asks(alice: Any, bob: Any) -> None:
    url = alice.create_queue(QueueName="private")["QueueUrl"]
    alice.send_message(QueueUrl=url, MessageBody="private")
    handle = alice.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    arn = alice.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    at = {"QueueUrl": url}
    entry = {"Id": "a", "ReceiptHandle": handle}
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("send_message", {**at, "MessageBody": "m"}),
        ("send_message_batch", {**at, "Entries": [{"Id": "a", "MessageBody": "m"}]}),
        ("receive_message", at),
        ("delete_message", {**at, "ReceiptHandle": handle}),
        ("delete_message_batch", {**at, "Entries": [entry]}),
        ("change_message_visibility", {**at, "ReceiptHandle": handle, "VisibilityTimeout": 0}),
        ("change_message_visibility_batch", {**at, "Entries": [{**entry, "VisibilityTimeout": 0}]}),
        ("get_queue_attributes", {**at, "AttributeNames": ["All"]}),
        ("set_queue_attributes", {**at, "Attributes": {"DelaySeconds": "1"}}),
        ("list_queue_tags", at),
        ("tag_queue", {**at, "Tags": {"a": "b"}}),
        ("untag_queue", {**at, "TagKeys": ["a"]}),
        ("add_permission", {**at, "Label": "l", "AWSAccountIds": [BOB.account], "Actions": ["*"]}),
        ("remove_permission", {**at, "Label": "l"}),
        ("list_dead_letter_source_queues", at),
        ("start_message_move_task", {"SourceArn": arn}),
        ("list_message_move_tasks", {"SourceArn": arn}),
        ("purge_queue", at),
        ("delete_queue", at),
        ("get_queue_url", {"QueueName": "private", "QueueOwnerAWSAccountId": ALICE.account}),
    ]
    codes = {operation: refused(bob, operation, **parameters) for operation, parameters in attempts}
    allowed = {"AccessDenied", "AccessDeniedException", "AWS.SimpleQueueService.NonExistentQueue"}
    allowed |= {"ResourceNotFoundException", "InvalidAddress"}
    assert set(codes.values()) <= allowed, codes
    own = bob.create_queue(QueueName="own")["QueueUrl"]
    assert refused(bob, "delete_message", QueueUrl=own, ReceiptHandle=handle)  # a receipt is for its queue alone
    counts = alice.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    assert counts["Attributes"] == {"ApproximateNumberOfMessagesNotVisible": "1"}


def test_a_queues_policy_lets_another_account_in_as_far_as_it_says(alice: Any, bob: Any) -> None:
    url = alice.create_queue(QueueName="shared")["QueueUrl"]
    alice.add_permission(QueueUrl=url, Label="bob", AWSAccountIds=[BOB.account], Actions=["SendMessage"])
    bob.send_message(QueueUrl=url, MessageBody="from bob")
    assert refused(bob, "receive_message", QueueUrl=url) == "AccessDenied"
    assert alice.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "from bob"
    alice.remove_permission(QueueUrl=url, Label="bob")
    assert refused(bob, "send_message", QueueUrl=url, MessageBody="m") == "AccessDenied"


def test_a_limited_key_may_do_what_it_lists_on_the_queues_it_lists(alice: Any, producer: Any) -> None:
    orders, other = (alice.create_queue(QueueName=name)["QueueUrl"] for name in ("orders-new", "other"))
    assert producer.get_queue_url(QueueName="orders-new")["QueueUrl"] == orders
    producer.send_message(QueueUrl=orders, MessageBody="m")
    producer.send_message_batch(QueueUrl=orders, Entries=[{"Id": "a", "MessageBody": "m"}])
    assert {
        refused(producer, "receive_message", QueueUrl=orders),
        refused(producer, "purge_queue", QueueUrl=orders),
        refused(producer, "delete_queue", QueueUrl=orders),
        refused(producer, "send_message", QueueUrl=other, MessageBody="m"),
        refused(producer, "create_queue", QueueName="orders-own"),
        refused(producer, "list_queues"),
    } == {"AccessDenied"}


def test_a_policy_can_give_a_limited_key_more_and_take_it_away(alice: Any, producer: Any) -> None:
    url = alice.create_queue(QueueName="orders-policy")["QueueUrl"]
    arn = alice.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    user = {"AWS": f"arn:aws:iam::{ALICE.account}:user/producer"}
    statements = [
        {"Effect": "Allow", "Principal": user, "Action": "sqs:ReceiveMessage", "Resource": arn},
        {"Effect": "Deny", "Principal": user, "Action": "sqs:SendMessage", "Resource": arn},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    alice.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    alice.send_message(QueueUrl=url, MessageBody="m")
    assert producer.receive_message(QueueUrl=url)["Messages"]
    assert refused(producer, "send_message", QueueUrl=url, MessageBody="m") == "AccessDenied"


def test_without_credentials_an_access_key_of_twelve_digits_names_the_account(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--store", "memory") as server:
        first, second = (client(server.url, aws_access_key_id=key) for key in ("111111111111", "222222222222"))
        assert first.create_queue(QueueName="q")["QueueUrl"] == f"{server.url}/111111111111/q"
        assert "QueueUrls" not in second.list_queues()
        assert client(server.url).create_queue(QueueName="q")["QueueUrl"] == f"{server.url}/000000000000/q"
