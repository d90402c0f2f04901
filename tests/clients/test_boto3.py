"""boto3's client API against a real server: every operation, as an application calls it."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ..process import ACCOUNT, KEY, SECRET, ServerProcess, client

pytestmark = pytest.mark.clients
NewName = Callable[..., str]


def arn(sqs: Any, url: str) -> str:
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def receive(sqs: Any, url: str, limit: int = 10, **more: Any) -> list[dict[str, Any]]:
    return list(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=limit, **more).get("Messages", []))


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]


# Messages -------------------------------------------------------------------------------------------


def test_a_message_is_sent_received_and_deleted(sqs: Any, queue: str) -> None:
    sent = sqs.send_message(QueueUrl=queue, MessageBody="hello ☃")
    (message,) = receive(sqs, queue, AttributeNames=["All"])
    assert message["Body"] == "hello ☃"
    assert message["MessageId"] == sent["MessageId"]
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == hashlib.md5("hello ☃".encode()).hexdigest()
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert abs(int(message["Attributes"]["SentTimestamp"]) / 1000 - time.time()) < 60
    assert int(message["Attributes"]["ApproximateFirstReceiveTimestamp"]) >= int(message["Attributes"]["SentTimestamp"])

    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    assert left == dict.fromkeys(names, "0")


def test_attributes_of_all_types_come_back_and_can_be_chosen(sqs: Any, queue: str) -> None:
    attributes = {
        "text": {"DataType": "String", "StringValue": "ünï"},
        "number": {"DataType": "Number.int", "StringValue": "-12.50"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "trace.id": {"DataType": "String", "StringValue": "t"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    sent = sqs.send_message(
        QueueUrl=queue, MessageBody="m", MessageAttributes=attributes, MessageSystemAttributes=trace
    )
    assert {"MD5OfMessageAttributes", "MD5OfMessageSystemAttributes"} <= sent.keys()

    (message,) = receive(
        sqs, queue, VisibilityTimeout=0, MessageAttributeNames=["All"], AttributeNames=["AWSTraceHeader"]
    )
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["Attributes"] == {"AWSTraceHeader": trace["AWSTraceHeader"]["StringValue"]}

    (message,) = receive(sqs, queue, VisibilityTimeout=0, MessageAttributeNames=["trace.*", "number"])
    assert message["MessageAttributes"].keys() == {"trace.id", "number"}
    (message,) = receive(sqs, queue)
    assert "MessageAttributes" not in message
    assert "Attributes" not in message


def test_batches_tell_what_succeeded_and_what_failed(sqs: Any, queue: str) -> None:
    entries: list[dict[str, Any]] = [{"Id": f"m{n}", "MessageBody": f"body {n}"} for n in range(9)]
    entries.append({"Id": "bad", "MessageBody": "x", "DelaySeconds": 901})
    sent = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert [one["Id"] for one in sent["Successful"]] == [f"m{n}" for n in range(9)]
    assert [(one["Id"], one["SenderFault"]) for one in sent["Failed"]] == [("bad", True)]

    messages = receive(sqs, queue)
    assert sorted(bodies(messages)) == [f"body {n}" for n in range(9)]
    changed = sqs.change_message_visibility_batch(
        QueueUrl=queue,
        Entries=[
            {"Id": str(n), "ReceiptHandle": one["ReceiptHandle"], "VisibilityTimeout": 0 if n < 2 else 60}
            for n, one in enumerate(messages)
        ],
    )
    assert len(changed["Successful"]) == 9
    again = receive(sqs, queue)
    assert sorted(bodies(again)) == sorted(bodies(messages[:2]))
    handles = [*(one["ReceiptHandle"] for one in messages[2:]), *(one["ReceiptHandle"] for one in again)]
    deleted = sqs.delete_message_batch(
        QueueUrl=queue,
        Entries=[
            *({"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate(handles)),
            {"Id": "x", "ReceiptHandle": "?"},
        ],
    )
    assert len(deleted["Successful"]) == 9
    assert [(one["Id"], one["Code"]) for one in deleted["Failed"]] == [("x", "ReceiptHandleIsInvalid")]


def test_a_released_message_comes_back_and_counts(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="again")
    (first,) = receive(sqs, queue)
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    (second,) = receive(sqs, queue, AttributeNames=["ApproximateReceiveCount"])
    assert second["Attributes"] == {"ApproximateReceiveCount": "2"}
    assert second["ReceiptHandle"] != first["ReceiptHandle"]


def test_a_long_poll_returns_with_the_message_that_arrives(sqs: Any, queue: str, server: ServerProcess) -> None:
    found: list[list[dict[str, Any]]] = []
    begun = time.monotonic()
    poll = threading.Thread(target=lambda: found.append(receive(client(server.url), queue, WaitTimeSeconds=20)))
    poll.start()
    assert receive(sqs, queue, WaitTimeSeconds=1) == []  # nobody has sent: empty, and after its second only
    assert time.monotonic() - begun > 0.9
    sqs.send_message(QueueUrl=queue, MessageBody="wake up")
    poll.join(15)
    assert [bodies(messages) for messages in found] == [["wake up"]]


def test_a_delayed_message_comes_when_it_is_due(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="later", DelaySeconds=1)
    assert receive(sqs, queue) == []
    counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessagesDelayed"])
    assert counts["Attributes"] == {"ApproximateNumberOfMessagesDelayed": "1"}
    assert bodies(receive(sqs, queue, WaitTimeSeconds=5)) == ["later"]


def test_a_mebibyte_is_taken_and_one_byte_more_is_not(sqs: Any, queue: str) -> None:
    body = "☃" * (1_048_575 // 3) + "x"
    sqs.send_message(QueueUrl=queue, MessageBody=body)
    assert bodies(receive(sqs, queue)) == [body]
    with pytest.raises(sqs.exceptions.ClientError, match="shorter than 1048576 bytes") as caught:
        sqs.send_message(QueueUrl=queue, MessageBody=body + "x")
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"


# FIFO, dead letters, moves --------------------------------------------------------------------------


def test_fifo_keeps_order_in_a_group_and_takes_no_message_twice(sqs: Any, fifo: str) -> None:
    sent = [
        sqs.send_message(QueueUrl=fifo, MessageBody=f"{group}{n}", MessageGroupId=group)
        for n in range(3)
        for group in "ab"
    ]
    numbers = [int(one["SequenceNumber"]) for one in sent]
    assert numbers == sorted(set(numbers))
    again = sqs.send_message(QueueUrl=fifo, MessageBody="a0", MessageGroupId="a")
    assert (again["MessageId"], again["SequenceNumber"]) == (sent[0]["MessageId"], sent[0]["SequenceNumber"])

    (head,) = receive(sqs, fifo, 1, AttributeNames=["All"])
    assert head["Body"] == "a0"
    assert head["Attributes"]["MessageGroupId"] == "a"
    assert head["Attributes"]["SequenceNumber"] == sent[0]["SequenceNumber"]
    assert head["Attributes"]["MessageDeduplicationId"] == hashlib.sha256(b"a0").hexdigest()
    others = receive(sqs, fifo)
    assert bodies(others) == ["b0", "b1", "b2"]  # group a is locked
    sqs.delete_message(QueueUrl=fifo, ReceiptHandle=head["ReceiptHandle"])
    assert bodies(receive(sqs, fifo)) == ["a1", "a2"]


def test_a_repeated_receive_attempt_gets_the_same_messages(sqs: Any, fifo: str) -> None:
    sqs.send_message(QueueUrl=fifo, MessageBody="m", MessageGroupId="g")
    (first,) = receive(sqs, fifo, ReceiveRequestAttemptId="try-1")
    (second,) = receive(sqs, fifo, ReceiveRequestAttemptId="try-1")
    assert second["MessageId"] == first["MessageId"]
    assert receive(sqs, fifo, ReceiveRequestAttemptId="try-2") == []


def test_poison_goes_to_the_dead_letter_queue_and_back_by_a_move_task(sqs: Any, new_name: NewName) -> None:
    dead = sqs.create_queue(QueueName=new_name("-dead"))["QueueUrl"]
    rule = json.dumps({"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": 2})
    work = sqs.create_queue(QueueName=new_name(), Attributes={"RedrivePolicy": rule})["QueueUrl"]
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [work]
    sent = sqs.send_message(QueueUrl=work, MessageBody="poison")
    for _ in range(2):
        assert bodies(receive(sqs, work, VisibilityTimeout=0)) == ["poison"]
    assert receive(sqs, work) == []
    (letter,) = receive(sqs, dead, VisibilityTimeout=0, AttributeNames=["All"])
    assert letter["MessageId"] == sent["MessageId"]
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == arn(sqs, work)

    task = sqs.start_message_move_task(SourceArn=arn(sqs, dead))
    assert task["TaskHandle"]
    (moved,) = receive(sqs, work, WaitTimeSeconds=10)
    assert moved["Body"] == "poison"
    deadline = time.monotonic() + 10
    while (last := sqs.list_message_move_tasks(SourceArn=arn(sqs, dead))["Results"][0])["Status"] == "RUNNING":
        assert time.monotonic() < deadline
    assert (last["Status"], last["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 1)


def test_a_slow_move_task_can_be_cancelled(sqs: Any, new_name: NewName) -> None:
    dead = sqs.create_queue(QueueName=new_name("-dead"))["QueueUrl"]
    rule = json.dumps({"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": 1})
    work = sqs.create_queue(QueueName=new_name(), Attributes={"RedrivePolicy": rule})["QueueUrl"]
    for _ in range(3):
        entries = [{"Id": str(n), "MessageBody": "m"} for n in range(10)]
        sqs.send_message_batch(QueueUrl=dead, Entries=entries)
    task = sqs.start_message_move_task(
        SourceArn=arn(sqs, dead), DestinationArn=arn(sqs, work), MaxNumberOfMessagesPerSecond=1
    )
    with pytest.raises(sqs.exceptions.ClientError, match="already a task running"):
        sqs.start_message_move_task(SourceArn=arn(sqs, dead))
    cancelled = sqs.cancel_message_move_task(TaskHandle=task["TaskHandle"])
    assert cancelled["ApproximateNumberOfMessagesMoved"] < 30
    with pytest.raises(sqs.exceptions.ResourceNotFoundException):
        sqs.cancel_message_move_task(TaskHandle=base64.b64encode(b'{"taskId":"x","sourceArn":"y"}').decode())


# Queues ---------------------------------------------------------------------------------------------


def test_a_queue_has_attributes_tags_and_an_end(sqs: Any, new_name: NewName) -> None:
    name = new_name()
    url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7"}, tags={"team": "a"})["QueueUrl"]
    assert sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7"})["QueueUrl"] == url
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "3", "MaximumMessageSize": "2048"})
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (found["VisibilityTimeout"], found["DelaySeconds"], found["MaximumMessageSize"]) == ("7", "3", "2048")
    assert "FifoQueue" not in found

    sqs.tag_queue(QueueUrl=url, Tags={"stage": "test", "gone": ""})
    sqs.untag_queue(QueueUrl=url, TagKeys=["gone"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a", "stage": "test"}

    sqs.delete_queue(QueueUrl=url)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=name)
    with pytest.raises(sqs.exceptions.QueueDeletedRecently):
        sqs.create_queue(QueueName=name)


def test_queues_are_listed_by_prefix_and_page_by_page(sqs: Any, new_name: NewName) -> None:
    prefix = new_name("-list-")
    urls = sorted(sqs.create_queue(QueueName=f"{prefix}{n}")["QueueUrl"] for n in range(7))
    assert sqs.list_queues(QueueNamePrefix=prefix)["QueueUrls"] == urls
    pages = list(sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 3}))
    assert [len(page["QueueUrls"]) for page in pages] == [3, 3, 1]
    assert [url for page in pages for url in page["QueueUrls"]] == urls
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix=f"{prefix}none")


def test_dead_letter_sources_are_listed_page_by_page(sqs: Any, new_name: NewName) -> None:
    dead = sqs.create_queue(QueueName=new_name("-dead"))["QueueUrl"]
    rule = json.dumps({"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": "5"})
    urls = {sqs.create_queue(QueueName=new_name(), Attributes={"RedrivePolicy": rule})["QueueUrl"] for _ in range(5)}
    paginator = sqs.get_paginator("list_dead_letter_source_queues")
    pages = list(paginator.paginate(QueueUrl=dead, PaginationConfig={"PageSize": 2}))
    assert [len(page["queueUrls"]) for page in pages] == [2, 2, 1]
    assert {url for page in pages for url in page["queueUrls"]} == urls


def test_purge_empties_a_queue_once_a_minute(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="seen")
    receive(sqs, queue)
    sqs.send_message(QueueUrl=queue, MessageBody="unseen")
    sqs.purge_queue(QueueUrl=queue)
    assert receive(sqs, queue) == []
    with pytest.raises(sqs.exceptions.PurgeQueueInProgress, match="every 60 seconds"):
        sqs.purge_queue(QueueUrl=queue)


def test_permissions_are_added_and_removed_as_policy_statements(sqs: Any, queue: str) -> None:
    sqs.add_permission(QueueUrl=queue, Label="producers", AWSAccountIds=["444455556666"], Actions=["SendMessage"])
    policy = json.loads(sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])["Attributes"]["Policy"])
    (statement,) = policy["Statement"]
    assert (statement["Sid"], statement["Action"]) == ("producers", "SQS:SendMessage")
    sqs.remove_permission(QueueUrl=queue, Label="producers")
    left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])
    assert not json.loads(left.get("Attributes", {}).get("Policy", "{}")).get("Statement")


# Errors and access ----------------------------------------------------------------------------------


def test_errors_are_the_classes_that_applications_catch(sqs: Any, queue: str, fifo: str) -> None:
    gone = f"{queue}-gone"
    errors = sqs.exceptions
    with pytest.raises(errors.QueueDoesNotExist) as caught:
        sqs.send_message(QueueUrl=gone, MessageBody="m")
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(errors.QueueNameExists):
        sqs.create_queue(QueueName=queue.rpartition("/")[2], Attributes={"DelaySeconds": "1"})
    with pytest.raises(errors.ReceiptHandleIsInvalid):
        sqs.delete_message(QueueUrl=queue, ReceiptHandle="nonsense")
    with pytest.raises(errors.InvalidMessageContents):
        sqs.send_message(QueueUrl=queue, MessageBody="\x01")
    with pytest.raises(errors.InvalidAttributeName):
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Nonsense": "1"})
    with pytest.raises(errors.ClientError) as caught:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"DelaySeconds": "-1"})
    assert caught.value.response["Error"]["Code"] == "InvalidAttributeValue"  # older models have no class for it
    with pytest.raises(errors.EmptyBatchRequest):
        sqs.send_message_batch(QueueUrl=queue, Entries=[])
    same = [{"Id": "a", "MessageBody": "m"}] * 2
    with pytest.raises(errors.BatchEntryIdsNotDistinct):
        sqs.send_message_batch(QueueUrl=queue, Entries=same)
    with pytest.raises(errors.TooManyEntriesInBatchRequest):
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": "m"} for n in range(11)])
    with pytest.raises(errors.InvalidBatchEntryId):
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "a b", "MessageBody": "m"}])
    large = [{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)]
    with pytest.raises(errors.BatchRequestTooLong):
        sqs.send_message_batch(QueueUrl=queue, Entries=large)
    with pytest.raises(errors.ResourceNotFoundException):
        sqs.start_message_move_task(SourceArn="arn:aws:sqs:us-east-1:000000000000:nothing")
    sqs.send_message(QueueUrl=queue, MessageBody="m")
    (message,) = receive(sqs, queue)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    with pytest.raises(errors.ClientError, match="not available for visibility timeout change") as caught:
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=1)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"
    with pytest.raises(errors.ClientError, match="MessageGroupId") as caught:
        sqs.send_message(QueueUrl=fifo, MessageBody="m")
    assert caught.value.response["Error"]["Code"] == "MissingParameter"


def test_the_queue_may_be_named_by_its_bare_name_or_another_hosts_url(sqs: Any, queue: str) -> None:
    path = queue.split("/", 3)[3]
    for spelling in (queue.rpartition("/")[2], f"https://sqs.us-east-1.amazonaws.com/{path}"):
        sqs.send_message(QueueUrl=spelling, MessageBody=spelling)
    assert len(receive(sqs, queue)) == 2


def presigned(server: ServerProcess, parameters: dict[str, str], *, seconds: int = 60) -> str:
    """A URL for a GET, as tools make them that hand a single call on to somebody without keys."""
    request = AWSRequest("GET", f"{server.url}/", params={**parameters, "Version": "2012-11-05"})
    SigV4QueryAuth(Credentials(KEY, SECRET), "sqs", "us-east-1", expires=seconds).add_auth(request)
    return str(request.prepare().url)


def test_a_presigned_url_does_what_it_says(sqs: Any, queue: str, server: ServerProcess) -> None:
    url = presigned(server, {"Action": "SendMessage", "QueueUrl": queue, "MessageBody": "by & by=url"})
    with urlopen(url) as answer:
        assert b"<SendMessageResult>" in answer.read()
    assert bodies(receive(sqs, queue)) == ["by & by=url"]


def test_a_presigned_url_cannot_be_changed_and_ends(keyed_server: ServerProcess) -> None:
    url = presigned(keyed_server, {"Action": "ListQueues", "QueueNamePrefix": "a"})
    for changed in (url.replace("QueueNamePrefix=a", "QueueNamePrefix=b"), url.replace("Expires=60", "Expires=600")):
        with pytest.raises(HTTPError) as caught:
            urlopen(changed)
        assert caught.value.code == 403
        assert b"<Code>SignatureDoesNotMatch</Code>" in caught.value.read()
    url = presigned(keyed_server, {"Action": "ListQueues"}, seconds=1)
    assert urlopen(url).status == 200
    time.sleep(2.1)  # the end of a URL is told in whole seconds
    with pytest.raises(HTTPError) as caught:
        urlopen(url)
    assert caught.value.code == 403


def test_wrong_keys_are_refused(keyed_server: ServerProcess) -> None:
    for options, code in (
        ({"aws_access_key_id": "AKIDNOBODYKNOWS"}, "InvalidClientTokenId"),
        ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
    ):
        stranger = client(keyed_server.url, **options)
        with pytest.raises(stranger.exceptions.ClientError) as caught:
            stranger.list_queues()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert caught.value.response["Error"]["Code"] == code


def test_queues_belong_to_the_account_of_the_key(keyed_server: ServerProcess, new_name: NewName) -> None:
    sqs = client(keyed_server.url)
    assert sqs.create_queue(QueueName=new_name())["QueueUrl"].split("/")[3] == ACCOUNT
