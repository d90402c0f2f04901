"""``encola`` on a machine whose wall clock and disk are at the mercy of a test: python server_machine.py DIR serve ...

DIR/wall    seconds that the wall clock is ahead of the real one
DIR/broken  while this file is there, every fsync fails
"""

import sys
import time
from pathlib import Path
from typing import Any

import apsw

DIRECTORY = Path(sys.argv.pop(1))
BASE = apsw.vfs_names()[0]
WALL, BROKEN = DIRECTORY / "wall", DIRECTORY / "broken"


def set_wall() -> None:
    real = time.time
    time.time = lambda: real() + (float(WALL.read_text() or 0) if WALL.exists() else 0.0)


class File(apsw.VFSFile):
    def xSync(self, flags: int) -> None:  # noqa: N802
        if BROKEN.exists():
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)


class Disk(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("breakable", BASE, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> File:  # noqa: N802
        return File(BASE, name, flags)


if __name__ == "__main__":
    set_wall()
    disk = Disk()
    from encola.cli.main import main

    main()
