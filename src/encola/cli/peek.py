"""``encola peek``: look at messages without receiving them. Amazon SQS cannot; an encola server can."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from encola.cli import client as sqs
from encola.cli.output import print_json, print_table, shortened

PAGE = 100
SECONDS_MAX = 30


def peek(
    queue: sqs.QueueName,
    limit: Annotated[int, typer.Option("--max", "-n", min=1, help="At most so many messages.")] = 10,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """Look at messages in the order in which they were sent; none is hidden, counted or changed."""
    if endpoint == sqs.AWS:
        typer.echo("encola: Amazon SQS has no way to look at messages without receiving them", err=True)
        raise typer.Exit(1)
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        messages = _peek(client, sqs.queue_url(client, queue), limit)
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


def _peek(client: Any, url: str, limit: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    token: str | None = None
    while len(messages) < limit:
        asked: dict[str, Any] = {"QueueUrl": url, "MaxResults": min(PAGE, limit - len(messages))}
        if token:
            asked["NextToken"] = token
        answer = _call(client, asked)
        messages += answer.get("Messages") or []
        token = answer.get("NextToken")
        if not token:
            break
    return messages


def _call(client: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """The operation is not in botocore's model: the request is made here, and signed as any other."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import ClientError
    from botocore.httpsession import URLLib3Session

    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "Encola.PeekMessages"}
    request = AWSRequest("POST", client.meta.endpoint_url, headers, msgspec.json.encode(asked))
    credentials = client._request_signer._credentials
    SigV4Auth(credentials, "sqs", client.meta.region_name).add_auth(request)
    answer = URLLib3Session(timeout=SECONDS_MAX).send(request.prepare())
    try:
        told = msgspec.json.decode(answer.content or b"{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        told = {"message": "This endpoint is no encola server.", "__type": "UnknownOperationException"}
    if answer.status_code != 200:
        by_header = answer.headers.get("x-amzn-query-error", "").partition(";")[0]  # as botocore names it
        code = by_header or str(told.get("__type", "?")).rpartition("#")[2]
        text = told.get("message") or told.get("Message") or f"HTTP status {answer.status_code}"
        raise ClientError({"Error": {"Code": code, "Message": text}}, "PeekMessages")
    return told
