"""``encola workers``: who works for a server, at what, and a gentle stop for one of them."""

from typing import Annotated, Any

import typer

from encola.cli import client as sqs
from encola.cli.output import print_json, print_table, shortened

app = typer.Typer(help="List the workers of a server, and stop one gently.", invoke_without_command=True)

TARGETS = "EncolaWorkers"
NOTHING_THERE = "Amazon SQS does not know who works: this is for encola servers"
COLUMNS = ("worker", "app", "state", "for", "busy", "slots", "done", "failed", "retried", "runs")
SHOWN_JOBS = 3


@app.callback()
def workers(
    context: typer.Context,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """List the workers that have reported lately: what each runs, since when, and what it has done."""
    if context.invoked_subcommand is not None:
        return
    client = _connect(endpoint, profile, region)
    with sqs.errors_told():
        found, now = _all(client)
    if as_json:
        print_json(found)
    elif found:
        print_table(COLUMNS, [_row(one, now) for one in found])
    else:
        typer.echo("no workers")


@app.command()
def stop(
    worker: Annotated[str, typer.Argument(help="The worker, as `workers` shows it.", metavar="WORKER")],
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
) -> None:
    """Stop a worker gently, as SIGTERM does: its jobs may end within its grace period. Nobody starts it anew."""
    client = _connect(endpoint, profile, region)
    with sqs.errors_told():
        sqs.call(client, "Stop", {"Worker": worker}, of=TARGETS)
    typer.echo("it stops as soon as it hears of it: when it next reports, within seconds")


def _connect(endpoint: str, profile: str | None, region: str | None) -> Any:
    if endpoint == sqs.AWS:
        raise sqs.ended(NOTHING_THERE)
    return sqs.connect(endpoint, profile, region)


def _all(client: Any) -> tuple[list[dict[str, Any]], int]:
    """All workers, page by page, and the clock by which they are told of."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        answer = sqs.call(client, "List", {"After": after}, of=TARGETS)
        found += answer["Workers"]
        after = answer.get("Next", "")
        if not after:
            return found, answer["Now"]


def _row(worker: dict[str, Any], now: int) -> tuple[Any, ...]:
    state = worker["state"]
    if worker["stop_asked"] and state == "running":
        state = "asked to stop"
    running = worker["running"]
    runs = [f"{one['key'] or one['task']} for {_span(now - one['since'])}" for one in running[:SHOWN_JOBS]]
    more = worker["busy"] - len(runs)
    return (
        shortened(worker["id"], 200),
        shortened(worker["app"], 40),
        state,
        _span(now - worker["started_at"]),
        worker["busy"],
        worker["slots"],
        worker["done"],
        worker["failed"],
        worker["retried"],
        shortened(", ".join(runs) + (f", and {more:,} more" if more > 0 else ""), 300),
    )


def _span(milliseconds: int) -> str:
    seconds = max(0, milliseconds // 1000)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
