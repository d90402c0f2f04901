"""The examples run as their readers run them, on a real server; each checks its own result."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..process import ServerProcess, clean_environment

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PROGRAMS = ("quickstart", "ordered", "dead_letters")
SECONDS_MAX = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all: the examples have queues of their own."""
    with ServerProcess(tmp_path_factory.mktemp("examples")) as server:
        yield server


def run(*arguments: str, url: str = "") -> str:
    """What Python wrote; its failure is the test's."""
    environment = clean_environment({"ENCOLA_ENDPOINT": url} if url else None)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_runs_also_a_second_time(name: str, server: ServerProcess) -> None:
    first = run("-m", f"examples.{name}", url=server.url)
    assert first
    assert run("-m", f"examples.{name}", url=server.url) == first


def test_the_example_of_tests_passes() -> None:
    assert "2 passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", "examples/testing")


def test_the_demo_can_be_imported() -> None:
    for module in ("diary", "flights", "ledger", "office", "staff", "tasks", "users", "__main__"):
        importlib.import_module(f"examples.back_office.{module}")


def test_every_example_is_in_the_list_and_run_here() -> None:
    folders = {path.parent.name for path in EXAMPLES.glob("*/__init__.py")}
    listed = {name for name in folders if f"]({name})" in (EXAMPLES / "README.md").read_text("utf-8")}
    assert listed == {*PROGRAMS, "testing", "back_office"}
    assert folders == {*listed, "tour"}  # of which test_tour.py knows more
