"""``encola check``: is a data directory whole?"""

from pathlib import Path
from typing import Annotated

import typer


def check(
    data: Annotated[Path, typer.Option("--data", "-d", help="Data directory.")] = Path("encola-data"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a data directory, also while a server works in it. Exit status 1 if anything is wrong."""
    from encola.cli.output import print_json
    from encola.engine.store import StoreError
    from encola.stores.sqlite.check import check as problems_of

    try:
        problems = problems_of(data)
    except (StoreError, OSError) as error:
        typer.echo(f"encola: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        print_json({"data": str(data), "problems": problems})
    else:
        typer.echo("\n".join(problems) if problems else f"{data} is whole")
    raise typer.Exit(1 if problems else 0)
