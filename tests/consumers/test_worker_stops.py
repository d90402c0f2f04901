"""Workers stop, crash and are renewed, as processes: nothing is lost, and what was not done is not counted."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from encola.testing import EncolaServer

from ..process import ServerProcess
from .bench import Queues, WorkProcess, wait_until

pytestmark = pytest.mark.crash

Work = Callable[..., WorkProcess]

OFFICE = """
import os, pathlib, signal, sys, time
import encola
from encola.consumers import worker

if os.environ.get("HURRIED"):  # that it does not wait for ever is proved, not how long it does
    worker.STOP_SECONDS_MAX = 1.0

app = encola.App(os.environ["NAME"], lease=float(os.environ.get("LEASE", "60")))
QUEUE = os.environ["NAME"]
here = pathlib.Path(__file__).parent

def note(text):
    with (here / "notes").open("a") as notes:
        notes.write(text + "\\n")

def wait_for(name):
    while not (here / name).exists():
        time.sleep(0.01)

@app.task(queue=QUEUE, retries=3, backoff=encola.Backoff(base=0.0))
def held(number):
    attempt = encola.current_job().attempt
    note(f"began {number} attempt {attempt} in {os.getpid()}")
    wait_for("go")
    note(f"ended {number}")

@app.task(queue=QUEUE, retries=3)
async def patient(number):
    import asyncio
    note(f"began {number} attempt {encola.current_job().attempt} in {os.getpid()}")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        note(f"stopped {number}")
        raise

@app.task(queue=QUEUE)
def quick(number):
    note(f"ran {number} in {os.getpid()}")

@app.task(queue=QUEUE)
def grow(mib):
    globals()["kept"] = bytearray(os.urandom(1024) * (mib * 1024))
    note(f"ran {mib} in {os.getpid()}")
