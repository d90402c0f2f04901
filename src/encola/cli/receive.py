"""``encola receive``: take messages from a queue."""

from typing import Annotated, Any

import typer

from encola.cli import client as sqs
from encola.cli.output import print_json, print_table, shortened

RECEIVED_MAX = 10


def receive(
    queue: sqs.QueueName,
    limit: Annotated[int, typer.Option("--max", "-n", min=1, help="At most so many messages.")] = 1,
    wait: Annotated[int, typer.Option("--wait", "-w", min=0, max=20, help="Seconds to wait for the first.")] = 0,
    visibility: Annotated[int | None, typer.Option("--visibility", help="Seconds for which they are hidden.")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete them once they are printed.")] = False,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """Receive messages. They come back after their visibility timeout, unless --delete is given."""
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        url = sqs.queue_url(client, queue)
        messages = _receive(client, url, limit, wait, visibility)
        if as_json:
            print_json(messages)
        elif messages:
            print_table(("message id", "received", "group", "body"), [_row(one) for one in messages])
        else:
            typer.echo("no messages")
        if delete:
            _delete(client, url, messages)


def _receive(client: Any, url: str, limit: int, wait: int, visibility: int | None) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    hidden = {} if visibility is None else {"VisibilityTimeout": visibility}
    while len(messages) < limit:
        answer = client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(RECEIVED_MAX, limit - len(messages)),
            WaitTimeSeconds=0 if messages else wait,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
            **hidden,
        )
        if not answer.get("Messages"):
            break
        messages += answer["Messages"]
    return messages


def _row(message: dict[str, Any]) -> tuple[Any, ...]:
    attributes = message.get("Attributes", {})
    received = int(attributes.get("ApproximateReceiveCount", 0))
    return message["MessageId"], received, attributes.get("MessageGroupId"), shortened(message["Body"])


def _delete(client: Any, url: str, messages: list[dict[str, Any]]) -> None:
    for start in range(0, len(messages), RECEIVED_MAX):
        entries = [
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
            for index, message in enumerate(messages[start : start + RECEIVED_MAX])
        ]
        answer = client.delete_message_batch(QueueUrl=url, Entries=entries)
        for one in answer.get("Failed", ()):
            typer.echo(f"encola: not deleted: {one.get('Message', '')} ({one['Code']})", err=True)
