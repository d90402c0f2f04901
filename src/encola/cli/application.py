"""What the commands that run an application have in common: its name, its queue service, its log."""

import os
from typing import Annotated

import typer

Application = Annotated[str, typer.Argument(help="The application, as module:name.", metavar="MODULE:APP")]
Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint", "-e", help="URL of the queue service, or 'aws', whatever the application says."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")]


def lead_to(endpoint: str | None) -> None:
    """Also for other applications that its modules may have, and for all processes that are started."""
    if endpoint:
        os.environ["ENCOLA_ENDPOINT"] = endpoint
