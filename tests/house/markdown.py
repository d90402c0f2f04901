"""What the tests need of Markdown: headings, links, tables and fenced blocks. Not a parser for everybody's pages.

A comment on the line above a fence says something about its block:

    <!-- not run: installs from PyPI -->     the block is skipped, for this reason
    <!-- file: encola.toml -->               the block is also written to this file, for the blocks below
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(`{3,})(.*)$")
NOTE = re.compile(r"^<!-- (not run|file): (.+) -->$")
LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)")
SOURCE = re.compile(r"""(?:src|href)(?:set)?="([^"]+)\"""")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Block:
    """A fenced block. ``line`` is the number of its first line of text."""

    language: str
    text: str
    line: int
    skipped: str = ""
    file: str = ""


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    lines = page.read_text("utf-8").splitlines()
    number = 0
    while number < len(lines):
        opened = FENCE.match(lines[number])
        if not opened:
            number += 1
            continue
        above = NOTE.match(lines[number - 1]) if number else None
        end = next(at for at in range(number + 1, len(lines)) if lines[at] == opened[1])
        note = {above[1]: above[2]} if above else {}
        text = "".join(f"{line}\n" for line in lines[number + 1 : end])
        yield Block(opened[2].strip(), text, number + 2, note.get("not run", ""), note.get("file", ""))
        number = end + 1


def prose(page: Path) -> str:
    """The page without its fenced blocks, line for line."""
    kept, fence = [], ""
    for line in page.read_text("utf-8").splitlines():
        opened = FENCE.match(line)
        if fence:
            fence = "" if line == fence else fence
            kept.append("")
        elif opened:
            fence = opened[1]
            kept.append("")
        else:
            kept.append(line)
    return "\n".join(kept)


def links(page: Path) -> list[str]:
    """Where the page points to, images included."""
    text = SPAN.sub("", prose(page))
    return LINK.findall(text) + SOURCE.findall(text)


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the page's headings."""
    found: set[str] = set()
    for line in prose(page).splitlines():
        if line.startswith("#"):
            title = line.lstrip("#").strip().replace("`", "").lower()
            name = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
            found.add(name if name not in found else f"{name}-1")
    return found


def spans(page: Path) -> list[tuple[int, str]]:
    """The code spans of the page's prose, with their line numbers."""
    lines = prose(page).splitlines()
    return [(number, span) for number, line in enumerate(lines, start=1) for span in SPAN.findall(line)]


def section(page: Path, title: str) -> str:
    """The prose from the heading with this title to the next heading of its level or above."""
    found, level = [], 0
    for line in prose(page).splitlines():
        heading = re.match(r"(#+) (.+)", line)
        if heading and level and len(heading[1]) <= level:
            break
        if heading and heading[2].replace("`", "") == title:
            level = len(heading[1])
        elif level:
            found.append(line)
    assert level, f"{page.name} has no section {title!r}"
    return "\n".join(found)


def table(text: str) -> list[list[str]]:
    """The rows of the first table of a text, without its heading; cells without the marks of code."""
    rows: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("|"):
            rows.append([cell.strip().replace("\\|", "|") for cell in CELLS.split(line)[1:-1]])
        elif rows:
            break
    assert len(rows) > 2, "there is no table"
    return rows[2:]


def plain(cell: str) -> str:
    """A cell's text without the marks of code."""
    return cell.replace("`", "")
