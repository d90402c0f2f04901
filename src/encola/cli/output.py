"""What commands print: tables for people, JSON for scripts."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import typer


def print_json(value: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Numbers to the right, with thousands apart."""
    from rich.console import Console

    Console().print(table(columns, rows, title=title))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> Any:
    """The table that ``print_table`` prints, for who prints it otherwise."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(_text(cell)) for cell in row))  # Text: what is in a message is no markup
    return made


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def shortened(text: str, length: int = 100) -> str:
    """One line of it, without what a terminal would act on."""
    line = "".join(char if char.isprintable() else " " for char in text[: length + 1])
    return line if len(text) <= length else f"{line[:length]}…"
