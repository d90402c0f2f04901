"""Chaos: 20,000 jobs while workers are killed, the server is restarted and connections are cut.

None is lost in any mode; where the effect is in a transaction with ``app.once``, each happens exactly once.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process import ServerProcess, clean_environment

from .cutting_proxy import CuttingProxy

JOBS = {"transactional": 12_000, "tracked": 4_000, "untracked": 4_000}
WORKERS = 2
SEED = int(os.environ.get("CHAOS_SEED", "20261124"))
SECONDS_MAX = 720
CALM_SECONDS = (0.3, 1.5)
"""Between two disasters."""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "chaos.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE effect (kind TEXT, number INTEGER)")
    from encola.consumers.once import create_table

    create_table(db)
    db.commit()
    db.close()
    return path


class Crew:
    """The workers; who dies is replaced."""

    def __init__(self, directory: Path, url: str, ledger: Path) -> None:
        self._directory = directory
        self._environment = clean_environment(
            {
                "ENCOLA_ENDPOINT": url,
                "CHAOS_LEDGER": str(ledger),
                "AWS_ACCESS_KEY_ID": "chaos",
                "AWS_SECRET_ACCESS_KEY": "chaos",
                "PYTHONPATH": str(Path(__file__).parents[2]),
            }
        )
        self.workers = [self._start() for _ in range(WORKERS)]
        self.ended: Counter[int] = Counter()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "encola", "work", "tests.crash.work_tasks:app", "-c", "16", "--grace", "1"]
        with (self._directory / "workers.log").open("ab") as log:
            return subprocess.Popen(command, env=self._environment, stderr=log, stdout=log)

    def kill_one(self, chance: random.Random, number: int) -> None:
        victim = chance.choice(self.workers)
        victim.send_signal(number)
        self.workers.remove(victim)
        self.ended[victim.wait(30)] += 1
        self.workers.append(self._start())

    def stop(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(30)


def effects(ledger: Path) -> Counter[tuple[str, int]]:
    db = sqlite3.connect(ledger, timeout=60)
    try:
        return Counter(db.execute("SELECT kind, number FROM effect").fetchall())
    finally:
        db.close()


def disasters(chance: random.Random, crew: Crew, server: ServerProcess, proxy: CuttingProxy) -> Iterator[None]:
    """One after the other, in a random order, but each kind comes."""

    def server_killed() -> None:
        server.kill()
        server.start()
        proxy.target = server.port

    def server_restarted() -> None:
        server.stop()
        server.start()
        proxy.target = server.port

    kinds: list[Callable[[], None]] = [
        lambda: crew.kill_one(chance, signal.SIGKILL),
        lambda: crew.kill_one(chance, signal.SIGTERM),
        proxy.cut,
        proxy.cut,
        server_killed,
        server_restarted,
    ]
    while True:
        chance.shuffle(kinds)
        for disaster in kinds:
            disaster()
            yield


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.timeout(SECONDS_MAX + 60)
def test_no_job_is_lost_and_effects_in_a_transaction_happen_once(
    tmp_path: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(SEED)
    with ServerProcess(tmp_path) as server, CuttingProxy(server.port) as proxy:
        monkeypatch.setenv("ENCOLA_ENDPOINT", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "chaos")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "chaos")
        crew = Crew(tmp_path, proxy.url, ledger)
        from . import work_tasks

        began = time.monotonic()
        _send_all(work_tasks, server)
        count = 0
        for _ in disasters(chance, crew, server, proxy):
            count += 1
            time.sleep(chance.uniform(*CALM_SECONDS))
            missing = sum(JOBS.values()) - len(effects(ledger))
            if missing == 0 or time.monotonic() - began > SECONDS_MAX:
                break
        seconds = time.monotonic() - began
        crew.stop()
        work_tasks.app.close()
    done = effects(ledger)
    lost = {kind: jobs - sum(1 for one, _ in done if one == kind) for kind, jobs in JOBS.items()}
    doubled = Counter(kind for (kind, _), times in done.items() if times > 1)
    print(f"\n{sum(JOBS.values())} jobs in {seconds:.0f} s through {count} disasters; {proxy.cuts} connections cut;")
    print(f"doubled effects: {dict(doubled)} (allowed but for transactional); workers ended: {dict(crew.ended)}")
    assert lost == dict.fromkeys(JOBS, 0)
    assert doubled["transactional"] == 0
    assert count >= 6  # it was no calm day


def _send_all(tasks: object, server: ServerProcess) -> None:
    """All are sent before the first disaster: who is answered may rely on it."""
    for kind, jobs in JOBS.items():
        task = getattr(tasks, kind)
        deadline = time.monotonic() + 30
        while True:  # the workers make the queues
            try:
                task.send(0)
                break
            except Exception:
                assert time.monotonic() < deadline, f"no queue for {kind}"
                time.sleep(0.1)
        task.send_many([(number,) for number in range(1, jobs)])
