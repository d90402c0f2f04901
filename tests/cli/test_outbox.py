"""``encola outbox`` as a process: it waits for its server, sends what was committed, stops in order."""

import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..consumers.bench import SECONDS_MAX, wait_until
from ..process import CREDENTIALS, ENCOLA, KEY, SECRET, ServerProcess, clean_environment, client
from .conftest import Cli

SHOP = """
import sqlite3
import encola

app = encola.App("shop")
number = 7

@app.task(queue="confirmations")
def confirm(number: int) -> None: ...

def connect():
    return sqlite3.connect("shop.db", timeout=30)
def nothing():
    return object()
"""
PRODUCER = """
import shop
connection = shop.connect()
with connection:
    shop.app.outbox(connection).send(shop.confirm, 7)
"""


class Relays:
    """A directory with an application, and relays of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "shop.py").write_text(SHOP)
        self._started: list[subprocess.Popen[bytes]] = []
        self.environment = clean_environment({"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET})

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [ENCOLA, "outbox", "shop:app", "--connect", "shop:connect", *arguments]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, cwd=self.directory, env=self.environment, stdout=log, stderr=log)
        self._started.append(process)
        return process

    @property
    def log(self) -> Path:
        return self.directory / "relay.log"

    def logs(self, text: str) -> None:
        """Waits until the log has this text."""
        wait_until(lambda: text in self.log.read_text(), f"{text!r} in {self.log.read_text()}")

    def produce(self) -> None:
        """What another program commits."""
        subprocess.run([sys.executable, "-c", PRODUCER], cwd=self.directory, env=self.environment, check=True)

    @property
    def rows(self) -> int:
        connection = sqlite3.connect(self.directory / "shop.db", timeout=30)
        try:
            return int(connection.execute("SELECT count(*) FROM encola_outbox").fetchone()[0])
        finally:
            connection.close()

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture
def relays(tmp_path: Path) -> Iterator[Relays]:
    one = Relays(tmp_path)
    yield one
    one.end()


def held(server: ServerProcess, url: str) -> int:
    name = "ApproximateNumberOfMessages"
    return int(client(server.url).get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_relay_waits_for_its_server_sends_and_stops_in_order(relays: Relays, tmp_path: Path) -> None:
    port = free_port()
    process = relays.start("--create-tables", "--endpoint", f"http://127.0.0.1:{port}")
    relays.logs("is not there yet, trying again")
    relays.produce()
    assert relays.rows == 1
    with ServerProcess(tmp_path / "server", port=port, environment={"ENCOLA_CREDENTIALS": CREDENTIALS}) as server:
        url = client(server.url).create_queue(QueueName="confirmations")["QueueUrl"]
        wait_until(lambda: held(server, url) == 1, "the message")
        wait_until(lambda: relays.rows == 0, "an empty outbox")
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0
    assert "the relay has ended; it had sent 1 messages" in relays.log.read_text()


def test_a_relay_that_waits_can_be_stopped(relays: Relays) -> None:
    process = relays.start("--endpoint", "http://127.0.0.1:1")
    relays.logs("is not there yet, trying again")
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS_MAX) == 0


def test_a_thread_that_does_not_end_does_not_keep_a_relay(relays: Relays, server: ServerProcess) -> None:
    """Such as one that a driver of a database has made: the process was there for ever, deaf to signals."""
    shop = relays.directory / "shop.py"
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), name='driver').start()\n"
    shop.write_text(shop.read_text() + thread)
    process = relays.start("--create-tables", "--endpoint", server.url)
    relays.logs("relaying the outbox of shop")
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS_MAX) == 0
    assert "threads do not end, and are left: driver" in relays.log.read_text()


@pytest.mark.crash
def test_when_a_relay_is_killed_the_next_one_goes_on(relays: Relays, server: ServerProcess) -> None:
    first = relays.start("--create-tables", "--endpoint", server.url)
    relays.logs("relaying the outbox of shop")
    relays.produce()  # its queue is missing: the row stays
    relays.logs("stay in the outbox, trying again")
    first.kill()
    first.wait()
    url = client(server.url).create_queue(QueueName="confirmations")["QueueUrl"]
    connection = sqlite3.connect(relays.directory / "shop.db", timeout=30)
    with connection:
        connection.execute("UPDATE encola_outbox_leader SET until_at = 1")  # as if thirty seconds had passed
    connection.close()
    relays.start("--endpoint", server.url)
    wait_until(lambda: relays.rows == 0, "an empty outbox")
    assert held(server, url) == 1


@pytest.mark.parametrize(
    ("app", "connect", "told"),
    [
        ("nowhere:app", "shop:connect", "there is no module nowhere"),
        ("shop:number", "shop:connect", "shop has no encola.App called number"),
        ("shop:app", "nowhere:connect", "there is no module nowhere"),
        ("shop:app", "shop:number", "shop:number is no function that opens a connection"),
        ("shop:app", "shop:missing", "shop:missing is no function that opens a connection"),
        ("shop:app", "shop:nothing", "connections of builtins are not known here"),
    ],
)
def test_what_is_configured_wrongly_is_told_in_one_line(
    bare: Cli, relays: Relays, server: ServerProcess, app: str, connect: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(relays.directory)
    arguments = ["outbox", app, "--connect", connect, "--endpoint", server.url]
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    said = bare.refusal(*arguments, status=2, **keys)
    (line,) = [line for line in said.splitlines() if "CRITICAL" in line]
    assert told in line


def test_a_relay_without_a_connection_is_called_wrongly(bare: Cli) -> None:
    assert "--connect" in bare.refusal("outbox", "shop:app", status=2)
