"""Each workload of the load generator runs against a real server: it checks every answer, and the counts agree."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.job import Job
from benchmarks.run import generate
from benchmarks.servers import Running, encola
from benchmarks.workloads import WORKLOADS

MESSAGES = 500
ENDED = ("drain", "drain_batch")  # that take what waits
ORDERED = ("lock_fill", "ordered_mix")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with encola(tmp_path_factory.mktemp("benchmarks") / "data") as running:
        yield running


def job(server: Running, workload: str, url: str, messages: int | None = None) -> Job:
    return Job(
        port=server.port,
        workload=workload,
        queue_url=url,
        connections=8,
        warmup=0.05,
        seconds=0.4,
        messages=messages,
        server_pid=server.pid,
    )


@pytest.mark.parametrize("workload", sorted(WORKLOADS))
def test_a_workload_does_what_it_says(server: Running, workload: str) -> None:
    more = {"FifoQueue": "true"} if workload in ORDERED else {}
    url = server.queue(f"{workload}.fifo" if more else workload, **more)
    stocked = 0
    if workload in ENDED:
        stocked = generate(job(server, "batch", url, 20 * MESSAGES)).sent  # fewer where the time was over first
    if workload == "lock_fill":  # has an end, which may come before the measuring begins
        outcome = generate(job(server, workload, url, MESSAGES))
        assert outcome.sent == MESSAGES
    else:
        outcome = generate(job(server, workload, url))
        assert outcome.requests > 0
        assert outcome.messages > 0
        assert 0 < outcome.p50 <= outcome.p99
    control = server.control()
    try:
        assert control.stored(url) == stocked + outcome.sent - outcome.deleted
    finally:
        control.close()


def test_a_benchmark_prints_its_table_and_writes_its_figures(tmp_path: Path) -> None:
    from benchmarks.results import Report
    from benchmarks.run import Settings

    from benchmarks import start

    class Once(Settings, frozen=True, kw_only=True):  # type: ignore[misc]
        @property
        def rounds(self) -> int:
            return 0

    result = start.run(Once(scratch=tmp_path, cache=tmp_path, quick=True))
    assert {figure.unit for figure in result.figures} == {"s", "MB"}
    assert all(figure.value and figure.value > 0 for figure in result.figures)
    Report(machine={"python": "any"}, quick=True, results=[result]).write(tmp_path / "report.json")
    assert b'"start"' in (tmp_path / "report.json").read_bytes()
