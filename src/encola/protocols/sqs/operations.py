"""All operations, as a table: name, input, what must be in it, and who does it."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from encola.protocols.sqs import extensions, moves, peeking, permissions, queues, receiving, sending, settling, tags
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.desk import Call, Desk
from encola.protocols.sqs.errors import missing

Perform = Callable[[Desk, Call, Any], Awaitable[s.Shape]]


class Operation:
    """``required`` members must be there and not empty. ``creates``: may create its queue where that is enabled."""

    __slots__ = ("creates", "decoder", "input", "name", "perform", "required")

    def __init__(
        self, name: str, shape: type[s.Shape], required: tuple[str, ...], perform: Perform, *, creates: bool = False
    ) -> None:
        self.name = name
        self.input = shape
        self.required = required
        self.perform = perform
        self.creates = creates
        self.decoder = msgspec.json.Decoder(shape)

    def check(self, request: s.Shape) -> None:
        """Raises SqsError (MissingParameter)."""
        for name in self.required:
            value = getattr(request, name)
            if not value and not isinstance(value, int):
                raise missing(name)


_URL = ("QueueUrl",)

OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("AddPermission", s.AddPermissionRequest, ("QueueUrl", "Label", "AWSAccountIds", "Actions"),
                  permissions.add_permission),
        Operation("CancelMessageMoveTask", s.CancelMessageMoveTaskRequest, ("TaskHandle",),
                  moves.cancel_message_move_task),
        Operation("ChangeMessageVisibility", s.ChangeMessageVisibilityRequest,
                  ("QueueUrl", "ReceiptHandle", "VisibilityTimeout"), settling.change_message_visibility),
        Operation("ChangeMessageVisibilityBatch", s.ChangeMessageVisibilityBatchRequest, _URL,
                  settling.change_message_visibility_batch),
        Operation("CreateQueue", s.CreateQueueRequest, ("QueueName",), queues.create_queue),
        Operation("DeleteMessage", s.DeleteMessageRequest, ("QueueUrl", "ReceiptHandle"), settling.delete_message),
        Operation("DeleteMessageBatch", s.DeleteMessageBatchRequest, _URL, settling.delete_message_batch),
        Operation("DeleteQueue", s.QueueRequest, _URL, queues.delete_queue),
        Operation("GetQueueAttributes", s.GetQueueAttributesRequest, _URL, queues.get_queue_attributes),
        Operation("GetQueueUrl", s.GetQueueUrlRequest, ("QueueName",), queues.get_queue_url, creates=True),
        Operation("ListDeadLetterSourceQueues", s.ListDeadLetterSourceQueuesRequest, _URL,
                  queues.list_dead_letter_source_queues),
        Operation("ListMessageMoveTasks", s.ListMessageMoveTasksRequest, ("SourceArn",), moves.list_message_move_tasks),
        Operation("ListQueueTags", s.QueueRequest, _URL, tags.list_queue_tags),
        Operation("ListQueues", s.ListQueuesRequest, (), queues.list_queues),
        Operation("PurgeQueue", s.QueueRequest, _URL, queues.purge_queue),
        Operation("ReceiveMessage", s.ReceiveMessageRequest, _URL, receiving.receive_message, creates=True),
        Operation("RemovePermission", s.RemovePermissionRequest, ("QueueUrl", "Label"), permissions.remove_permission),
        Operation("SendMessage", s.SendMessageRequest, ("QueueUrl", "MessageBody"), sending.send_message, creates=True),
        Operation("SendMessageBatch", s.SendMessageBatchRequest, _URL, sending.send_message_batch, creates=True),
        Operation("SetQueueAttributes", s.SetQueueAttributesRequest, ("QueueUrl", "Attributes"),
                  queues.set_queue_attributes),
        Operation("StartMessageMoveTask", s.StartMessageMoveTaskRequest, ("SourceArn",), moves.start_message_move_task),
        Operation("TagQueue", s.TagQueueRequest, ("QueueUrl", "Tags"), tags.tag_queue),
        Operation("UntagQueue", s.UntagQueueRequest, ("QueueUrl", "TagKeys"), tags.untag_queue),
    )
}  # fmt: skip

PEEK = Operation("PeekMessages", s.PeekMessagesRequest, _URL, peeking.peek_messages)

EXTENSIONS = {
    f"Encola.{operation.name}": operation
    for operation in (
        Operation("DeleteMessageBatch", s.DeleteMessageBatchRequest, _URL, extensions.delete_message_batch),
        Operation("DescribeServer", s.Empty, (), extensions.describe_server),
        Operation("ListPausedQueues", s.ListQueuesRequest, (), extensions.list_paused_queues),
        Operation("PauseQueue", s.QueueRequest, _URL, extensions.pause_queue),
        PEEK,
        Operation("ReceiveMessage", s.ReceiveMessageRequest, _URL, extensions.receive_message, creates=True),
        Operation("RejectMessageBatch", s.RejectMessageBatchRequest, _URL, extensions.reject_message_batch),
        Operation("ReleaseMessageBatch", s.ChangeMessageVisibilityBatchRequest, _URL, extensions.release_message_batch),
        Operation("ResumeQueue", s.QueueRequest, _URL, extensions.resume_queue),
        Operation("SendMessageBatch", s.SendMessageBatchRequest, _URL, extensions.send_message_batch, creates=True),
    )
}
"""Operations of ours; all but one ask for the permission of an operation of SQS."""

TARGETS = {f"AmazonSQS.{name}": operation for name, operation in OPERATIONS.items()} | EXTENSIONS
"""``X-Amz-Target`` of the JSON protocol."""
