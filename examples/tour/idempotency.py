"""At least once, and what makes of it effects that happen once. ``python -m examples.tour.idempotency``"""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import encola
from encola.consumers.once import create_table
from examples.tour.stage import Stage, saw, step, title, wait_for, why

LEASE_SECONDS = 2  # so that the messages of a dead worker soon come again
QUEUES = ("naive", "keyed", "once")

app = encola.App("tour-idempotency", lease=LEASE_SECONDS)


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """Of the bank's database: committed at the end of the block, or rolled back."""
    db = sqlite3.connect(Path(os.environ["TOUR_DIRECTORY"]) / "bank.db", timeout=30)
    with closing(db), db:
        yield db


def charge(db: sqlite3.Connection, way: str, order: str) -> None:
    """The effect: money is taken from somebody's account."""
    db.execute("INSERT INTO charge VALUES (?, ?)", (way, order))


def before_it_is_reported(order: str) -> None:
    """The moment after the effect, in which the queue does not know of it yet. Here our worker will be killed."""
    if order == "unlucky" and encola.current_job().attempt == 1:
        time.sleep(60)


@app.task(queue="naive", track=False)
def charge_naively(order: str) -> None:
    with transaction() as db:
        charge(db, "naive", order)
    before_it_is_reported(order)


@app.task(queue="keyed", key="{order}")
def charge_by_key(order: str) -> None:
    with transaction() as db:
        charge(db, "keyed", order)
    before_it_is_reported(order)


@app.task(queue="once", key="{order}")
def charge_once(order: str) -> None:
    with transaction() as db, app.once(db, f"charge/{order}"):  # one transaction: the charge, and that it was done
        charge(db, "once", order)
    before_it_is_reported(order)


TASKS = (charge_naively, charge_by_key, charge_once)


def charged(order: str) -> dict[str, int]:
    """How often an order was paid, by the way of charging."""
    with transaction() as db:
        rows = db.execute("SELECT way, count(*) FROM charge WHERE orders = ? GROUP BY way", (order,))
        found = dict(rows.fetchall())
    return {way: found.get(way, 0) for way in QUEUES}


def told(order: str) -> str:
    return ", ".join(f"{way}: {times} x" for way, times in charged(order).items())


def main() -> None:
    title("Idempotency", "A queue delivers at least once. What was done twice must be as if it was done once.")
    with Stage() as stage:
        queues = [stage.sqs.create_queue(QueueName=name)["QueueUrl"] for name in QUEUES]
        with transaction() as db:
            db.execute("CREATE TABLE charge (way TEXT, orders TEXT)")
            create_table(db)
        worker = stage.start_worker("examples.tour.idempotency:app")

        def all_done() -> bool:
            return sum(sum(stage.counts(queue).values()) for queue in queues) == 0

        step(1, "A user orders, and clicks again. Each click sends a message to three tasks that charge it.")
        clicks = []
        for _ in range(2):
            clicks.append([task.send("clicked twice").id for task in TASKS])
            wait_for(all_done, "the work")
        saw(f"Charged: {told('clicked twice')}.")
        assert charged("clicked twice") == {"naive": 2, "keyed": 1, "once": 1}
        assert [first == second for first, second in zip(*clicks, strict=True)] == [False, True, True]
        why(
            "A key says which wish it is. The second message with this key finds the record of the first, and nothing "
            "is run. Without a key, nobody can tell a second click from a second order."
        )

        step(
            2,
            "The order 'unlucky' is sent once to each task. They charge it: that is committed in the bank's database.",
        )
        for task in TASKS:
            task.send("unlucky")
        wait_for(lambda: charged("unlucky") == dict.fromkeys(QUEUES, 1), "the charges")
        saw(f"Charged: {told('unlucky')}. Before the queue hears of it, the worker is killed (kill -9).")
        worker.send_signal(signal.SIGKILL)
        died = time.monotonic()

        step(3, f"Another worker starts. The leases of the dead one end after {LEASE_SECONDS} s.")
        stage.start_worker("examples.tour.idempotency:app")
        wait_for(all_done, "the second attempts")
        saw(f"After {time.monotonic() - died:.1f} s all messages are done. Charged: {told('unlucky')}.")
        assert charged("unlucky") == {"naive": 2, "keyed": 2, "once": 1}
        why(
            "Between an effect and its report there is a moment in which a machine can die. To try again is right, "
            "since a message must not be lost. A key alone cannot help: the record of the job is in one place, the "
            "effect in another. once() writes 'done' in the transaction of the effect, so both are there or neither."
        )
        saw("So: at least once from the queue, and effects once in your transaction. Nobody can promise more.")
    app.close()


if __name__ == "__main__":
    main()
