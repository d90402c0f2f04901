"""docs/command-line.md has every command, with the sentence that its help begins with."""

from collections.abc import Iterator
from typing import Any

import typer

from encola.cli.main import app

from .files import ROOT
from .markdown import plain, prose, table

PAGE = ROOT / "docs" / "command-line.md"


def commands(group: Any, name: str) -> Iterator[tuple[str, str]]:
    """Each command below a group with the first paragraph of its help; a group that does something by itself, too."""
    for one in group.commands.values():
        called = f"{name} {one.name}"
        if hasattr(one, "commands"):
            if one.invoke_without_command:
                yield called, one.callback.__doc__
            yield from commands(one, called)
        else:
            yield called, one.help.partition("\n\n")[0]


def test_every_command_has_its_row() -> None:
    told = [(plain(row[0]), row[1]) for row in table(prose(PAGE))]
    assert sorted(told) == sorted(commands(typer.main.get_command(app), "encola"))
