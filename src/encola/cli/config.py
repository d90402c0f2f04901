"""``encola config``: what is in force."""

from typing import Annotated

import typer

from encola.cli import settings as given


def config(
    data: given.Data = None,
    host: given.Host = None,
    port: given.Port = None,
    config: given.ConfigFile = None,
    store: given.StoreKind = None,
    ready_file: given.ReadyFile = None,
    relaxed: given.Relaxed = None,
    auto_create: given.AutoCreate = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the configuration in force: defaults, file, environment and flags put together; secrets hidden.

    What it prints is a configuration file (put the secrets back).
    """
    from encola.cli.output import print_json
    from encola.server.config import plain

    flags = given.flags(data, host, port, store, ready_file, relaxed, auto_create)
    values = plain(given.load_or_exit(config, flags))
    if as_json:
        print_json(values)
    else:
        import tomli_w

        typer.echo(tomli_w.dumps(values), nl=False)
