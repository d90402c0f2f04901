"""Other people's servers, fetched once into ``.cache/``: each in an environment (or jar directory) of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FETCH_SECONDS_MAX = 900.0

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>benchmarks</groupId><artifactId>peer</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>
  </dependencies>
</project>
"""


class UnavailableError(Exception):
    """A peer cannot be had on this machine; the text says why."""


def python_at_least(minor: int) -> str:
    """An interpreter that is Python 3.``minor`` or later: this one, one on the path, or one of pyenv's."""
    if sys.version_info >= (3, minor):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for newer in range(minor, minor + 4):
        for candidate in (f"python3.{newer}", *sorted(map(str, pyenv.glob(f"versions/3.{newer}.*/bin/python")))):
            found = shutil.which(candidate)
            # A shim of pyenv is there for versions that are not switched on, too: ask it.
            if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
                return found
    raise UnavailableError(f"needs Python 3.{minor} or later, and there is none here")


def venv(home: Path, packages: Sequence[str], python: str = sys.executable) -> Path:
    """The ``bin`` of an environment that has these packages. Raises UnavailableError."""
    wanted, done = "\n".join([python, *packages]), home / "installed.txt"
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(home, ignore_errors=True)
        _run([python, "-m", "venv", str(home)])
        _run([str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *packages])
        done.write_text(wanted)
    return home / "bin"


def version(bin_directory: Path, package: str) -> str:
    """The installed version of a package."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run(
        [str(bin_directory / "python"), "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def jars(home: Path, group: str, artifact: str, artifact_version: str) -> str:
    """The class path of an artifact of Maven Central with all it needs. Raises UnavailableError."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise UnavailableError(f"needs {tool}, which is not installed")
    wanted, done = f"{group}:{artifact}:{artifact_version}", home / "installed.txt"
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / "pom.xml").write_text(_POM.format(group=group, artifact=artifact, version=artifact_version))
        command = ["mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=lib"]
        _run(command, home)
        done.write_text(wanted)
    return str(home / "lib" / "*")


def _run(command: Sequence[str], directory: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=FETCH_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise UnavailableError(f"could not be installed: {''.join(last)[:300]}")
