"""The back office's database: finished reports. A report that is made twice is there twice, and on the bill twice."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from encola.consumers.once import create_table

BUSY_SECONDS_MAX = 30


class Ledger:
    """Rows of reports in a SQLite file that all processes of the office share."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> "Ledger":
        """Makes the tables: reports, and the inbox rows of ``app.once``."""
        with self.transaction() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE IF NOT EXISTS report (request TEXT, way TEXT, report TEXT, made_at REAL)")
            create_table(db)
        return self

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end of the block, or rolled back."""
        db = sqlite3.connect(self._path, timeout=BUSY_SECONDS_MAX)
        try:
            with db:
                yield db
        finally:
            db.close()

    def rows(self, way: str) -> list[str]:
        """The requests whose reports were made this way, one for each time."""
        with self.transaction() as db:
            return [request for (request,) in db.execute("SELECT request FROM report WHERE way = ?", (way,))]


def insert(db: sqlite3.Connection, request: str, way: str, report: dict[str, Any]) -> None:
    """Puts a report into the ledger, within the caller's transaction."""
    db.execute("INSERT INTO report VALUES (?, ?, ?, ?)", (request, way, json.dumps(report), time.time()))
