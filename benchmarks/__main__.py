"""``make bench``, or ``python -m benchmarks [NAMES] [--quick] [--json FILE]``: tables of what was measured."""

import argparse
import importlib
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import Report, Result, console, show
from benchmarks.run import Settings

NAMES = ("throughput", "peers", "depth", "ordered", "polls", "start", "pages", "tasks", "tasks_async", "tasks_idle")
ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache" / "benchmarks"
FSYNC_TRIES = 50
FSYNC_BYTES = 100_000


def main() -> int:
    """Exit status 1 if a bar was missed."""
    arguments = _arguments()
    arguments.data.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="run-", dir=arguments.data))
    settings = Settings(scratch=scratch, cache=CACHE, quick=arguments.quick)
    results: list[Result] = []
    machine = _machine(scratch)
    console.print(", ".join(f"{name}: {value}" for name, value in machine.items()), highlight=False)
    try:
        for name in arguments.names or NAMES:
            console.rule(name)
            result: Result = importlib.import_module(f"benchmarks.{name}").run(settings)
            results.append(result)
            show(result)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if arguments.json:
            Report(machine=machine, quick=arguments.quick, results=results).write(arguments.json)
    if len(results) > 1:
        console.rule("all")
        for result in results:
            show(result)
    return int(any(one.verdict == "MISS" for result in results for one in result.figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a shallower queue")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument(
        "--data", type=Path, default=CACHE / "data", metavar="DIR", help="where the servers' data goes (a real disk)"
    )
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in NAMES:
            parser.error(f"no benchmark is called {name}: choose from {', '.join(NAMES)}")
    return arguments


def _machine(scratch: Path) -> dict[str, str]:
    """What the figures depend on, besides the code."""
    return {
        "python": platform.python_version(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load average at the start": f"{os.getloadavg()[0]:.2f}",
        f"fsync of {FSYNC_BYTES // 1000} kB": f"{_fsync_seconds(scratch) * 1e3:.2f} ms",
    }


def _fsync_seconds(scratch: Path) -> float:
    """The median time of an append with fsync."""
    file, block, times = scratch / "fsync", b"x" * FSYNC_BYTES, []
    with file.open("wb", buffering=0) as out:
        for _ in range(FSYNC_TRIES):
            begun = time.perf_counter()
            out.write(block)
            os.fsync(out.fileno())
            times.append(time.perf_counter() - begun)
    file.unlink()
    return sorted(times)[FSYNC_TRIES // 2]


if __name__ == "__main__":
    sys.exit(main())
