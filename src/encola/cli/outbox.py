"""``encola outbox``: a relay, which sends what producers left in their database."""

import os
from typing import Annotated

import typer


def outbox(
    app: Annotated[str, typer.Argument(help="The application, as module:name.", metavar="MODULE:APP")],
    connect: Annotated[
        str,
        typer.Option("--connect", help="The function that opens a connection.", metavar="MODULE:FUNCTION"),
    ],
    create_tables: Annotated[
        bool, typer.Option("--create-tables", help="Make the outbox's tables if they are missing.")
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", "-e", help="URL of the queue service, or 'aws', whatever the application says."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Send what an application's outbox holds, until it is stopped. Several may run: one sends, others stand by."""
    from encola.consumers.process import begin_logging
    from encola.consumers.relay_process import run

    if endpoint:
        os.environ["ENCOLA_ENDPOINT"] = endpoint
    begin_logging(verbose=verbose)
    raise typer.Exit(run(app, connect, tables=create_tables, endpoint=endpoint))
