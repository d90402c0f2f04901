"""What goes over the wire, by the names of the Amazon SQS API reference (in its own spelling: ``QueueUrl``)."""

import msgspec


class Shape(msgspec.Struct, rename="pascal", omit_defaults=True):
    """Base of all shapes. Members of answers that we do not know are ignored."""


class AttributeValue(Shape):
    data_type: str = ""
    string_value: str | None = None
    binary_value: bytes | None = None


AttributeValues = dict[str, AttributeValue]


# Queues ----------------------------------------------------------------------------------------------


class QueueName(Shape):
    queue_name: str
    queue_owner_aws_account_id: str | None = msgspec.field(default=None, name="QueueOwnerAWSAccountId")


class QueueUrl(Shape):
    queue_url: str = ""


class WhichAttributes(Shape):
    queue_url: str
    attribute_names: tuple[str, ...]


class QueueAttributes(Shape):
    attributes: dict[str, str] | None = None


class NewQueue(Shape):
    queue_name: str
    attributes: dict[str, str]


class RedrivePolicy(msgspec.Struct):
    """The attribute of that name, which is JSON. Some write the number as a string."""

    target: str = msgspec.field(default="", name="deadLetterTargetArn")
    receives_max: int | str | None = msgspec.field(default=None, name="maxReceiveCount")


# Messages --------------------------------------------------------------------------------------------


class SendEntry(Shape):
    id: str
    message_body: str
    delay_seconds: int | None = None
    message_attributes: AttributeValues | None = None
    message_system_attributes: AttributeValues | None = None
    message_group_id: str | None = None
    message_deduplication_id: str | None = None


class SendBatch(Shape):
    queue_url: str
    entries: list[SendEntry]


class Wanted(Shape):
    queue_url: str
    max_number_of_messages: int
    visibility_timeout: int
    wait_time_seconds: int
    attribute_names: tuple[str, ...]
    message_attribute_names: tuple[str, ...]


class Message(Shape):
    message_id: str
    receipt_handle: str
    body: str = ""
    attributes: dict[str, str] = {}
    message_attributes: AttributeValues = {}


class Messages(Shape):
    messages: list[Message] | None = None


class Entry(Shape):
    """Of a batch that settles. What an operation does not know it is not given."""

    id: str
    receipt_handle: str
    visibility_timeout: int | None = None
    reason: str | None = None
    error: str | None = None


class Batch(Shape):
    queue_url: str
    entries: list[Entry]


class Done(Shape):
    id: str
    message_id: str = ""


class Failed(Shape):
    id: str
    code: str = ""
    message: str | None = None
    sender_fault: bool | None = None


class BatchAnswer(Shape):
    successful: list[Done] | None = None
    failed: list[Failed] | None = None


# Ours ------------------------------------------------------------------------------------------------


class Server(Shape):
    name: str = ""
    version: str = ""
    entries_max: int = 10
