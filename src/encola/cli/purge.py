"""``encola purge``: delete all messages of a queue."""

from typing import Annotated

import typer

from encola.cli import client as sqs


def purge(
    queue: sqs.QueueName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
) -> None:
    """Delete all messages of a queue; those in flight and delayed, too."""
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        url = sqs.queue_url(client, queue)
        if not yes:
            typer.confirm(f"Delete all messages of {url}?", abort=True)
        client.purge_queue(QueueUrl=url)
