"""``make help`` is where a newcomer looks first: it explains every target."""

import re
import subprocess

from .files import ROOT

TARGET = re.compile(r"^([a-z][\w-]*):(?!=)", re.MULTILINE)


def test_make_help_explains_every_target() -> None:
    targets = TARGET.findall((ROOT / "Makefile").read_text("utf-8"))
    run = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    explained = {words[1] for line in run.stdout.splitlines() if len(words := line.split()) > 3 and words[0] == "make"}
    assert {"demo", "test", "check", "serve", "bench"} <= explained
    assert explained == set(targets)


def test_help_is_what_make_does_without_a_target() -> None:
    assert re.search(r"^\.DEFAULT_GOAL := help$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
