"""``encola top``: the queues as they are now, again and again."""

import time
from typing import Annotated, Any

import typer

from encola.cli import client as sqs
from encola.cli.output import print_json, table
from encola.cli.queues import COUNTS, counted


def top(
    prefix: Annotated[str, typer.Option("--prefix", help="Only queues whose names begin so.")] = "",
    every: Annotated[float, typer.Option("--every", min=0.2, help="Seconds between two looks.")] = 2.0,
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="Looks; 0: until Ctrl-C.")] = 0,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """Watch the queues: the fullest first, and how much each grows or shrinks a second."""
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        try:
            if as_json:
                for rows in _looks(client, prefix, every, count):
                    print_json(rows)
            else:
                _live(client, prefix, every, count)
        except KeyboardInterrupt:
            return


def _live(client: Any, prefix: str, every: float, count: int) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with Live(console=console, auto_refresh=False, screen=console.is_terminal and not count) as live:
        for rows in _looks(client, prefix, every, count):
            shown = rows[: max(5, console.height - 6)]
            columns = ("queue", *COUNTS, "change a second")
            cells = [(one["name"], *(one[name] for name in COUNTS), _signed(one["change a second"])) for one in shown]
            live.update(table(columns, cells, title=time.strftime("%H:%M:%S")), refresh=True)


def _looks(client: Any, prefix: str, every: float, count: int) -> Any:
    """Rows of each look, with the change since the one before."""
    before: dict[str, int] = {}
    at_before = time.monotonic()
    looks = 0
    while True:
        rows = counted(client, prefix)
        at = time.monotonic()
        totals = {one["url"]: sum(one[name] for name in COUNTS) for one in rows}
        for one in rows:
            grown = totals[one["url"]] - before.get(one["url"], totals[one["url"]])
            one["change a second"] = round(grown / max(at - at_before, 0.001), 1)
        before, at_before, looks = totals, at, looks + 1
        yield sorted(rows, key=lambda one: (-totals[one["url"]], one["name"]))
        if looks == count:
            return
        time.sleep(max(0.0, every - (time.monotonic() - at)))


def _signed(change: float) -> str:
    return f"{change:+,.1f}" if change else "-"
