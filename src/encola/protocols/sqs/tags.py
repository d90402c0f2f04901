"""Queue tags. Source: Amazon SQS developer guide, "Amazon SQS cost allocation tags"."""

from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.desk import Call, Desk
from encola.protocols.sqs.errors import invalid_parameter
from encola.protocols.sqs.validate import NOT_XML

TAGS_MAX = 50
KEY_LENGTH_MAX = 128
VALUE_LENGTH_MAX = 256
RESERVED_PREFIX = "aws:"


def check_tags(tags: dict[str, str]) -> None:
    """Raises SqsError."""
    if len(tags) > TAGS_MAX:
        raise invalid_parameter(f"Too many tags added for queue. Maximum is {TAGS_MAX}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= KEY_LENGTH_MAX:
            raise invalid_parameter(f"Tag keys must be between 1 and {KEY_LENGTH_MAX} characters in length.")
        if key.lower().startswith(RESERVED_PREFIX):
            raise invalid_parameter(f"Tag keys must not start with the reserved prefix {RESERVED_PREFIX}.")
        if len(value) > VALUE_LENGTH_MAX:
            raise invalid_parameter(f"Tag values must be between 0 and {VALUE_LENGTH_MAX} characters in length.")
        if NOT_XML.search(key) or NOT_XML.search(value):
            raise invalid_parameter("Tag keys and values may only have characters that XML 1.0 allows.")


async def list_queue_tags(desk: Desk, call: Call, request: s.QueueRequest) -> s.ListQueueTagsResult:
    queue = desk.queue(call, request.QueueUrl, "ListQueueTags")
    return s.ListQueueTagsResult(queue.tags or None)


async def tag_queue(desk: Desk, call: Call, request: s.TagQueueRequest) -> s.Empty:
    queue = desk.queue(call, request.QueueUrl, "TagQueue")
    tags = {**queue.tags, **(request.Tags or {})}
    check_tags(tags)
    await desk.broker.update(queue, tags=tags)
    return s.Empty()


async def untag_queue(desk: Desk, call: Call, request: s.UntagQueueRequest) -> s.Empty:
    queue = desk.queue(call, request.QueueUrl, "UntagQueue")
    gone = set(request.TagKeys or ())
    await desk.broker.update(queue, tags={key: value for key, value in queue.tags.items() if key not in gone})
    return s.Empty()
