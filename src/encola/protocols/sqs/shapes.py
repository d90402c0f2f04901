"""The inputs and outputs of all operations, with the names of the Amazon SQS API reference.

One struct serves both wire protocols. A field that did not come has its default; which ones must come is said in
``operations``. ``None`` is left out of answers.
"""

import msgspec


class Shape(msgspec.Struct, omit_defaults=True):
    """Base of all shapes. Unknown members of a request are ignored, as AWS does."""


class Empty(Shape):
    """The answer that says nothing."""


class MessageAttributeValue(Shape):
    DataType: str | None = None
    StringValue: str | None = None
    BinaryValue: bytes | None = None
    StringListValues: list[str] | None = None
    BinaryListValues: list[bytes] | None = None


AttributeValues = dict[str, MessageAttributeValue]


class BatchResultErrorEntry(Shape):
    Id: str
    SenderFault: bool | None
    Code: str
    Message: str | None = None


# Queues ---------------------------------------------------------------------------------------------


class CreateQueueRequest(Shape):
    QueueName: str = ""
    Attributes: dict[str, str] | None = None
    tags: dict[str, str] | None = None


class CreateQueueResult(Shape):
    QueueUrl: str | None = None


class QueueRequest(Shape):
    """DeleteQueue, PurgeQueue, ListQueueTags."""

    QueueUrl: str = ""


class GetQueueUrlRequest(Shape):
    QueueName: str = ""
    QueueOwnerAWSAccountId: str | None = None


class GetQueueUrlResult(Shape):
    QueueUrl: str | None = None


class ListQueuesRequest(Shape):
    QueueNamePrefix: str | None = None
    NextToken: str | None = None
    MaxResults: int | None = None


class ListQueuesResult(Shape):
    QueueUrls: list[str] | None = None
    NextToken: str | None = None


class GetQueueAttributesRequest(Shape):
    QueueUrl: str = ""
    AttributeNames: list[str] | None = None


class GetQueueAttributesResult(Shape):
    Attributes: dict[str, str] | None = None


class SetQueueAttributesRequest(Shape):
    QueueUrl: str = ""
    Attributes: dict[str, str] | None = None


class ListDeadLetterSourceQueuesRequest(Shape):
    QueueUrl: str = ""
    NextToken: str | None = None
    MaxResults: int | None = None


class ListDeadLetterSourceQueuesResult(Shape, omit_defaults=False):
    """``queueUrls`` is there even when there are none."""

    queueUrls: list[str]
    NextToken: str | msgspec.UnsetType = msgspec.UNSET


# Tags and permissions -------------------------------------------------------------------------------


class ListQueueTagsResult(Shape):
    Tags: dict[str, str] | None = None


class TagQueueRequest(Shape):
    QueueUrl: str = ""
    Tags: dict[str, str] | None = None


class UntagQueueRequest(Shape):
    QueueUrl: str = ""
    TagKeys: list[str] | None = None


class AddPermissionRequest(Shape):
    QueueUrl: str = ""
    Label: str = ""
    AWSAccountIds: list[str] | None = None
    Actions: list[str] | None = None


class RemovePermissionRequest(Shape):
    QueueUrl: str = ""
    Label: str = ""


# Messages -------------------------------------------------------------------------------------------


class SendMessageRequest(Shape):
    QueueUrl: str = ""
    MessageBody: str = ""
    DelaySeconds: int | None = None
    MessageAttributes: AttributeValues | None = None
    MessageSystemAttributes: AttributeValues | None = None
    MessageDeduplicationId: str | None = None
    MessageGroupId: str | None = None


class SendMessageResult(Shape):
    MD5OfMessageBody: str | None = None
    MD5OfMessageAttributes: str | None = None
    MD5OfMessageSystemAttributes: str | None = None
    MessageId: str | None = None
    SequenceNumber: str | None = None


class SendMessageBatchRequestEntry(Shape):
    Id: str = ""
    MessageBody: str = ""
    DelaySeconds: int | None = None
    MessageAttributes: AttributeValues | None = None
    MessageSystemAttributes: AttributeValues | None = None
    MessageDeduplicationId: str | None = None
    MessageGroupId: str | None = None


class SendMessageBatchRequest(Shape):
    QueueUrl: str = ""
    Entries: list[SendMessageBatchRequestEntry] | None = None


class SendMessageBatchResultEntry(Shape):
    Id: str
    MessageId: str
    MD5OfMessageBody: str
    MD5OfMessageAttributes: str | None = None
    MD5OfMessageSystemAttributes: str | None = None
    SequenceNumber: str | None = None


class SendMessageBatchResult(Shape, omit_defaults=False):
    """boto3 and others expect ``Successful`` and leave out an empty ``Failed``."""

    Successful: list[SendMessageBatchResultEntry]
    Failed: list[BatchResultErrorEntry] | msgspec.UnsetType = msgspec.UNSET


