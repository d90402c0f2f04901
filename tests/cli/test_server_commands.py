"""The commands around the server: serve, config, backup, check; and the command line's own: help, completion."""

import json
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest

from encola import __version__

from ..process import ServerProcess, client
from .conftest import Cli

FILE = """
[server]
port = 9999
public_url = "https://queues.example"

[log]
level = "warning"

[limits]
body_bytes_max = 2000000

[[credentials]]
access_key = "AKIDONE"
secret_key = "a-secret-of-one"
account = "111122223333"
queues = ["one-*"]

[[queues]]
name = "orders.fifo"
attributes = { VisibilityTimeout = 60, RedrivePolicy = { deadLetterTargetArn = "dead.fifo", maxReceiveCount = 3 } }
tags = { team = "a" }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "encola.toml"
    path.write_text(FILE)
    return path


# config ---------------------------------------------------------------------------------------------


def test_config_prints_a_file_that_means_the_same(bare: Cli, file: Path) -> None:
    printed = bare("config", "--config", file)
    values = tomllib.loads(printed)
    assert values["server"]["public_url"] == "https://queues.example"
    assert values["queues"][0]["attributes"]["RedrivePolicy"]["maxReceiveCount"] == 3
    assert values["limits"]["header_bytes_max"] == 32768  # a default
    again = file.with_name("again.toml")
    again.write_text(printed)
    assert bare("config", ENCOLA_CONFIG=str(again)) == printed


def test_config_hides_secrets(bare: Cli, file: Path) -> None:
    for form in ((), ("--json",)):
        printed = bare("config", "--config", file, *form)
        assert "AKIDONE" in printed
        assert "a-secret-of-one" not in printed


def test_flags_go_before_variables_before_the_file(bare: Cli, file: Path) -> None:
    variables = {"ENCOLA_SERVER__PORT": "8888", "ENCOLA_LOG__LEVEL": "debug", "ENCOLA_QUEUES": '[{"name": "own"}]'}
    found = json.loads(bare("config", "--json", "--config", file, "--port", "7777", **variables))
    assert (found["server"]["port"], found["log"]["level"]) == (7777, "debug")
    assert found["limits"]["body_bytes_max"] == 2_000_000
    assert [queue["name"] for queue in found["queues"]] == ["own"]


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (("--config", "/nowhere.toml"), {}, "/nowhere.toml"),
        ((), {"ENCOLA_LOG__LEVL": "debug"}, "levl"),
        ((), {"ENCOLA_SERVER__PORT": "many"}, "server.port"),
        ((), {"ENCOLA_CREDENTIALS": "AKID:very-secret"}, "JSON list"),
        ((), {"ENCOLA_CREDENTIALS": '[{"access_key": "A", "secret_key": ["very-secret"]}]'}, "secret_key"),
        (("--store", "tape"), {}, "store.kind"),
        (("--port", "65536"), {}, "port"),
    ],
)
@pytest.mark.parametrize("command", ["config", "serve"])
def test_a_wrong_configuration_is_refused_in_words(
    bare: Cli, command: str, arguments: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    if command == "serve" and "ENCOLA_SERVER__PORT" not in variables and "--port" not in arguments:
        arguments = (*arguments, "--port", "0")
    refusal = bare.refusal(command, *arguments, status=2, **variables)
    assert said in refusal
    assert "very-secret" not in refusal


# serve ----------------------------------------------------------------------------------------------


def test_a_server_without_credentials_refuses_to_listen_on_a_wide_address(bare: Cli, tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        done = bare.run("serve", "--host", host, "--port", "0", "--data", tmp_path / "data")
        assert done.returncode == 2
        assert "[[credentials]]" in json.loads(done.stderr)["message"]
    assert not (tmp_path / "data").exists()


def test_a_second_server_on_the_same_directory_is_refused_and_harms_nothing(bare: Cli, server: ServerProcess) -> None:
    done = bare.run("serve", "--port", "0", "--data", server.data)
    assert done.returncode == 1
    assert f"in use by another encola server (process {server.pid})" in done.stderr
    assert client(server.url).create_queue(QueueName="still-there")["QueueUrl"]


def test_a_port_that_is_taken_is_told(bare: Cli, server: ServerProcess, tmp_path: Path) -> None:
    done = bare.run("serve", "--port", str(server.port), "--data", tmp_path / "data")
    assert done.returncode == 1
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_path_that_is_no_directory_is_told(bare: Cli, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("in the way")
    done = bare.run("serve", "--port", "0", "--data", path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(path) in done.stderr


def test_the_switches_for_development_say_that_they_are_on(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--relaxed", "--auto-create", "--store", "memory") as server:
        sqs = client(server.url)
        sqs.send_message(QueueUrl=f"{server.url}/000000000000/made-at-once.fifo", MessageBody="m", MessageGroupId="g")
        url = sqs.get_queue_url(QueueName="made-at-once.fifo")["QueueUrl"]
        for _ in range(2):
            sqs.purge_queue(QueueUrl=url)
        sqs.delete_queue(QueueUrl=url)
        sqs.create_queue(QueueName="made-at-once.fifo", Attributes={"FifoQueue": "true"})
        assert server.stop() == 0
        assert not server.data.exists()
        log = server.logged()
    assert "development.relaxed is on" in log
    assert "development.auto_create_queues is on" in log


# backup and check -----------------------------------------------------------------------------------


def test_a_backup_of_a_busy_server_holds_all_that_was_acknowledged_before(bare: Cli, tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "first") as server:
        sqs = client(server.url)
        url = sqs.create_queue(QueueName="work")["QueueUrl"]
        acknowledged: list[str] = []
        stop = threading.Event()

        def produce(sqs: Any) -> None:
            while not stop.is_set():
                entries = [{"Id": str(n), "MessageBody": "x" * 1000} for n in range(10)]
                answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
                acknowledged.extend(one["MessageId"] for one in answer["Successful"])

        producer = threading.Thread(target=produce, args=(client(server.url),))
        producer.start()
        try:
            while len(acknowledged) < 200:
                stop.wait(0.01)
            before = list(acknowledged)
            said = bare("backup", tmp_path / "copy" / "data", "--data", server.data)
            assert len(acknowledged) > len(before)  # nobody had to wait for it
            assert bare("check", "--data", server.data).strip().endswith("is whole")
        finally:
            stop.set()
            producer.join()
        assert "MB" in said
        assert "already holds" in bare.refusal("backup", tmp_path / "copy" / "data", "--data", server.data)
        left = len(acknowledged)
    found = json.loads(bare("check", "--data", tmp_path / "copy" / "data", "--json"))
    assert found["problems"] == []

    with ServerProcess(tmp_path / "copy") as restored:  # its data directory is the copy
        sqs = client(restored.url)
        url = sqs.get_queue_url(QueueName="work")["QueueUrl"]
        seen: set[str] = set()
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            seen.update(message["MessageId"] for message in messages)
    assert set(before) <= seen
    assert len(seen) <= left + 10


def test_check_tells_what_is_missing_and_what_is_broken(bare: Cli, tmp_path: Path) -> None:
    assert str(tmp_path) in bare.refusal("check", "--data", tmp_path, status=2)
    assert "no encola data" in bare.refusal("backup", tmp_path / "copy", "--data", tmp_path)
    with ServerProcess(tmp_path) as server:
        sqs = client(server.url)
        url = sqs.create_queue(QueueName="work")["QueueUrl"]
        for n in range(30):
            entries = [{"Id": str(m), "MessageBody": f"{n}" * 2000} for m in range(10)]
            sqs.send_message_batch(QueueUrl=url, Entries=entries)
        assert server.stop() == 0
    assert bare("check", "--data", server.data).strip().endswith("is whole")
    database = server.data / "encola.db"
    with database.open("r+b") as file:  # a page in the middle is lost
        file.seek(database.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xaa" * 4096)
    done = bare.run("check", "--data", server.data)
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "whole" not in done.stdout


# The command line itself ----------------------------------------------------------------------------


def test_help_and_version(bare: Cli) -> None:
    assert bare("--version").strip() == f"encola {__version__}"
    text = bare("-h")
    commands = ("serve", "config", "backup", "check", "queues", "send", "receive", "peek", "purge", "redrive", "top")
    assert all(f" {command} " in text for command in commands)


def test_shells_complete_commands_and_options(bare: Cli) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert f"_ENCOLA_COMPLETE=complete_{shell}" in bare(_ENCOLA_COMPLETE=f"source_{shell}")
    words = {"_ENCOLA_COMPLETE": "complete_bash"}
    assert bare(COMP_WORDS="encola re", COMP_CWORD="1", **words).split() == ["receive", "resume", "redrive"]
    assert "--visibility" in bare(COMP_WORDS="encola receive --vis", COMP_CWORD="2", **words).split()
