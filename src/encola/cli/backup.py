"""``encola backup``: a consistent copy of a data directory."""

from pathlib import Path
from typing import Annotated

import typer


def backup(
    target: Annotated[Path, typer.Argument(help="Directory for the copy; made if it is not there.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="Data directory.")] = Path("encola-data"),
) -> None:
    """Copy a data directory while a server works in it.

    The copy is one snapshot with all that was acknowledged before. To restore: encola serve --data TARGET.
    """
    from encola.engine.store import StoreError
    from encola.stores.sqlite.backup import backup as copy

    try:
        file = copy(data, target)
    except (StoreError, OSError) as error:
        typer.echo(f"encola: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{file} ({file.stat().st_size / 1e6:.1f} MB)")