class ReceiveMessageRequest(Shape):
    QueueUrl: str = ""
    AttributeNames: list[str] | None = None
    MessageSystemAttributeNames: list[str] | None = None
    MessageAttributeNames: list[str] | None = None
    MaxNumberOfMessages: int | None = None
    VisibilityTimeout: int | None = None
    WaitTimeSeconds: int | None = None
    ReceiveRequestAttemptId: str | None = None


class Message(Shape):
    MessageId: str | None = None
    ReceiptHandle: str | None = None
    MD5OfBody: str | None = None
    Body: str | None = None
    Attributes: dict[str, str] | None = None
    MD5OfMessageAttributes: str | None = None
    MessageAttributes: AttributeValues | None = None


class ReceiveMessageResult(Shape):
    Messages: list[Message] | None = None


class DeleteMessageRequest(Shape):
    QueueUrl: str = ""
    ReceiptHandle: str = ""


class DeleteMessageBatchRequestEntry(Shape):
    Id: str = ""
    ReceiptHandle: str = ""


class DeleteMessageBatchRequest(Shape):
    QueueUrl: str = ""
    Entries: list[DeleteMessageBatchRequestEntry] | None = None


class BatchResultEntry(Shape):
    """DeleteMessageBatchResultEntry, ChangeMessageVisibilityBatchResultEntry."""

    Id: str


class BatchResult(Shape, omit_defaults=False):
    """DeleteMessageBatchResult, ChangeMessageVisibilityBatchResult."""

    Successful: list[BatchResultEntry]
    Failed: list[BatchResultErrorEntry] | msgspec.UnsetType = msgspec.UNSET


class ChangeMessageVisibilityRequest(Shape):
    QueueUrl: str = ""
    ReceiptHandle: str = ""
    VisibilityTimeout: int | None = None


class ChangeMessageVisibilityBatchRequestEntry(Shape):
    Id: str = ""
    ReceiptHandle: str = ""
    VisibilityTimeout: int | None = None


class ChangeMessageVisibilityBatchRequest(Shape):
    QueueUrl: str = ""
    Entries: list[ChangeMessageVisibilityBatchRequestEntry] | None = None


# Move tasks -----------------------------------------------------------------------------------------


class StartMessageMoveTaskRequest(Shape):
    SourceArn: str = ""
    DestinationArn: str | None = None
    MaxNumberOfMessagesPerSecond: int | None = None


class StartMessageMoveTaskResult(Shape):
    TaskHandle: str | None = None


class CancelMessageMoveTaskRequest(Shape):
    TaskHandle: str = ""


class CancelMessageMoveTaskResult(Shape, omit_defaults=False):
    ApproximateNumberOfMessagesMoved: int


class ListMessageMoveTasksRequest(Shape):
    SourceArn: str = ""
    MaxResults: int | None = None


class ListMessageMoveTasksResultEntry(Shape):
    TaskHandle: str | None = None
    Status: str | None = None
    SourceArn: str | None = None
    DestinationArn: str | None = None
    MaxNumberOfMessagesPerSecond: int | None = None
    ApproximateNumberOfMessagesMoved: int | None = None
    ApproximateNumberOfMessagesToMove: int | None = None
    FailureReason: str | None = None
    StartedTimestamp: int | None = None


class ListMessageMoveTasksResult(Shape, omit_defaults=False):
    Results: list[ListMessageMoveTasksResultEntry]


# Our extensions -------------------------------------------------------------------------------------


class DescribeServerResult(Shape, omit_defaults=False):
    """``Now`` is the queues' clock, in milliseconds since 1970."""

    Name: str
    Version: str
    Now: int
    DelaySecondsMax: int
    EntriesMax: int


class RejectMessageBatchRequestEntry(Shape):
    Id: str = ""
    ReceiptHandle: str = ""
    Reason: str | None = None
    Error: str | None = None


class RejectMessageBatchRequest(Shape):
    QueueUrl: str = ""
    Entries: list[RejectMessageBatchRequestEntry] | None = None


class PeekMessagesRequest(Shape):
    """``SentSince`` is in milliseconds since 1970."""

    QueueUrl: str = ""
    MaxResults: int | None = None
    NextToken: str | None = None
    NewestFirst: bool | None = None
    SentSince: int | None = None


class PeekedMessage(Shape):
    MessageId: str
    Body: str
    State: str
    ReadyTimestamp: int
    SentTimestamp: int
    ApproximateReceiveCount: int
    MessageGroupId: str | None = None
    DeadLetterQueueSourceArn: str | None = None
    MessageAttributes: AttributeValues | None = None


class PeekMessagesResult(Shape, omit_defaults=False):
    Messages: list[PeekedMessage]
    NextToken: str | msgspec.UnsetType = msgspec.UNSET
