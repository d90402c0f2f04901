"""Which queue service is reached: the flag's, else the application's own, else the variable's."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from encola.testing import EncolaServer

from ..cli.test_outbox import Relays
from ..process import ServerProcess, client
from .bench import Queues, WorkProcess, wait_until

NOWHERE = "http://127.0.0.1:1"

APP = """
import os, pathlib
import encola

app = encola.App(os.environ["NAME"], server=os.environ["OWN"])

@app.task(queue=os.environ["NAME"], run="process")
def first() -> None:
    second.send()

@app.task(queue=os.environ["NAME"])
def second() -> None:
    (pathlib.Path(__file__).parent / "ran").touch()
"""


@pytest.mark.parametrize("flags", [(), ("-p", "2")])
def test_the_flag_wins_over_what_the_application_says(
    tmp_path: Path, work: Callable[..., WorkProcess], house: EncolaServer, queues: Queues, queue: str,
    flags: tuple[str, ...],
) -> None:  # fmt: skip
    """It was left aside without a word. It holds in all processes: what a task in one of its own sends comes, too."""
    (tmp_path / "elsewhere.py").write_text(APP)
    arguments = ("elsewhere:app", "--endpoint", house.url, *flags)
    worker = work(*arguments, NAME=queue, OWN=NOWHERE, url=NOWHERE).ready()
    queues.send(queue, '{"task": "first"}')
    wait_until(lambda: (tmp_path / "ran").exists(), "the task that a task in a process sent")
    assert worker.stop() == 0


def test_the_variable_does_not_win_over_what_the_application_says(
    tmp_path: Path, work: Callable[..., WorkProcess], house: EncolaServer, queue: str
) -> None:
    (tmp_path / "elsewhere.py").write_text(APP)
    worker = work("elsewhere:app", NAME=queue, OWN=house.url, url=NOWHERE).ready()
    assert worker.stop() == 0
    assert "not there yet" not in worker.logged


def test_the_flag_of_a_relay_wins_over_what_the_application_says(tmp_path: Path) -> None:
    relays = Relays(tmp_path)
    shop = tmp_path / "shop.py"
    shop.write_text(shop.read_text().replace('App("shop")', f'App("shop", server="{NOWHERE}")'))
    with ServerProcess(tmp_path / "server") as server:
        client(server.url).create_queue(QueueName="confirmations")
        process = relays.start("--create-tables", "--endpoint", server.url)
        try:
            relays.logs("relaying the outbox of shop")
            relays.produce()
            wait_until(lambda: relays.rows == 0, "an empty outbox")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            relays.end()
