"""The files of the project that the rules are about, and their syntax trees."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("src", "tests", "examples", "benchmarks")
PAPERS = ("docs", "examples", "benchmarks", "tests")
FOREIGN = frozenset({"node_modules", "__pycache__"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


def shown(path: Path) -> str:
    """A path as people write it, from the root of the project."""
    return path.relative_to(ROOT).as_posix()


def _own(directory: str, pattern: str) -> Iterator[Path]:
    for path in sorted((ROOT / directory).rglob(pattern)):
        parts = path.relative_to(ROOT).parts
        if FOREIGN.isdisjoint(parts) and not any(part.startswith(".") for part in parts):
            yield path


@cache
def code_files() -> tuple[Path, ...]:
    """All Python files of ours."""
    return tuple(path for directory in CODE for path in _own(directory, "*.py"))


@cache
def source_files() -> tuple[Path, ...]:
    """The Python files of the package."""
    return tuple(_own("src", "*.py"))


@cache
def papers() -> tuple[Path, ...]:
    """All Markdown files of ours."""
    return (*sorted(ROOT.glob("*.md")), *(path for directory in PAPERS for path in _own(directory, "*.md")))


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text("utf-8"), filename=shown(path))


def functions(path: Path) -> Iterator[Function]:
    """All functions and methods of a file, also those within others."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))
