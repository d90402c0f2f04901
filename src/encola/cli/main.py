"""``encola``: the commands by name."""

from typing import Annotated

import typer

from encola import __version__
from encola.cli import (
    backup,
    check,
    config,
    jobs,
    outbox,
    pause,
    peek,
    purge,
    queues,
    receive,
    redrive,
    send,
    serve,
    top,
    work,
    workers,
)

app = typer.Typer(
    name="encola",
    help="A durable message server that Amazon SQS clients use unmodified, and tools for its queues.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"encola {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell the version.")
    ] = False,
) -> None:
    pass


_SERVER = "The server"
_QUEUES = "Queues, on any SQS endpoint"
_CONSUMERS = "Consumers"

app.command(rich_help_panel=_SERVER)(serve.serve)
app.command(rich_help_panel=_SERVER)(config.config)
app.command(rich_help_panel=_SERVER)(backup.backup)
app.command(rich_help_panel=_SERVER)(check.check)
app.add_typer(queues.app, name="queues", rich_help_panel=_QUEUES)
app.command(rich_help_panel=_QUEUES)(send.send)
app.command(rich_help_panel=_QUEUES)(receive.receive)
app.command(rich_help_panel=_QUEUES)(peek.peek)
app.command(rich_help_panel=_QUEUES)(pause.pause)
app.command(rich_help_panel=_QUEUES)(pause.resume)
app.command(rich_help_panel=_QUEUES)(purge.purge)
app.command(rich_help_panel=_QUEUES)(redrive.redrive)
app.command(rich_help_panel=_QUEUES)(top.top)
app.command(rich_help_panel=_CONSUMERS)(work.work)
app.command(rich_help_panel=_CONSUMERS)(outbox.outbox)
app.add_typer(jobs.app, name="jobs", rich_help_panel=_CONSUMERS)
app.add_typer(workers.app, name="workers", rich_help_panel=_CONSUMERS)


def main() -> None:
    app()
