"""The same stories told by a client of the older wire protocol, Query with XML answers.

botocore spoke it up to 1.31.80, and much that is in service still does. That version is installed beside ours, in a
directory of the project's cache, and the tests of boto3 run on it in a process of their own.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..process import clean_environment

pytestmark = pytest.mark.clients

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ("boto3==1.28.80", "botocore==1.31.80")
STORIES = ("test_boto3.py", "test_boto3_resource.py")
PASSED_MIN = 20  # a run that finds no tests proves nothing


@pytest.fixture(scope="session")
def old_client() -> Path:
    """A directory to put on the import path."""
    directory = ROOT / ".cache" / "-".join(REQUIREMENTS).replace("==", "-")
    if not directory.exists():
        unfinished = directory.with_name(f"{directory.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, "--target", unfinished, *REQUIREMENTS], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"pip cannot install {REQUIREMENTS}: {done.stderr[-300:]}")
        unfinished.rename(directory)
    return directory


def test_the_stories_of_boto3_hold_in_the_query_protocol(old_client: Path) -> None:
    environment = clean_environment({"PYTHONPATH": str(old_client), "PYTHONDONTWRITEBYTECODE": "1"})
    model = "print(__import__('botocore.session').session.get_session().get_service_model('sqs').protocol)"
    spoken = subprocess.run([sys.executable, "-c", model], env=environment, capture_output=True, text=True, check=True)
    assert spoken.stdout.strip() == "query"

    here = Path(__file__).parent
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "keyed or not open"]
    run = subprocess.run(
        [*pytest_, *(here / story for story in STORIES)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-5000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) >= PASSED_MIN, run.stdout[-1000:]
