"""docs/consumers.md: its tables of options and limits are those of the code."""

import importlib
import inspect

import msgspec

from encola.consumers.app import App
from encola.consumers.job import Job
from encola.consumers.options import SendOptions, TaskOptions

from .files import ROOT
from .markdown import plain, section, table

PAGE = ROOT / "docs" / "consumers.md"


def rows(heading: str, first: str) -> list[list[str]]:
    """The rows of the table below a heading whose first column is called so."""
    text = section(PAGE, heading)
    begin = text.index(f"| {first} |")
    return table(text[begin:].partition("\n\n")[0])


def names_of(heading: str, first: str) -> list[str]:
    return [name.strip() for row in rows(heading, first) for name in plain(row[0]).split(",")]


def test_every_argument_of_an_application_has_its_row() -> None:
    assert names_of("Declaring", "argument of `App`") == list(inspect.signature(App).parameters)


def test_every_option_of_a_task_has_its_row() -> None:
    assert names_of("Declaring", "option") == list(inspect.signature(App.task).parameters)[1:]
    assert set(names_of("Declaring", "option")) == {field.name for field in msgspec.structs.fields(TaskOptions)}


def test_every_option_of_a_wish_has_its_row() -> None:
    assert names_of("Asking", "option of a wish") == [field.name for field in msgspec.structs.fields(SendOptions)]


def test_every_status_has_its_row() -> None:
    told = names_of("Jobs", "status")
    hint = inspect.signature(Job.status).return_annotation
    assert told == list(hint.__args__)


def test_the_limits_are_those_of_the_code() -> None:
    for row in rows("Limits", "limit"):
        module, _, name = plain(row[2]).rpartition(".")
        value = getattr(importlib.import_module(f"encola.{module}"), name)
        assert plain(row[1]) == f"{value:,.0f}", row[0]
