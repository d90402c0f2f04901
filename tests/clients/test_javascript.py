"""The AWS SDK for JavaScript (@aws-sdk/client-sqs) against a real server; its stories are ``js/stories.test.mjs``."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ..process import KEY, SECRET, ServerProcess, clean_environment

pytestmark = pytest.mark.clients

DIRECTORY = Path(__file__).with_name("js")


@pytest.fixture(scope="module")
def sdk() -> Path:
    """The directory in which the SDK is installed, as its lock file says."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("needs node and npm")
    modules = DIRECTORY / "node_modules"
    lock = modules / ".package-lock.json"  # npm writes it last
    if not lock.exists() or lock.stat().st_mtime < (DIRECTORY / "package-lock.json").stat().st_mtime:
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=DIRECTORY, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"npm cannot install the SDK: {done.stderr[-300:]}")
    return DIRECTORY


def test_the_stories_hold_for_the_javascript_sdk(sdk: Path, keyed_server: ServerProcess) -> None:
    environment = clean_environment({"ENDPOINT": keyed_server.url, "KEY": KEY, "SECRET": SECRET})
    command = ["node", "--test", "--test-reporter=tap", "stories.test.mjs"]
    run = subprocess.run(command, cwd=sdk, env=environment, capture_output=True, text=True, timeout=90)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    passed = re.search(r"^# pass (\d+)$", run.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) == (sdk / "stories.test.mjs").read_text().count('\ntest("')
