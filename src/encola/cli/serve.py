"""``encola serve``: run the server."""

import typer

from encola.cli import settings as given


def serve(
    data: given.Data = None,
    host: given.Host = None,
    port: given.Port = None,
    config: given.ConfigFile = None,
    store: given.StoreKind = None,
    ready_file: given.ReadyFile = None,
    relaxed: given.Relaxed = None,
    auto_create: given.AutoCreate = None,
) -> None:
    """Run the server until SIGTERM or Ctrl-C.

    Without credentials in the configuration it listens on this machine only and accepts any key.
    """
    from encola.server.run import run

    flags = given.flags(data, host, port, store, ready_file, relaxed, auto_create)
    raise typer.Exit(run(given.load_or_exit(config, flags)))
