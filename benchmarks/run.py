"""Runs of the load generator, and pairs of runs: what is compared is measured one right after the other."""

import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks.job import Job, Outcome

GENERATOR_BUSY_MAX = 0.97
SECONDS_OVER_MAX = 120.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What all benchmarks are told. ``scratch`` must be on the disk that is meant, not in memory."""

    scratch: Path
    cache: Path
    quick: bool = False

    @property
    def rounds(self) -> int:
        return 3 if self.quick else 7

    @property
    def seconds(self) -> float:
        return 1.0 if self.quick else 2.0


class VoidRunError(Exception):
    """The load generator refused an answer or died: there is no figure."""


def generate(job: Job) -> Outcome:
    """Runs a job in a load generator of its own. Raises VoidRunError."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=msgspec.json.encode(job),
        capture_output=True,
        timeout=job.warmup + job.seconds + SECONDS_OVER_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise VoidRunError(f"{job.workload}: {done.stderr.decode(errors='replace')[-1500:]}")
    return msgspec.json.decode(done.stdout, type=Outcome)


def describe(outcome: Outcome) -> str:
    """p50, p99 and how busy both sides were."""
    warning = " (GENERATOR-BOUND)" if outcome.generator_busy > GENERATOR_BUSY_MAX else ""
    return (
        f"p50 {outcome.p50 * 1e3:.2g} ms, p99 {outcome.p99 * 1e3:.2g} ms,"
        f" server {outcome.server_busy:.0%}, generator {outcome.generator_busy:.0%} of a core{warning}"
    )
