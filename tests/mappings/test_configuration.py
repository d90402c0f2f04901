"""Functions and mappings in the configuration: what is taken, what is refused, what is shown."""

import json
from pathlib import Path

import pytest

from encola.server.compose import Server
from encola.server.config import Config, ConfigError, load, plain

FILE = """
[push]
url_prefixes = ["http://127.0.0.1:9000/"]

[[functions]]
name = "report"
target = "python:reports:handler"
environment = { TOKEN = "secret one" }

[[functions]]
name = "hook"
target = "https://hooks.example.org/report"
headers = { Authorization = "secret two" }

[[mappings]]
queue = "reports"
function = "report"
filters = ['{"body": {"month": [{"exists": true}]}}']
"""


def loaded(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> Config:
    file = tmp_path / "encola.toml"
    file.write_text(text)
    return load(file, environment or {}, {})


def test_functions_and_mappings_are_lists_of_tables(tmp_path: Path) -> None:
    config = loaded(tmp_path, FILE)
    assert [function.name for function in config.functions] == ["report", "hook"]
    assert config.mappings[0].filters == ('{"body": {"month": [{"exists": true}]}}',)
    assert config.push.url_prefixes == ("http://127.0.0.1:9000/",)


def test_in_the_environment_they_are_json(tmp_path: Path) -> None:
    functions = [{"name": "f", "target": "aws:f", "timeout": 60}]
    environment = {
        "ENCOLA_FUNCTIONS": json.dumps(functions),
        "ENCOLA_MAPPINGS": "[]",
        "ENCOLA_PUSH__URL_PREFIXES": '["http://h/"]',
    }
    config = loaded(tmp_path, FILE, environment)
    assert [function.timeout for function in config.functions] == [60]
    assert (config.mappings, config.push.url_prefixes) == ((), ("http://h/",))


def test_what_may_be_secret_is_not_shown(tmp_path: Path) -> None:
    shown = json.dumps(plain(loaded(tmp_path, FILE)))
    assert "secret" not in shown
    assert "Authorization" in shown


@pytest.mark.parametrize(
    "wrong",
    [
        '[[functions]]\nname = "f"\ntarget = "f"',
        '[[functions]]\nname = "f"\ntarget = "aws:f"\ntimeout = 901',
        '[[functions]]\nname = "f"\ntarget = "aws:f"\nspeed = 1',
        '[[functions]]\nname = "f"\ntarget = "aws:f"\n[[functions]]\nname = "f"\ntarget = "aws:g"',
        '[[mappings]]\nqueue = "q"',
        '[[mappings]]\nqueue = "q"\nfunction = "f"\nbatchsize = 1',
        '[[mappings]]\nqueue = "q"\nfunction = "f"\n[[mappings]]\nqueue = "q"\nfunction = "f"',
        '[push]\nurl_prefixes = ["127.0.0.1"]',
        '[push]\nurl_prefixes = "http://h/"',
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigError):
        loaded(tmp_path, wrong)


async def test_a_server_whose_mappings_cannot_be_does_not_start(tmp_path: Path) -> None:
    text = FILE + '\n[store]\nkind = "memory"\n[server]\nport = 0\n'
    server = Server(loaded(tmp_path, text))  # there is no queue "reports"
    with pytest.raises(ValueError, match=r"mappings: .*queue does not exist"):
        await server.start()
