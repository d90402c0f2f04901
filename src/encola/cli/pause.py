"""``encola pause`` and ``encola resume``: hold a queue's messages back for a while. Amazon SQS cannot."""

from typing import Any

import typer

from encola.cli import client as sqs


def pause(
    queue: sqs.QueueName,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
) -> None:
    """Let nobody receive from a queue until it is resumed; it goes on taking messages."""
    _ask("PauseQueue", queue, endpoint, profile, region)


def resume(
    queue: sqs.QueueName,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
) -> None:
    """Let consumers receive from a paused queue again; those that wait get its messages at once."""
    _ask("ResumeQueue", queue, endpoint, profile, region)


def _ask(operation: str, queue: str, endpoint: str, profile: str | None, region: str | None) -> None:
    if endpoint == sqs.AWS:
        typer.echo("encola: Amazon SQS has no way to pause a queue", err=True)
        raise typer.Exit(1)
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        sqs.call(client, operation, {"QueueUrl": sqs.queue_url(client, queue)})


def paused_urls(client: Any, prefix: str) -> set[str] | None:
    """The queues that are paused; None where none can be: the endpoint is no encola server."""
    from botocore.exceptions import ClientError

    urls: set[str] = set()
    asked: dict[str, Any] = {"QueueNamePrefix": prefix, "MaxResults": 1000}
    while True:
        try:
            answer = sqs.call(client, "ListPausedQueues", asked)
        except ClientError:
            return None
        urls.update(answer.get("QueueUrls") or [])
        asked["NextToken"] = answer.get("NextToken")
        if not asked["NextToken"]:
            return urls
