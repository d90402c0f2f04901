"""Huey on SQLite, with fsync. A message is gone when its task begins: Huey acknowledges nothing."""

from pathlib import Path

from huey import SqliteHuey

from benchmarks.task_peers.ledger import QUEUE, SERVER, in_turn, tick

huey = SqliteHuey("bench", filename=str(Path(SERVER) / f"{QUEUE}.db"), fsync=True, results=False)


@huey.task()
def noop() -> None:
    tick()


SENDERS = {"in turn": in_turn(noop)}
