"""``encola peek``: look at messages without receiving them. Amazon SQS cannot; an encola server can."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from encola.cli import client as sqs
from encola.cli.output import print_json, print_table, shortened

PAGE = 100
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def peek(
    queue: sqs.QueueName,
    limit: Annotated[int, typer.Option("--max", "-n", min=1, help="At most so many messages.")] = 10,
    newest: Annotated[bool, typer.Option("--newest", help="The newest first.")] = False,
    since: Annotated[
        str | None, typer.Option("--since", help="Only those sent since about then: 90s, 15m, 2h, 3d ago, or a time.")
    ] = None,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """Look at messages in the order in which they were sent; none is hidden, counted or changed."""
    if endpoint == sqs.AWS:
        typer.echo("encola: Amazon SQS has no way to look at messages without receiving them", err=True)
        raise typer.Exit(1)
    asked: dict[str, Any] = {"NewestFirst": True} if newest else {}
    if since is not None:
        asked["SentSince"] = _milliseconds(since)
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        messages = list(peeked(client, sqs.queue_url(client, queue), limit, **asked))
    if as_json:
        print_json(messages)
    elif messages:
        columns = ("message id", "state", "sent", "received", "group", "body")
        print_table(columns, [_row(message) for message in messages])
    else:
        typer.echo("no messages")


def _row(message: dict[str, Any]) -> tuple[Any, ...]:
    sent = datetime.fromtimestamp(message["SentTimestamp"] / 1000, UTC).isoformat(" ", "seconds")[:19]
    return (
        message["MessageId"],
        message["State"],
        sent,
        message["ApproximateReceiveCount"],
        message.get("MessageGroupId"),
        shortened(message["Body"]),
    )


def _milliseconds(since: str) -> int:
    """A moment that was given as a time (its own offset, or the local one) or as so long ago."""
    number, unit = since[:-1], since[-1:]
    try:
        if unit in UNITS and number.isdecimal():
            moment = datetime.now(UTC) - timedelta(**{UNITS[unit]: int(number)})
        else:
            moment = datetime.fromisoformat(since)
        return max(0, round(moment.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise typer.BadParameter("must be like 90s, 15m, 2h or 3d, or a time", param_hint="--since") from None


def peeked(client: Any, url: str, limit: int, **how: Any) -> Iterator[dict[str, Any]]:
    """Up to ``limit`` messages of a queue, page by page; ``how`` has more parameters. Raises botocore's errors."""
    token: str | None = None
    while limit > 0:
        asked: dict[str, Any] = {**how, "QueueUrl": url, "MaxResults": min(PAGE, limit)}
        if token:
            asked["NextToken"] = token
        answer = sqs.call(client, "PeekMessages", asked)
        messages = answer.get("Messages") or []
        yield from messages
        limit -= len(messages)
        token = answer.get("NextToken")
        if not token:
            return
