"""``encola send``: put messages on a queue."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from encola.cli import client as sqs
from encola.cli.output import print_json

BATCH_MESSAGES = 10
BATCH_BYTES = 1_048_576


def send(
    queue: sqs.QueueName,
    body: Annotated[str | None, typer.Argument(help="The message; without it, or '-', standard input.")] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Each line of the standard input is a message.")] = False,
    group: Annotated[str | None, typer.Option("--group", "-g", help="MessageGroupId.")] = None,
    deduplication_id: Annotated[str | None, typer.Option("--deduplication-id", help="Of a single message.")] = None,
    delay: Annotated[int | None, typer.Option("--delay", help="Seconds until it can be received.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", "-a", help="NAME=TEXT, as often as needed.")
    ] = None,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """Send a message, or one a line of the standard input."""
    if lines and (body is not None or deduplication_id is not None):
        raise typer.BadParameter("--lines takes neither a message nor --deduplication-id")
    common: dict[str, Any] = {}
    if group is not None:
        common["MessageGroupId"] = group
    if delay is not None:
        common["DelaySeconds"] = delay
    if attribute:
        common["MessageAttributes"] = _attributes(attribute)
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        url = sqs.queue_url(client, queue)
        if lines:
            _send_lines(client, url, common, as_json=as_json)
            return
        if deduplication_id is not None:
            common["MessageDeduplicationId"] = deduplication_id
        text = sys.stdin.read() if body is None or body == "-" else body
        text.encode()  # an argument may hold what is no text
        answer = client.send_message(QueueUrl=url, MessageBody=text, **common)
    answer.pop("ResponseMetadata")
    if as_json:
        print_json(answer)
    else:
        typer.echo(answer["MessageId"])


def _attributes(texts: list[str]) -> dict[str, dict[str, str]]:
    attributes = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter("must be NAME=TEXT", param_hint="--attribute")
        attributes[name] = {"DataType": "String", "StringValue": value}
    return attributes


def _send_lines(client: Any, url: str, common: dict[str, Any], *, as_json: bool) -> None:
    sent, failed = 0, []
    for number, bodies in enumerate(_batches()):
        entries = [{"Id": str(index), "MessageBody": body, **common} for index, body in enumerate(bodies)]
        answer = client.send_message_batch(QueueUrl=url, Entries=entries)
        sent += len(answer.get("Successful", ()))
        failed += [
            {"line_of_batch": int(one["Id"]), "batch": number, "code": one["Code"], "message": one.get("Message", "")}
            for one in answer.get("Failed", ())
        ]
    if as_json:
        print_json({"sent": sent, "failed": failed})
    else:
        typer.echo(f"{sent} sent, {len(failed)} failed")
        for one in failed[:10]:
            typer.echo(f"encola: {one['message']} ({one['code']})", err=True)
    if failed:
        raise typer.Exit(1)


def _batches() -> Iterator[list[str]]:
    """Lines that are not empty, in batches that SQS takes."""
    batch: list[str] = []
    held = 0
    for line in sys.stdin:
        body = line.rstrip("\r\n")
        if not body:
            continue
        size = len(body.encode())
        if batch and (len(batch) == BATCH_MESSAGES or held + size > BATCH_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(body)
        held += size
    if batch:
        yield batch
