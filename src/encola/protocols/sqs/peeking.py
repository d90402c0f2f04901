"""PeekMessages, an operation of ours (target ``Encola.PeekMessages``): look at messages without leasing any."""

from msgspec import UNSET

from encola.engine.lifecycle import state_of
from encola.engine.message import MessageId, Peek
from encola.engine.queue import Address
from encola.protocols.sqs import shapes as s
from encola.protocols.sqs.desk import Call, Desk
from encola.protocols.sqs.errors import invalid_value
from encola.protocols.sqs.receiving import attributes_of
from encola.protocols.sqs.validate import check_range

PEEKED_MAX = 100
PEEKED_DEFAULT = 10
TIME_MAX = 2**53


async def peek_messages(desk: Desk, call: Call, request: s.PeekMessagesRequest) -> s.PeekMessagesResult:
    """Messages in the order in which they were accepted, or the newest first; ``NextToken`` goes on behind the last.

    With ``SentSince`` they begin (or end) with those that were sent at that time, or near it.
    """
    queue = desk.queue(call, request.QueueUrl, "PeekMessages")
    limit = request.MaxResults
    check_range(limit, 1, PEEKED_MAX, "MaxResults", "Must be between 1 and 100, if provided.")
    after = None
    if request.NextToken:
        if not (request.NextToken.isascii() and request.NextToken.isdigit() and len(request.NextToken) <= 18):
            raise invalid_value(request.NextToken[:100], "NextToken", "Invalid or expired next token.")
        after = MessageId(int(request.NextToken))
    limit = limit or PEEKED_DEFAULT
    newest_first = bool(request.NewestFirst)
    check_range(request.SentSince, 0, TIME_MAX, "SentSince", "Must be a time in milliseconds since 1970.")
    if request.SentSince is not None and (newest_first or after is None):
        since = await desk.broker.browse_from(queue, request.SentSince)
        after = after if newest_first else since
    else:
        since = MessageId(0)
    browsed = await desk.broker.browse(queue, after, limit, newest_first=newest_first)
    found = [peek for peek in browsed if peek.state.id > since]
    now = desk.broker.clock.now()
    token = str(found[-1].state.id) if len(found) == limit else UNSET
    return s.PeekMessagesResult([_peeked(call, peek, now) for peek in found], token)


def _peeked(call: Call, peek: Peek, now: int) -> s.PeekedMessage:
    envelope = peek.envelope
    source = envelope.dead_letter_source
    return s.PeekedMessage(
        MessageId=envelope.message_id,
        Body=peek.body.decode("utf-8", "replace"),
        State=state_of(peek.state, now).value,
        ReadyTimestamp=peek.state.ready_at,
        SentTimestamp=envelope.sent_at or peek.state.sent_at,
        ApproximateReceiveCount=peek.state.receives,
        MessageGroupId=envelope.group or None,
        DeadLetterQueueSourceArn=call.arn(Address.parse(source)) if source else None,
        MessageAttributes=attributes_of(envelope.headers) or None,
    )
