"""docs/configuration.md has every section and field, with the type, default and variable that the code gives them."""

import types
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from encola.server.config import LISTS, PREFIX, Config, load

from .files import ROOT
from .markdown import plain, section, table

PAGE = ROOT / "docs" / "configuration.md"
TYPES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    tuple[str, ...]: "list of text",
    dict[str, str]: "table of text",
}
UNDERSCORE_FROM = 10_000
SECTIONS = [field for field in msgspec.structs.fields(Config) if field.name not in LISTS]


def type_of(kind: Any) -> str:
    """A field's type in the words of the page."""
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(typing.get_args(kind))
    if typing.get_origin(kind) is types.UnionType:
        kinds = [one for one in typing.get_args(kind) if one is not type(None)]
        return TYPES[kinds[0]] if len(kinds) == 1 else " or ".join(TYPES[one] for one in kinds)
    return TYPES.get(kind, "table")


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """A field's default as it is written in TOML; with what it must be given, or left out, in words."""
    default = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    if default is msgspec.NODEFAULT:
        return "must be given"
    if default is None:
        return "not set"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str | Path):
        return f'"{default}"'
    if isinstance(default, tuple):
        return "[" + ", ".join(f'"{one}"' for one in default) + "]"
    if isinstance(default, dict):
        return "{}"
    return f"{default:_}" if default >= UNDERSCORE_FROM else str(default)


@pytest.mark.parametrize("found", SECTIONS, ids=lambda one: one.name)
def test_the_table_of_a_section_is_its_struct(found: msgspec.structs.FieldInfo) -> None:
    told = [[plain(cell) for cell in row[:4]] for row in table(section(PAGE, f"[{found.name}]"))]
    assert told == [
        [field.name, type_of(field.type), default_of(field), f"{PREFIX}{found.name}__{field.name}".upper()]
        for field in msgspec.structs.fields(found.type)
    ]


@pytest.mark.parametrize("name", LISTS)
def test_the_table_of_a_list_is_the_struct_of_its_elements(name: str) -> None:
    (found,) = (field for field in msgspec.structs.fields(Config) if field.name == name)
    element = typing.get_args(found.type)[0]
    told = [[plain(cell) for cell in row[:3]] for row in table(section(PAGE, f"[[{name}]]"))]
    assert told == [[field.name, type_of(field.type), default_of(field)] for field in msgspec.structs.fields(element)]
    assert f"{PREFIX}{name.upper()}" in section(PAGE, f"[[{name}]]")


def test_every_row_says_what_its_field_means() -> None:
    titles = [f"[{one.name}]" for one in SECTIONS] + [f"[[{name}]]" for name in LISTS]
    assert [row[0] for title in titles for row in table(section(PAGE, title)) if len(row[-1]) < 10] == []


def test_the_defaults_of_the_page_in_its_variables_are_the_defaults() -> None:
    """A variable of a wrong name would be refused."""
    rows = [row for one in SECTIONS for row in table(section(PAGE, f"[{one.name}]"))]
    defaults = {plain(row[3]): plain(row[2]) for row in rows if row[2] != "not set"}
    environment = {name: text.strip('"') if '"' in text else text.replace("_", "") for name, text in defaults.items()}
    assert load(None, environment, {}) == Config()
