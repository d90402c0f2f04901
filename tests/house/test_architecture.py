"""What our papers name in the code exists there.

In the prose of these papers a code span of one word is a name: a file or folder (from the root or from ``src/encola``),
``Class``, ``Class.member``, ``module.name`` or a word that the source uses. Spans with blanks or other signs are free.
"""

import ast
import asyncio
import re
from functools import cache
from pathlib import Path

import pytest

from encola.protocols.sqs.operations import OPERATIONS
from encola.server.config import PREFIX

from .files import ROOT, shown, source_files, tree
from .markdown import spans

PACKAGE = ROOT / "src" / "encola"
PAPERS = [
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "docs" / "store.md",
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]
WORD = re.compile(r"[\w./]*\w/?\Z")


@cache
def members() -> dict[str, set[str]]:
    """Names by class and by module: methods, fields, functions, constants; also those that a class inherits."""
    found: dict[str, set[str]] = {}
    bases: dict[str, list[str]] = {}
    for path in source_files():
        found.setdefault(path.stem, set()).update(_names(tree(path).body))
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                own = {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute) and _of_self(one)}
                found.setdefault(node.name, set()).update(_names(node.body) | own)
                bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return found


def _names(body: list[ast.stmt]) -> set[str]:
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign):
            names.update(one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name))
    return names


def _of_self(attribute: ast.Attribute) -> bool:
    return isinstance(attribute.value, ast.Name) and attribute.value.id == "self"


@cache
def source() -> str:
    """The text of the package."""
    return "\n".join(path.read_text("utf-8") for path in source_files())


@cache
def words() -> frozenset[str]:
    """All words of the package and of its project file, also those of texts: tables and columns are in SQL."""
    return frozenset(re.findall(r"\w+", source() + (ROOT / "pyproject.toml").read_text("utf-8")))


def exists(name: str) -> bool:
    if "/" in name or name.endswith((".py", ".md", ".toml")):
        return any((root / name).exists() for root in (ROOT, PACKAGE)) or name in {one.name for one in source_files()}
    owner, dot, member = name.rpartition(".")
    if owner == "asyncio":
        return hasattr(asyncio, member)
    if name.startswith(PREFIX):
        return True  # a variable: docs/configuration.md has those that are ours
    if dot:
        return member in members().get(owner.rpartition(".")[2], set()) or f'"{name}"' in source()
    return name in words() or name in OPERATIONS


@pytest.mark.parametrize("paper", PAPERS, ids=shown)
def test_every_name_in_a_paper_exists_in_the_code(paper: Path) -> None:
    unknown = [f"{shown(paper)}:{line} {span}" for line, span in spans(paper) if WORD.match(span) and not exists(span)]
    assert unknown == []


@pytest.mark.parametrize(
    "name", ["Broker.sned", "wire_json.code", "Brokre", "broker/brokers.py", "nowhere/", "Ledger.x"]
)
def test_a_name_that_does_not_exist_is_noticed(name: str) -> None:
    assert WORD.match(name)
    assert not exists(name)


def test_the_walk_of_a_message_names_functions_of_every_floor() -> None:
    """It would be no walk through the code otherwise."""
    named = {span.partition(".")[0] for _, span in spans(PAPERS[0]) if "." in span}
    assert {"Conversation", "SqsEndpoint", "Broker", "Receiving", "GroupCommit", "Writer", "Claimer", "Server"} <= named
