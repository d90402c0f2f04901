"""A real PostgreSQL server for tests: on a free port of the loopback interface, with its data in a temporary directory.

It needs PostgreSQL's programs (Debian: ``postgresql``), which ``.ci/run`` installs where it can.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg

START_SECONDS_MAX = 30
SETTINGS = ("fsync=on", "max_connections=100", "listen_addresses=127.0.0.1", "unix_socket_directories=")


def programs() -> Path | None:
    """The directory of PostgreSQL's programs, if it is installed."""
    for directory in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (directory / "initdb").exists():
            return directory
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PostgresServer:
    """Between ``start`` and ``stop``. PostgreSQL refuses to run as root: then it runs as ``nobody``.

    Its data are in a directory of their own: pytest's are closed to other users, again at each run of pytest.
    """

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="encola-postgres-"))
        self._data = self._directory / "data"
        self._programs = programs()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=encola dbname=postgres"

    def start(self) -> "PostgresServer":
        assert self._programs is not None
        self._data.mkdir()
        user = self._user()
        if "user" in user:
            account = pwd.getpwnam(user["user"])
            for place in (self._directory, self._data):
                os.chown(place, account.pw_uid, account.pw_gid)
        initdb = [str(self._programs / "initdb"), "-D", str(self._data), "-U", "encola", "--auth=trust", "-E", "UTF8"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **user)
        self.launch()
        return self

    def launch(self) -> None:
        """Starts the server on its data (again)."""
        assert self._programs is not None
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        command += [part for setting in SETTINGS for part in ("-c", setting)]
        with (self._directory / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._user())
        deadline = time.monotonic() + START_SECONDS_MAX
        ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready).returncode != 0:
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)

    def new_database(self) -> str:
        """Makes an empty database; how to connect to it."""
        name = f"test_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.conninfo.replace("dbname=postgres", f"dbname={name}")

    def stop(self) -> None:
        """The quick way: connections end, nothing is lost."""
        if self._process is not None:
            self._process.send_signal(2)
            self._process.wait(START_SECONDS_MAX)
            self._process = None

    def remove(self) -> None:
        """Removes its data."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _user(self) -> dict[str, Any]:
        return {"user": "nobody", "cwd": "/"} if os.geteuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
