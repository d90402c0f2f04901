"""``encola redrive``: move messages out of a dead-letter queue."""

import time
from typing import Annotated, Any

import typer

from encola.cli import client as sqs
from encola.cli.output import print_json, print_table

LOOK_SECONDS = 0.5
ACTIVE = ("RUNNING", "CANCELLING")


def redrive(
    queue: Annotated[str, typer.Argument(help="Name, URL or ARN of the dead-letter queue.")],
    to: Annotated[str | None, typer.Option("--to", help="Another queue; otherwise, where each came from.")] = None,
    rate: Annotated[int | None, typer.Option("--rate", min=1, max=500, help="Messages a second, at most.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until all are moved.")] = True,
    show: Annotated[bool, typer.Option("--list", help="Show the recent moves of this queue instead.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop the running move of this queue instead.")] = False,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """Move the messages of a dead-letter queue back to where they came from, or to another queue."""
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        source = sqs.queue_arn(client, queue)
        if show:
            _print(_moves(client, source), as_json=as_json)
            return
        if cancel:
            _cancel(client, source)
        else:
            asked: dict[str, Any] = {"SourceArn": source}
            if to is not None:
                asked["DestinationArn"] = sqs.queue_arn(client, to)
            if rate is not None:
                asked["MaxNumberOfMessagesPerSecond"] = rate
            client.start_message_move_task(**asked)
        while wait and _moves(client, source)[0]["Status"] in ACTIVE:
            time.sleep(LOOK_SECONDS)
        last = _moves(client, source)[:1]
    _print(last, as_json=as_json)
    if last[0]["Status"] == "FAILED":
        raise typer.Exit(1)


def _moves(client: Any, source: str) -> list[dict[str, Any]]:
    """The newest first."""
    moves: list[dict[str, Any]] = client.list_message_move_tasks(SourceArn=source, MaxResults=10).get("Results", [])
    return moves


def _cancel(client: Any, source: str) -> None:
    running = [one for one in _moves(client, source) if one["Status"] == "RUNNING"]
    if not running:
        typer.echo("encola: no move is running", err=True)
        raise typer.Exit(1)
    client.cancel_message_move_task(TaskHandle=running[0]["TaskHandle"])


def _print(moves: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(moves)
        return
    rows = [
        (
            one["Status"],
            int(one.get("ApproximateNumberOfMessagesMoved", 0)),
            int(one.get("ApproximateNumberOfMessagesToMove", 0)),
            one.get("DestinationArn", "where each came from"),
            one.get("FailureReason"),
        )
        for one in moves
    ]
    print_table(("status", "moved", "to move", "to", "failure"), rows)
