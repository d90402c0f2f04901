"""How our Python files are to be: short, explained, and free of what belongs to one machine or to another day."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from encola.protocols.sqs.operations import OPERATIONS, PEEK

from .files import ROOT, Function, code_files, functions, papers, shown, source_files, tree

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
PLAIN_STATEMENTS_MAX = 5
"""A public function with no more statements than this may do without a docstring: its name and types say it all."""

# Put together from parts, so that this file passes its own test.
MACHINE_PATH = re.compile(r"(?<![\w.~}/])/(?:" + "|".join(("home", "Users", "root", "work", "mnt")) + r")/\w")
PUT_OFF = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {shown(path): len(path.read_text("utf-8").splitlines()) for path in code_files()}
    assert {path: length for path, length in lengths.items() if length > FILE_LINES_MAX} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    lengths = {
        f"{shown(path)}:{function.lineno} {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in code_files()
        for function in functions(path)
    }
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES_MAX} == {}


def test_every_module_that_holds_something_says_what_it_is_for() -> None:
    bare = [shown(path) for path in code_files() if tree(path).body and not ast.get_docstring(tree(path))]
    assert bare == []


def test_every_public_class_of_the_package_has_a_docstring() -> None:
    """Shapes need none: their names are those of the Amazon SQS API reference, which explains them."""
    bare = [
        f"{shown(path)}:{one.lineno} {one.name}"
        for path in source_files()
        for one in tree(path).body
        if isinstance(one, ast.ClassDef)
        and _public(one.name)
        and not ast.get_docstring(one)
        and not any(isinstance(base, ast.Name) and base.id == "Shape" for base in one.bases)
    ]
    assert bare == []


def test_every_public_function_of_the_package_has_a_docstring_unless_it_is_plain() -> None:
    """Not where the explanation is elsewhere: in the interface that it implements, or in the SQS API reference."""
    explained = _methods_of_interfaces() | {_snake(name) for name in (*OPERATIONS, PEEK.name)}
    bare = [
        f"{shown(path)}:{function.lineno} {function.name}"
        for path in source_files()
        for function in _public_functions(path)
        if function.name not in explained
        and not ast.get_docstring(function)
        and _statements(function) > PLAIN_STATEMENTS_MAX
    ]
    assert bare == []


def test_nothing_names_a_place_on_one_machine() -> None:
    assert _found(MACHINE_PATH) == []


def test_nothing_is_put_off_in_a_comment() -> None:
    assert _found(PUT_OFF) == []


def _found(pattern: re.Pattern[str]) -> list[str]:
    files = [*code_files(), *papers(), ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]
    return [
        f"{shown(path)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def _public(name: str) -> bool:
    return not name.startswith("_")


def _public_functions(path: Path) -> Iterator[Function]:
    """Functions of a module and methods of its public classes."""
    for node in tree(path).body:
        if isinstance(node, Function) and _public(node.name):
            yield node
        elif isinstance(node, ast.ClassDef) and _public(node.name):
            yield from (one for one in node.body if isinstance(one, Function) and _public(one.name))


def _statements(function: Function) -> int:
    return sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1


def _methods_of_interfaces() -> set[str]:
    """Methods that our own Protocol classes declare, and those that are called back by asyncio, logging and llhttp."""
    declared = {
        one.name
        for path in source_files()
        for node in tree(path).body
        if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id == "Protocol" for b in node.bases)
        for one in node.body
        if isinstance(one, Function)
    }
    asyncio_protocol = {
        "connection_made", "data_received", "eof_received", "connection_lost", "pause_writing", "resume_writing",
    }  # fmt: skip
    llhttp = {"on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body", "on_message_complete"}
    return declared | asyncio_protocol | llhttp | {"format"}


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
