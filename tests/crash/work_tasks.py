"""The application of the chaos test: three ways to note that a job ran, each with its own promise."""

import os
import sqlite3

import encola

app = encola.App("chaos", lease=float(os.environ.get("CHAOS_LEASE", "3")))
PATH = os.environ.get("CHAOS_LEDGER", "chaos.db")


def connect() -> sqlite3.Connection:
    """The ledger. It survives the kill of a process, not of the machine: what is proved here is about processes."""
    db = sqlite3.connect(PATH, timeout=60)
    db.execute("PRAGMA synchronous = OFF")
    return db


def note(db: sqlite3.Connection, kind: str, number: int) -> None:
    db.execute("INSERT INTO effect VALUES (?, ?)", (kind, number))


@app.task(queue="transactional", retries=1000)
def transactional(number: int) -> None:
    """Effect and inbox row in one transaction: exactly once."""
    db = connect()
    try:
        with db, app.once(db, f"transactional/{number}"):
            note(db, "transactional", number)
    finally:
        db.close()


@app.task(queue="tracked", retries=1000)
def tracked(number: int) -> int:
    """By the record alone: at least once, and once unless its worker was killed between effect and record."""
    db = connect()
    try:
        with db:
            note(db, "tracked", number)
    finally:
        db.close()
    return number


@app.task(queue="untracked", retries=1000, track=False)
def untracked(number: int) -> None:
    """At least once."""
    db = connect()
    try:
        with db:
            note(db, "untracked", number)
    finally:
        db.close()
