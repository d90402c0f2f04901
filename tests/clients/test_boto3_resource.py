"""boto3's resource API against a real server: queues and messages as objects."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.clients
NewName = Callable[..., str]


def test_a_queue_object_sends_receives_and_deletes(resource: Any, new_name: NewName) -> None:
    name = new_name()
    made = resource.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "5"})
    queue = resource.get_queue_by_name(QueueName=name)
    assert queue.url == made.url
    queue.load()
    assert queue.attributes["VisibilityTimeout"] == "5"
    sent = queue.send_message(MessageBody="hello", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    (message,) = queue.receive_messages(AttributeNames=["All"], MessageAttributeNames=["All"], WaitTimeSeconds=1)
    assert (message.body, message.message_id) == ("hello", sent["MessageId"])
    assert message.message_attributes == {"a": {"DataType": "String", "StringValue": "b"}}
    message.change_visibility(VisibilityTimeout=0)
    (again,) = queue.receive_messages()
    assert again.message_id == message.message_id
    again.delete()
    queue.reload()
    assert queue.attributes["ApproximateNumberOfMessages"] == "0"
    assert queue.attributes["ApproximateNumberOfMessagesNotVisible"] == "0"
    queue.set_attributes(Attributes={"DelaySeconds": "1"})
    queue.add_permission(Label="l", AWSAccountIds=["444455556666"], Actions=["*"])
    queue.remove_permission(Label="l")
    queue.purge()
    queue.delete()
    with pytest.raises(resource.meta.client.exceptions.QueueDoesNotExist):
        resource.get_queue_by_name(QueueName=name)


def test_batches_through_a_queue_object(resource: Any, new_name: NewName) -> None:
    queue = resource.create_queue(QueueName=new_name())
    sent = queue.send_messages(Entries=[{"Id": str(n), "MessageBody": f"{n}"} for n in range(10)])
    assert len(sent["Successful"]) == 10
    messages = queue.receive_messages(MaxNumberOfMessages=10)
    assert sorted(message.body for message in messages) == [str(n) for n in range(10)]
    entries = [{"Id": str(n), "ReceiptHandle": message.receipt_handle} for n, message in enumerate(messages)]
    hidden = [{**entry, "VisibilityTimeout": 60} for entry in entries]
    assert len(queue.change_message_visibility_batch(Entries=hidden)["Successful"]) == 10
    assert len(queue.delete_messages(Entries=entries)["Successful"]) == 10


def test_collections_page_through_queues_and_dead_letter_sources(resource: Any, new_name: NewName) -> None:
    prefix = new_name("-collection-")
    dead = resource.create_queue(QueueName=f"{prefix}dead")
    rule = f'{{"deadLetterTargetArn": "{dead.attributes["QueueArn"]}", "maxReceiveCount": 3}}'
    sources = {
        resource.create_queue(QueueName=f"{prefix}{n}", Attributes={"RedrivePolicy": rule}).url for n in range(3)
    }
    assert {queue.url for queue in resource.queues.filter(QueueNamePrefix=prefix)} == {*sources, dead.url}
    assert {queue.url for queue in dead.dead_letter_source_queues.page_size(2)} == sources
