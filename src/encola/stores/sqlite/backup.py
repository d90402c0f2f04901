"""A consistent copy of a data directory while a server works in it."""

from pathlib import Path

import apsw

from encola.engine.store import StoreError
from encola.stores.sqlite.connection import FILE_NAME, make_directory, open_reader, store_error, sync


def backup(source: Path, target: Path) -> Path:
    """Copies the database of ``source`` into ``target``; answers the new file, fsynced.

    It is one snapshot: all that was acknowledged when the call began is in it. Readers do not stop the writer, so the
    server goes on. Restoring is starting a server on ``target``. Raises StoreError when there is nothing to copy or
    ``target`` already holds a database.
    """
    origin, copy = source / FILE_NAME, target / FILE_NAME
    if not origin.is_file():
        raise StoreError(f"no encola data in {source}")
    if copy.exists():
        raise StoreError(f"{target} already holds encola data")
    make_directory(target)
    unfinished = copy.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        connection = open_reader(origin)
        connection.execute("PRAGMA query_only = OFF")  # which would forbid the copy, too
        connection.execute("VACUUM INTO ?", (str(unfinished),))
        connection.close()
    except apsw.Error as error:
        unfinished.unlink(missing_ok=True)
        raise store_error(error) from error
    sync(unfinished)
    unfinished.rename(copy)
    sync(target)
    return copy
