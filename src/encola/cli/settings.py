"""The flags that serve and config share, and the configuration that they give."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from encola.server.config import Config

EXIT_CONFIGURATION = 2

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration file (TOML).", envvar="ENCOLA_CONFIG")
]
Data = Annotated[Path | None, typer.Option("--data", "-d", help="Data directory.", show_default="encola-data")]
StoreKind = Annotated[
    str | None, typer.Option("--store", help="sqlite, or memory (forgets all).", show_default="sqlite")
]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[
    int | None, typer.Option("--port", "-p", help="Port to listen on; 0: a free one.", show_default="9324")
]
ReadyFile = Annotated[Path | None, typer.Option("--ready-file", help="Write the server's URL here once it listens.")]
Relaxed = Annotated[bool | None, typer.Option("--relaxed", help="Development: no sixty-second rules.")]
AutoCreate = Annotated[bool | None, typer.Option("--auto-create", help="Development: create queues at first use.")]


def load_or_exit(file: Path | None, flags: dict[str, Any]) -> "Config":
    """Ends the program with status 2 and a sentence if the configuration is wrong."""
    from encola.server.config import ConfigError, load

    try:
        return load(file, os.environ, flags)
    except ConfigError as error:
        typer.echo(f"encola: {error}", err=True)
        raise typer.Exit(EXIT_CONFIGURATION) from None


def flags(
    data: Path | None,
    host: str | None,
    port: int | None,
    store: str | None,
    ready_file: Path | None,
    relaxed: bool | None,
    auto_create: bool | None,
) -> dict[str, Any]:
    """The flags as ``server.config.load`` takes them."""
    return {
        "store.data": data,
        "store.kind": store,
        "server.host": host,
        "server.port": port,
        "server.ready_file": ready_file,
        "development.relaxed": relaxed,
        "development.auto_create_queues": auto_create,
    }
