"""``encola queues``: list, show, create and delete queues."""

from typing import Annotated, Any

import typer

from encola.cli import client as sqs
from encola.cli.output import print_json, print_table
from encola.cli.pause import paused_urls

app = typer.Typer(help="List queues with their messages; show, create and delete them.", invoke_without_command=True)

COUNTS = {
    "ready": "ApproximateNumberOfMessages",
    "in flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


@app.callback()
def queues(
    context: typer.Context,
    prefix: Annotated[str, typer.Option("--prefix", help="Only queues whose names begin so.")] = "",
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """List queues with their messages, and which of them are paused."""
    if context.invoked_subcommand is not None:
        return
    client = sqs.connect(endpoint, profile, region)
    columns = [*COUNTS]
    with sqs.errors_told():
        found = counted(client, prefix)
        paused = None if endpoint == sqs.AWS else paused_urls(client, prefix)
    if paused is not None:
        columns.append("paused")
        for one in found:
            one["paused"] = one["url"] in paused
    if as_json:
        print_json(found)
    else:
        print_table(("queue", *columns), [(one["name"], *(one[name] for name in columns)) for one in found])


def counted(client: Any, prefix: str) -> list[dict[str, Any]]:
    """Name, URL and message counts of each queue."""
    found = []
    for url in sqs.queue_urls(client, prefix):
        try:
            answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=list(COUNTS.values()))
        except client.exceptions.QueueDoesNotExist:
            continue  # deleted since it was listed
        numbers = {name: int(answer["Attributes"][attribute]) for name, attribute in COUNTS.items()}
        found.append({"name": url.rpartition("/")[2], "url": url, **numbers})
    return found


@app.command()
def show(
    queue: sqs.QueueName,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """Show all attributes and tags of a queue."""
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        url = sqs.queue_url(client, queue)
        attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        tags = client.list_queue_tags(QueueUrl=url).get("Tags", {})
    if as_json:
        print_json({"url": url, "attributes": attributes, "tags": tags})
        return
    rows = [("QueueUrl", url), *sorted(attributes.items()), *((f"tag {name}", tags[name]) for name in sorted(tags))]
    print_table(("attribute", "value"), rows)


@app.command()
def create(
    queue: Annotated[str, typer.Argument(help="Name; one that ends in .fifo makes a FIFO queue.")],
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", "-a", help="NAME=VALUE, as often as needed.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="NAME=VALUE, as often as needed.")] = None,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """Create a queue and print its URL."""
    attributes = _pairs(attribute, "--attribute")
    if queue.endswith(".fifo"):
        attributes.setdefault("FifoQueue", "true")
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        url = client.create_queue(QueueName=queue, Attributes=attributes, tags=_pairs(tag, "--tag"))["QueueUrl"]
    if as_json:
        print_json({"url": url})
    else:
        typer.echo(url)


def _pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter("must be NAME=VALUE", param_hint=option)
        pairs[name] = value
    return pairs


@app.command()
def delete(
    queue: sqs.QueueName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
) -> None:
    """Delete a queue with all its messages."""
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        url = sqs.queue_url(client, queue)
        if not yes:
            typer.confirm(f"Delete {url} with all its messages?", abort=True)
        client.delete_queue(QueueUrl=url)
