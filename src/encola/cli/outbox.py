"""``encola outbox``: a relay, which sends what producers left in their database."""

from typing import Annotated

import typer

from encola.cli import application


def outbox(
    app: application.Application,
    connect: Annotated[
        str,
        typer.Option("--connect", help="The function that opens a connection.", metavar="MODULE:FUNCTION"),
    ],
    create_tables: Annotated[
        bool, typer.Option("--create-tables", help="Make the outbox's tables if they are missing.")
    ] = False,
    endpoint: application.Endpoint = None,
    verbose: application.Verbose = False,
) -> None:
    """Send what an application's outbox holds, until it is stopped. Several may run: one sends, others stand by."""
    from encola.consumers.process import begin_logging
    from encola.consumers.relay_process import run

    application.lead_to(endpoint)
    begin_logging(verbose=verbose)
    raise typer.Exit(run(app, connect, tables=create_tables, endpoint=endpoint))