"""


class Office:
    """An application in a file, its queue, and the notes that its tasks leave."""

    def __init__(self, directory: Path, name: str, queues: Queues) -> None:
        self.directory = directory
        self.name = name
        self.queues = queues
        (directory / "office.py").write_text(OFFICE)

    def send(self, task: str, *numbers: int) -> None:
        for number in numbers:
            argument = "mib" if task == "grow" else "number"
            self.queues.send(self.name, f'{{"task": "{task}", "args": {{"{argument}": {number}}}}}')

    @property
    def notes(self) -> list[str]:
        path = self.directory / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def noted(self, text: str) -> str:
        """Waits until a note begins so; the first that does."""
        return str(
            wait_until(lambda: next((note for note in self.notes if note.startswith(text)), ""), f"{text} in the notes")
        )

    def go(self) -> None:
        (self.directory / "go").touch()

    def is_empty(self) -> None:
        wait_until(lambda: self.queues.held(self.name) == 0, "an empty queue")


@pytest.fixture
def office(tmp_path: Path, queue: str, queues: Queues) -> Office:
    return Office(tmp_path, queue, queues)


@pytest.fixture
def start(work: Work, office: Office) -> Work:
    return lambda *arguments, **more: work("office:app", *arguments, NAME=office.name, **more)


def pid_of(note: str) -> int:
    return int(note.rpartition(" ")[2])


# Signals ---------------------------------------------------------------------------------------------


def test_what_runs_at_sigterm_is_finished_and_what_comes_later_is_left(start: Work, office: Office) -> None:
    worker = start("--grace", "60").ready()
    office.send("held", 1)
    office.noted("began 1")
    worker.process.send_signal(signal.SIGTERM)
    worker.logs("may end within")
    office.send("held", 2)
    office.go()
    assert worker.wait() == 0
    assert [note.partition(" attempt")[0] for note in office.notes] == ["began 1", "ended 1"]
    assert office.queues.counts(office.name) == (1, 0, 0)
    (left,) = office.queues.receive(office.name)
    assert left["Attributes"]["ApproximateReceiveCount"] == "1"


def test_what_does_not_end_within_the_grace_period_is_given_back_uncounted_and_at_once(
    start: Work, office: Office
) -> None:
    first = start("--grace", "0.2").ready()
    office.send("patient", 1)
    office.send("held", 2)
    office.noted("began 1 attempt 1")
    office.noted("began 2 attempt 1")
    assert first.stop() == 0
    office.noted("stopped 1")
    assert office.queues.counts(office.name) == (2, 0, 0)  # although their lease is 60 s

    second = start("--grace", "0.2").ready()
    wait_until(lambda: len(office.notes) == 5, "the second worker has both")
    assert sorted(note.partition(" in")[0] for note in office.notes[3:]) == ["began 1 attempt 1", "began 2 attempt 1"]
    office.go()
    office.noted("ended 2")
    assert second.stop() == 0


def test_an_idle_worker_ends_at_once_and_leaves_nothing_leased(start: Work, office: Office) -> None:
    """Its long poll was under way: a message that comes right after it must not be lent to nobody."""
    for number in range(3):
        worker = start().ready()
        worker.process.send_signal(signal.SIGTERM)
        office.send("quick", number)
        assert worker.wait() == 0
    ran = len(office.notes)  # some may have come in time
    assert office.queues.counts(office.name) == (3 - ran, 0, 0)


def test_a_second_signal_ends_it_at_once_and_its_message_comes_again(start: Work, office: Office) -> None:
    worker = start("--grace", "600", LEASE="2").ready()
    office.send("held", 1)
    office.noted("began 1")
    worker.process.send_signal(signal.SIGINT)
    worker.logs("may end within")
    assert worker.stop(signal.SIGINT) == 1
    assert "told twice" in worker.logged
    office.go()
    start().ready()
    office.noted("began 1 attempt 2")
    office.is_empty()


def test_sigkill_loses_nothing(start: Work, office: Office) -> None:
    worker = start(LEASE="2").ready()
    office.send("held", 1, 2, 3)
    wait_until(lambda: len(office.notes) == 3, "all run")
    worker.kill()
    office.go()
    start(LEASE="2").ready()
    for number in (1, 2, 3):
        office.noted(f"began {number} attempt 2")
        office.noted(f"ended {number}")
    office.is_empty()


# The supervisor --------------------------------------------------------------------------------------


def test_a_process_is_renewed_after_its_limit_of_jobs(start: Work, office: Office) -> None:
    supervisor = start("--max-jobs", "3", "-c", "1").ready()
    office.send("quick", *range(7))
    office.is_empty()
    pids = [pid_of(note) for note in office.notes]
    assert len(pids) == 7
    # One more may have been fetched when the limit was reached.
    assert len(set(pids)) in (2, 3)
    assert "stops after 3 jobs" in supervisor.logged
    assert supervisor.stop() == 0


def test_a_process_is_renewed_above_its_limit_of_memory(start: Work, office: Office) -> None:
    supervisor = start("--max-memory", "150").ready()
    office.send("grow", 200)
    grown = pid_of(office.noted("ran 200"))
    supervisor.logs("more than 150")
    supervisor.ready(2)
    office.send("quick", 1)
    assert pid_of(office.noted("ran 1 ")) != grown
    assert supervisor.stop() == 0


def test_several_processes_share_the_work_and_end_together(start: Work, office: Office) -> None:
    supervisor = start("-p", "3", "-c", "1").ready(3)
    office.send("held", 1, 2, 3)
    wait_until(lambda: len(office.notes) == 3, "all run")
    children = {child.pid for child in supervisor.children()}
    assert {pid_of(note) for note in office.notes} == children
    assert len(children) == 3
    office.go()
    assert supervisor.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in children)
    office.is_empty()


def test_a_killed_process_is_replaced(start: Work, office: Office) -> None:
    supervisor = start("-p", "2").ready(2)
    victim = supervisor.children()[0].pid
    os.kill(victim, signal.SIGKILL)
    supervisor.ready(3)
    supervisor.logs("ended with status -9")
    assert len(supervisor.children()) == 2
    assert supervisor.stop() == 0


def test_ctrl_c_reaches_all_and_counts_once(start: Work, office: Office) -> None:
    """A terminal sends it to the supervisor and to its processes; these must not take the supervisor's word for a
    second one, and leave their jobs.
    """
    supervisor = start("-p", "2", "--grace", "60").ready(2)
    office.send("held", 1)
    office.noted("began 1")
    for child in supervisor.children():
        child.send_signal(signal.SIGINT)
    supervisor.process.send_signal(signal.SIGINT)
    supervisor.logs("may end within")
    office.go()
    assert supervisor.wait() == 0
    office.noted("ended 1")
    office.is_empty()


def test_a_second_signal_to_the_supervisor_ends_all(start: Work, office: Office) -> None:
    supervisor = start("-p", "2", "--grace", "600").ready(2)
    office.send("held", 1)
    office.noted("began 1")
    supervisor.process.send_signal(signal.SIGTERM)
    supervisor.logs("may end within")
    supervisor.stop()
    assert "told twice" in supervisor.logged
    assert office.queues.counts(office.name) == (0, 1, 0)


def test_processes_whose_supervisor_was_killed_end_in_order(start: Work, office: Office) -> None:
    supervisor = start("-p", "2").ready(2)
    children = supervisor.children()
    office.send("held", 1)
    office.noted("began 1")
    os.kill(supervisor.pid, signal.SIGKILL)
    try:
        supervisor.logs("the supervisor is gone")
        office.go()
        psutil.wait_procs(children, timeout=30)
        assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    finally:
        for child in children:
            if child.is_running():
                child.kill()
    office.noted("ended 1")
    office.is_empty()


def test_a_process_that_crashes_at_once_is_started_again_after_pauses(start: Work, office: Office) -> None:
    program = (office.directory / "office.py").read_text()
    (office.directory / "office.py").write_text(f"{program}\nraise RuntimeError('not today')\n")
    supervisor = start("-p", "2")
    supervisor.logs("the next starts in 0.4 s")
    assert "RuntimeError: not today" in supervisor.logged  # with the traceback: that is what helps
    (office.directory / "office.py").write_text(program)
    supervisor.ready(2)
    assert supervisor.stop() == 0


def test_a_change_of_the_code_starts_it_anew(start: Work, office: Office) -> None:
    supervisor = start("--reload").ready()
    office.send("quick", 1)
    before = pid_of(office.noted("ran 1 "))
    # The watcher may not have begun yet: the change is repeated until it is seen.
    path = office.directory / "office.py"
    program = path.read_text().replace('note(f"ran {number}', 'note(f"did {number}')
    wait_until(lambda: path.write_text(program) and "the code has changed" in supervisor.logged, "seen", 60)
    office.send("quick", 2)
    assert pid_of(office.noted("did 2 ")) != before
    assert supervisor.stop() == 0


def test_a_mistake_in_the_code_is_survived_until_it_is_mended(start: Work, office: Office) -> None:
    path = office.directory / "office.py"
    program = path.read_text()
    path.write_text(program.replace("encola.App(", "encola.Application("))
    supervisor = start("--reload")
    supervisor.logs("has no attribute 'Application'")
    supervisor.logs("ended with status 1")
    path.write_text(program)
    supervisor.ready()
    assert supervisor.stop() == 0


# What cannot begin -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("application", "options", "said"),
    [
        ("nowhere:app", (), "there is no module nowhere"),
        ("office.inner:app", (), "there is no module office.inner"),
        ("office:other", (), "office has no encola.App called other"),
        ("office:QUEUE", (), "office has no encola.App called QUEUE"),
        (":app", (), "names no module"),
        (".office:app", (), "names no module"),
        ("office:app", ("-q", "elsewhere"), "no task of"),
        ("empty:app", (), "empty has no tasks"),
        ("twice:app", (), "two tasks are called one"),
        ("strict:app", (), "the queue strict-queue is missing"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    start: Work, work: Work, office: Office, application: str, options: tuple[str, ...], said: str
) -> None:
    here = office.directory
    (here / "empty.py").write_text("import encola\napp = encola.App('empty')\n")
    (here / "strict.py").write_text(
        "import encola\napp = encola.App('strict', create_queues=False)\n"
        "@app.task(queue='strict-queue')\ndef one(): ...\n"
    )
    declared = "@app.task(queue='q')\ndef one(): ...\n"
    (here / "twice.py").write_text(f"import encola\napp = encola.App('twice')\n{declared}{declared}")
    worker = work(application, *options, NAME=office.name)
    assert worker.wait() == 2
    (line,) = worker.logged.splitlines()
    assert said in line


def test_several_processes_that_cannot_begin_end_the_supervisor(work: Work, office: Office) -> None:
    supervisor = work("office:other", "-p", "2", NAME=office.name)
    assert supervisor.wait() == 2
    assert "office has no encola.App called other" in supervisor.logged


def test_a_taken_port_is_said_in_one_line(start: Work, house: EncolaServer) -> None:
    taken = house.url.rpartition(":")[2]
    worker = start("--status-port", taken)
    assert worker.wait() == 2
    assert f"the port {taken} cannot be had" in worker.logged
    assert "Traceback" not in worker.logged


def test_a_mistake_within_the_module_is_shown_with_its_traceback(work: Work, office: Office) -> None:
    (office.directory / "hasty.py").write_text("limit = int('many')\n")
    worker = work("hasty:app", NAME=office.name)
    assert worker.wait() == 1
    assert "Traceback" in worker.logged
    assert "limit = int('many')" in worker.logged


def test_a_worker_that_waits_for_its_server_can_be_stopped(start: Work, work: Work, office: Office) -> None:
    worker = work("office:app", NAME=office.name, url="http://127.0.0.1:1")
    worker.logs("not there yet")
    assert worker.stop() == 0


# Without its server ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_worker_ends_also_when_its_server_does_not_answer(tmp_path: Path, work: Work, queue: str, how: str) -> None:
    """What it cannot give back comes again when its lease is over."""
    with ServerProcess(tmp_path / "server") as server:
        office = Office(tmp_path, queue, Queues(server.url))
        worker = work("office:app", "--grace", "0.2", NAME=queue, LEASE="2", HURRIED="1", url=server.url).ready()
        office.send("patient", 1)
        office.noted("began 1 attempt 1")
        server.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        assert worker.stop() == 0
        server.restart()
        work("office:app", "--grace", "0.2", NAME=queue, url=server.url).ready()
        office.noted("began 1 attempt 2")


def test_a_worker_whose_keys_are_refused_ends_with_one_line(start: Work) -> None:
    worker = start(AWS_SECRET_ACCESS_KEY="another")
    assert worker.wait() == 2
    (line,) = worker.logged.splitlines()
    assert "the service refuses this worker: " in line
    assert "signature we calculated does not match" in line
