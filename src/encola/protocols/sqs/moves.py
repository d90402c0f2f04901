"""Message move tasks (dead-letter queue redrive). Source: Amazon SQS API reference, StartMessageMoveTask."""

import base64
import binascii

import msgspec

from encola.broker.broker import MoveTask
from encola.broker.errors import MoveTaskNotFoundError, MoveTaskRunningError, TooManyMoveTasksError
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.desk import Call, Desk
from encola.protocols.sqs.errors import SqsError, invalid_parameter, missing
from encola.protocols.sqs.validate import check_range

RATE_MAX = 500
LISTED_MAX = 10


async def start_message_move_task(
    desk: Desk, call: Call, request: s.StartMessageMoveTaskRequest
) -> s.StartMessageMoveTaskResult:
    source = desk.queue_of_arn(call, request.SourceArn, "SourceArn", "StartMessageMoveTask")
    rate = request.MaxNumberOfMessagesPerSecond
    check_range(rate, 1, RATE_MAX, "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500, if provided.")
    if not desk.broker.sources_of(source.address):
        raise invalid_parameter("Source queue must be configured as a Dead Letter Queue.")
    target = None
    if request.DestinationArn:
        found = desk.queue_of_arn(call, request.DestinationArn, "DestinationArn", "SendMessage")
        if found.ordered is not source.ordered:
            raise invalid_parameter("Source and destination queues must be of the same type.")
        if found.id == source.id:
            raise invalid_parameter("Source queue arn and destination queue arn cannot be the same.")
        target = found.address
    try:
        task = await desk.broker.start_move(source, target, rate)
    except MoveTaskRunningError:
        raise invalid_parameter(
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
        ) from None
    except TooManyMoveTasksError:
        raise SqsError("OverLimit", "Too many active message move tasks in this account.") from None
    return s.StartMessageMoveTaskResult(_handle(call, task))


async def cancel_message_move_task(
    desk: Desk, call: Call, request: s.CancelMessageMoveTaskRequest
) -> s.CancelMessageMoveTaskResult:
    task_id, source_arn = _parse(request.TaskHandle)
    desk.queue_of_arn(call, source_arn, "SourceArn", "CancelMessageMoveTask")
    try:
        task = await desk.broker.cancel_move(task_id)
    except MoveTaskNotFoundError:
        raise SqsError("ResourceNotFoundException", "Task does not exist.") from None
    return s.CancelMessageMoveTaskResult(task.moved)


async def list_message_move_tasks(
    desk: Desk, call: Call, request: s.ListMessageMoveTasksRequest
) -> s.ListMessageMoveTasksResult:
    source = desk.queue_of_arn(call, request.SourceArn, "SourceArn", "ListMessageMoveTasks")
    limit = request.MaxResults
    check_range(limit, 1, LISTED_MAX, "MaxResults", "Must be between 1 and 10, if provided.")
    tasks = desk.broker.moves(source.address)[: limit or 1]
    return s.ListMessageMoveTasksResult([_entry(call, task) for task in tasks])


def _entry(call: Call, task: MoveTask) -> s.ListMessageMoveTasksResultEntry:
    return s.ListMessageMoveTasksResultEntry(
        TaskHandle=_handle(call, task) if task.status == "RUNNING" else None,
        Status=task.status,
        SourceArn=call.arn(task.source),
        DestinationArn=call.arn(task.target) if task.target else None,
        MaxNumberOfMessagesPerSecond=task.rate,
        ApproximateNumberOfMessagesMoved=task.moved,
        ApproximateNumberOfMessagesToMove=task.to_move,
        FailureReason=task.failure or None,
        StartedTimestamp=task.started_at,
    )


class _Handle(msgspec.Struct):
    taskId: str  # noqa: N815 - as AWS spells it
    sourceArn: str  # noqa: N815


def _handle(call: Call, task: MoveTask) -> str:
    return base64.b64encode(msgspec.json.encode(_Handle(task.id, call.arn(task.source)))).decode()


def _parse(handle: str) -> tuple[str, str]:
    if not handle:
        raise missing("TaskHandle")
    try:
        found = msgspec.json.decode(base64.b64decode(handle, validate=True), type=_Handle)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise invalid_parameter("Value for parameter TaskHandle is invalid.") from None
    return found.taskId, found.sourceArn
