"""The tour of the concepts: each script runs and proves itself, has its page, and the page shows what it prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from examples.tour import __main__ as tour

from ..house.markdown import blocks, links, prose, section
from ..process import clean_environment

ROOT = Path(__file__).resolve().parents[2]
TOUR = ROOT / "examples" / "tour"
PAGES = ROOT / "docs" / "concepts"
SCRIPTS = tour.SCRIPTS
HELPERS = {"__init__", "__main__", "stage"}
SECONDS_MAX = 100
COLUMNS = 100

BAR = re.compile(r"^ +[\d.]+ s +#* \d+\n", re.MULTILINE)
NUMBER = re.compile(r"\d[\d.,]*")


def fixed(text: str) -> list[str]:
    """The words of an output: without measured numbers, bars of measured length, and the lines' ends."""
    return NUMBER.sub("#", BAR.sub("", text)).split()


def page_of(name: str) -> Path:
    return PAGES / f"{name}.md"


def shown_output(name: str) -> str:
    """What the page says that the script prints: its last block of text."""
    return [block.text for block in blocks(page_of(name)) if block.language == "text"][-1]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_proves_what_it_says_and_its_page_shows_what_it_prints(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"examples.tour.{name}"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= COLUMNS
    assert fixed(done.stdout) == fixed(shown_output(name))


def test_the_whole_tour_runs_in_order_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENCOLA_ENDPOINT", "http://my.own.server:9324")
    monkeypatch.setattr(tour, "SCRIPTS", ("dead_letters", "fifo"))  # quick ones; all of them have run above
    tour.main()
    printed = capsys.readouterr().out
    assert 0 <= printed.index("DEAD-LETTER") < printed.index("FIFO QUEUES")
    assert os.environ["ENCOLA_ENDPOINT"] == "http://my.own.server:9324"
    assert "TOUR_DIRECTORY" not in os.environ


def test_every_script_has_its_page_and_every_page_its_script() -> None:
    scripts = {path.stem for path in TOUR.glob("*.py")} - HELPERS
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README", "messages"}
    assert scripts == pages == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_page_names_the_command_and_leads_to_the_script_and_the_next_page(name: str) -> None:
    page, at = page_of(name), SCRIPTS.index(name)
    following = f"{SCRIPTS[at + 1]}.md" if at + 1 < len(SCRIPTS) else "README.md"
    assert f"`python -m examples.tour.{name}`" in prose(page)
    assert f"../../examples/tour/{name}.py" in links(page)
    assert following in links(page)


@pytest.mark.parametrize(
    ("list_of", "link"), [("docs/concepts/README.md", "{}.md"), ("examples/README.md", "tour/{}.py")]
)
def test_the_lists_have_all_of_the_tour_in_its_order(list_of: str, link: str) -> None:
    listed = [link.format(name) for name in SCRIPTS]
    assert [found for found in links(ROOT / list_of) if found in listed] == listed


def test_outputs_are_compared_without_what_was_measured() -> None:
    one = "   > 60 messages in 0.08 s; shares: 10, 9.\n     0.5 s  ### 30\n   Why: so.\n"
    other = "   > 61 messages in 1.2 s; shares:\n     8, 11.\n     0.5 s  ## 20\n     1.0 s  # 10\n   Why: so.\n"
    assert fixed(one) == fixed(other)
    assert fixed(one) != fixed(one.replace("messages", "letters"))


def test_the_numbers_of_the_pages_are_those_of_the_code() -> None:
    from encola.broker import moves, tenants
    from encola.consumers import app, batches, options, worker
    from encola.engine import fairness, queue, records
    from encola.protocols.sqs import mapping, receiving, sending, validate

    days = options.DELAY_MAX // 86_400
    for name, text in (
        ("asynchrony", f"{records.RESULT_BYTES_MAX:,} bytes"),
        ("producer_consumer", f"1 to {validate.BATCH_ENTRIES_MAX} "),
        ("producer_consumer", f"{validate.BATCH_BYTES_MAX:,} bytes"),
        ("producer_consumer", f"{queue.LEASED_MAX:,} messages"),
        ("visibility_timeout", f"0 to {receiving.VISIBILITY_SECONDS_MAX:,} seconds"),
        ("visibility_timeout", f"{queue.LEASE_TOTAL_MAX // queue.HOUR} hours after the receive"),
        ("visibility_timeout", f"lease for {app.LEASE_DEFAULT:.0f} seconds"),
        ("idempotency", f"{queue.DEDUPLICATION_WINDOW // queue.MINUTE} minutes"),
        ("dead_letters", f"1 to {mapping.MAX_RECEIVES_MAX:,} "),
        ("dead_letters", f"up to {moves.RATE_MAX} messages a second"),
        ("delay", f"0 to {sending.DELAY_SECONDS_MAX} seconds"),
        ("delay", f"up to {days:.0f} days"),
        ("delay", f"more than {queue.LONG_DELAY // queue.MINUTE} minutes"),
        ("fifo", f"for {queue.DEDUPLICATION_WINDOW // queue.MINUTE} minutes"),
        ("fifo", f"1 to {validate.ID_LENGTH_MAX} characters"),
        ("push_pull", f"up to {worker.CONCURRENCY_DEFAULT} jobs at once"),
        ("polling", f"0 to {receiving.WAIT_SECONDS_MAX} seconds"),
        ("smoothing", f"up to {batches.SIZE_MAX:,} "),
        ("smoothing", f"up to {batches.WINDOW_MAX:.0f} "),
        ("fair_queues", f"more than {fairness.NOISY_SHARE:.0%} "),
        ("fair_queues", f"at least {fairness.NOISY_LEASED_MIN} messages"),
    ):
        assert text in section(page_of(name), "Numbers to know"), (name, text)
    assert tenants.REFRESH_MIN == 250  # "a quarter of a second"
