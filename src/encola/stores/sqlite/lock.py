"""One server a data directory: an advisory lock on a file that says who holds it."""

import fcntl
import os
from pathlib import Path

from encola.engine.store import StoreInUseError

FILE_NAME = "encola.lock"


class DirectoryLock:
    """Held from ``acquire`` until ``release`` or the end of the process, however it ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._fd: int | None = None

    def acquire(self) -> None:
        """Raises StoreInUseError, naming directory and process."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise StoreInUseError(
                f"{self._path.parent} is in use by another encola server (process {holder})"
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        self._fd = fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
