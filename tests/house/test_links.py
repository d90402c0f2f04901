"""Links between our papers lead somewhere."""

from pathlib import Path

import pytest

from . import markdown
from .files import ROOT, papers, shown

OUTSIDE = ("http://", "https://", "mailto:")


@pytest.mark.parametrize("page", papers(), ids=shown)
def test_internal_links_of_a_page_lead_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in markdown.links(page):
        if link.startswith(OUTSIDE):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(ROOT):
            broken.append(f"{link}: no such file")
        elif anchor and anchor not in markdown.anchors(target):
            broken.append(f"{link}: no such heading")
    assert broken == []


def test_every_page_of_the_documentation_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    to_read = [ROOT / "README.md"]
    while to_read:
        page = to_read.pop()
        reached.add(page)
        pages = {(page.parent / link.partition("#")[0]).resolve() for link in markdown.links(page) if ".md" in link}
        to_read += sorted(pages & set(papers()) - reached)
    assert [shown(page) for page in papers() if page not in reached] == []
