"""The runner of the pages notices what does not work."""

from pathlib import Path

import pytest

from . import markdown
from .pages import Page, PageError

WRONG = {
    "a command that fails": "```sh\nls no-such-file\n```\n",
    "a command that fails before one that works": "```sh\nfalse\ntrue\n```\n",
    "a server that does not start": "```sh\nencola serve --store nonsense\n```\n",
    "an assertion": "```python\nassert 1 == 2\n```\n",
    "a test that fails": "```python\ndef test_it():\n    assert 1 == 2\n```\n",
    "a setting that does not exist": "```toml\n[server]\nprot = 9324\n```\n",
    "broken JSON": "```json\n{]\n```\n",
    "a language that is not run": "```perl\nprint 1\n```\n",
    "no language": "```\nanything\n```\n",
}


def run(text: str, directory: Path) -> None:
    """Runs a page with this text."""
    path = directory / "page.md"
    path.write_text(text)
    page = Page(path, directory)
    try:
        for block in markdown.blocks(path):
            page.run(block)
        page.finish()
    finally:
        page.close()


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_does_not_work_fails(text: str, tmp_path: Path) -> None:
    with pytest.raises((PageError, AssertionError, ValueError)):
        run(text, tmp_path)


def test_blocks_of_a_page_share_names_files_and_a_server(tmp_path: Path) -> None:
    page = (
        "```python\nx = 1\n```\n\n```python\nassert x == 1\n```\n\n"
        '<!-- file: encola.toml -->\n```toml\n[[queues]]\nname = "declared"\n```\n\n'
        "```sh\nencola serve --config encola.toml\n```\n\n```sh\nencola queues show declared\n```\n"
    )
    run(page, tmp_path)


def test_a_block_with_a_reason_is_not_run(tmp_path: Path) -> None:
    run("<!-- not run: it would fail here -->\n```sh\nfalse\n```\n", tmp_path)


def test_a_table_is_read_with_bars_in_its_cells() -> None:
    assert markdown.table("text\n\n| a | b |\n|---|---|\n| `x \\| y` | z |\n\nmore") == [["`x | y`", "z"]]


def test_headings_have_the_anchors_that_github_gives_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Full disk, failing fsync\n\n```sh\n# no heading\n```\n\n## `[server]`\n")
    assert markdown.anchors(page) == {"full-disk-failing-fsync", "server"}
