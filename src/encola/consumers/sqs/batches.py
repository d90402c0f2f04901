"""Batches: what fits into one request, and what the answer says about each entry. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from encola.consumers.sqs.answers import entry_error
from encola.consumers.sqs.shapes import BatchAnswer, SendEntry
from encola.consumers.transport import BATCH_MAX, TransportError

BYTES_MAX = 1_048_576
"""Of all messages of one request, bodies and attributes (Amazon SQS quotas)."""

_UNANSWERED = "the service said nothing about this message"


def size_of(entry: SendEntry) -> int:
    """In bytes, as SQS counts. Raises UnicodeEncodeError."""
    size = _length(entry.message_body)
    if entry.message_attributes:
        for name, value in entry.message_attributes.items():
            size += _length(name) + len(value.data_type)
            size += len(value.binary_value or b"") if value.string_value is None else _length(value.string_value)
    return size


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def portions(sizes: Iterable[int], count_max: int = BATCH_MAX) -> Iterator[slice]:
    """Splits messages of these sizes, in order, so that each slice fits into one request.

    One that is too big by itself gets a request of its own: the service says so better than we could.
    """
    start = end = total = 0
    for size in sizes:
        if end > start and (end - start == count_max or total + size > BYTES_MAX):
            yield slice(start, end)
            start, total = end, 0
        end += 1
        total += size
    if end > start:
        yield slice(start, end)


def answers(count: int, answer: BatchAnswer) -> list[str | TransportError]:
    """By entry, whose ids are the numbers from 0: the id of its message (it may be empty), or why it failed."""
    found: list[str | TransportError | None] = [None] * count
    for done in answer.successful or ():
        if (index := _index(done.id, count)) is not None:
            found[index] = done.message_id
    for failed in answer.failed or ():
        if (index := _index(failed.id, count)) is not None:
            found[index] = entry_error(failed.code, failed.message, failed.sender_fault)
    return [TransportError(_UNANSWERED) if one is None else one for one in found]


def _index(entry_id: str, count: int) -> int | None:
    try:
        index = int(entry_id)
    except ValueError:
        return None
    return index if 0 <= index < count else None


def outcomes(found: Sequence[str | TransportError]) -> list[TransportError | None]:
    """Without the ids."""
    return [one if isinstance(one, TransportError) else None for one in found]
