"""The embedded store: SQLite in one directory, written by one process."""

from encola.stores.sqlite.backup import backup
from encola.stores.sqlite.check import check
from encola.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "backup", "check"]
