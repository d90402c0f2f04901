"""What the papers show works: each fenced block of theirs is run, or has a reason not to be."""

import os
from pathlib import Path

import pytest

from .files import ROOT, papers, shown
from .markdown import blocks
from .pages import RUN, SHOWN, Page

REASON_LENGTH_MIN = 10

PAGES = [page for page in papers() if page.parent == ROOT or page.is_relative_to(ROOT / "docs")]


@pytest.fixture
def outside_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python blocks run in this process: no settings of the developer's own may help them."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "ENCOLA_", "BOTO")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("outside_of_aws")
@pytest.mark.parametrize("path", [page for page in PAGES if any(blocks(page))], ids=shown)
def test_the_blocks_of_a_page_do_what_they_show(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(path, tmp_path)
    monkeypatch.chdir(tmp_path / "page")
    try:
        for block in blocks(path):
            page.run(block)
        page.finish()
    finally:
        page.close()


@pytest.mark.parametrize("path", PAGES, ids=shown)
def test_a_block_that_is_not_run_has_a_reason(path: Path) -> None:
    for block in blocks(path):
        assert block.language in RUN + SHOWN
        assert not block.skipped or len(block.skipped) >= REASON_LENGTH_MIN, f"{shown(path)}:{block.line}"
