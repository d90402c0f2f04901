"""Many small writes become few, and a peak becomes a plain. ``python -m examples.tour.smoothing``"""

import os
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import encola
from examples.tour.stage import Stage, saw, step, title, wait_for, why

EVENTS = 1000
SIZE = 200
RATE = 500
"""Items a second."""

app = encola.App("tour-smoothing")


def connect() -> sqlite3.Connection:
    return sqlite3.connect(Path(os.environ["TOUR_DIRECTORY"]) / "events.db", timeout=30)


def write(table: str, events: list[int]) -> None:
    """One transaction: the database syncs its disk once, for one row or for many."""
    with closing(connect()) as db, db:
        now = time.time()
        db.executemany(f"INSERT INTO {table} VALUES (?, ?)", [(event, now) for event in events])


@app.batch(queue="events", size=SIZE, window=0.2)
def write_many(events: list[int]) -> None:
    write("batched", events)


@app.batch(queue="paced-events", size=SIZE // 4, window=0.2, rate=f"{RATE}/s")
def write_at_a_pace(events: list[int]) -> None:
    write("paced", events)


def rows(table: str) -> list[tuple[int, float]]:
    """Events, and when their transaction was."""
    with closing(connect()) as db:
        return db.execute(f"SELECT event, at FROM {table} ORDER BY at").fetchall()


def transactions(table: str) -> int:
    return len({at for _, at in rows(table)})


def main() -> None:
    title(
        "Smoothing writes",
        "Databases like few large writes at an even pace. Users send many small ones, all at once.",
    )
    with Stage() as stage, closing(connect()) as db:
        db.execute("PRAGMA journal_mode = WAL")
        for table in ("single", "chunks", "batched", "paced"):
            db.execute(f"CREATE TABLE {table} (event INTEGER, at REAL)")
        for name in ("events", "paced-events"):
            stage.sqs.create_queue(QueueName=name)

        step(1, f"{EVENTS} events are written as they come, each in a transaction of its own.")
        began = time.monotonic()
        for event in range(EVENTS):
            write("single", [event])
        busy = time.monotonic() - began
        saw(f"{transactions('single')} transactions; they kept the database busy for {busy * 1000:.0f} ms.")
        began = time.monotonic()
        for first in range(0, EVENTS, SIZE):
            write("chunks", list(range(first, first + SIZE)))
        busy = time.monotonic() - began
        saw(f"The same, written {SIZE} at a time: {transactions('chunks')} transactions in {busy * 1000:.0f} ms.")
        assert (transactions("single"), transactions("chunks")) == (EVENTS, EVENTS // SIZE)
        why("The price of a transaction is in its commit, not in its rows. But users send one at a time.")

        step(2, f"{EVENTS} events are sent to a queue. A batch task gets up to {SIZE} at once, or those of 0.2 s.")
        write_many.send_many((event,) for event in range(EVENTS))
        stage.start_worker("examples.tour.smoothing:app")
        wait_for(lambda: len(rows("batched")) >= EVENTS, "the batches")
        count = transactions("batched")
        saw(f"{len(rows('batched'))} events in {count} transactions: {EVENTS // count} in each, on average.")
        assert sorted(event for event, _ in rows("batched")) == list(range(EVENTS))
        assert count < EVENTS / 10
        why("The queue holds the events while they wait a moment for company. Their senders do not wait for it.")

        step(3, f"The same to a batch task that may write {RATE} events a second, whatever comes (rate='{RATE}/s').")
        began = time.monotonic()
        write_at_a_pace.send_many((event,) for event in range(EVENTS))
        burst = time.monotonic() - began
        wait_for(lambda: len(rows("paced")) >= EVENTS, "the paced batches")
        written = rows("paced")
        took = written[-1][1] - written[0][1]
        saw(f"They were sent in {burst:.2f} s, and written in {took:.2f} s:")
        halves = Counter(int((at - written[0][1]) / 0.5) for _, at in written)
        for half in range(max(halves) + 1):
            print(f"     {half * 0.5:.1f} s  {'#' * (halves[half] // 10)} {halves[half]}")
        assert sorted(event for event, _ in written) == list(range(EVENTS))
        assert took > max(burst, EVENTS / RATE / 2)
        why("The queue takes the peak, and the database sees a plain. The backlog is on the queue's disk meanwhile.")
    app.close()


if __name__ == "__main__":
    main()
