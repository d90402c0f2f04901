"""Where settings come from, which goes first, and what is refused."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from encola.server.config import HIDDEN, Config, ConfigError, ServerConfig, load, plain


def loaded(text: str = "", tmp_path: Path | None = None, variables: Mapping[str, str] | None = None) -> Config:
    """The configuration of a file and of variables."""
    file = None
    if tmp_path is not None:
        file = tmp_path / "encola.toml"
        file.write_text(text)
    return load(file, variables or {}, {})


def test_without_anything_the_defaults_hold() -> None:
    config = load(None, {"PATH": "/bin", "HOME": "/"}, {"server.port": None})
    assert config == Config()
    assert (config.server.host, config.server.port, config.store.data) == ("127.0.0.1", 9324, Path("encola-data"))


def test_flags_go_before_variables_before_the_file_field_by_field(tmp_path: Path) -> None:
    file = tmp_path / "encola.toml"
    file.write_text("[server]\nhost = 'localhost'\nport = 1\ngrace_seconds = 1\n")
    config = load(file, {"ENCOLA_SERVER__PORT": "2", "ENCOLA_SERVER__GRACE_SECONDS": "2.5"}, {"server.port": 3})
    assert config.server == ServerConfig(host="localhost", port=3, grace_seconds=2.5)


def test_variables_are_read_as_what_their_fields_are() -> None:
    config = loaded(
        variables={
            "ENCOLA_DEVELOPMENT__RELAXED": "true",
            "ENCOLA_LOG__ACCESS": "1",
            "ENCOLA_STORE__DATA": "/var/lib/encola",
            "ENCOLA_LIMITS__HEADER_SECONDS_MAX": "2.5",
            "ENCOLA_QUEUES": '[{"name": "a", "attributes": {"DelaySeconds": 3}}]',
            "ENCOLA_CREDENTIALS": '[{"access_key": "A", "secret_key": "S", "actions": ["Send*"]}]',
        }
    )
    assert config.development.relaxed is True
    assert config.log.access is True
    assert config.store.data == Path("/var/lib/encola")
    assert config.limits.header_seconds_max == 2.5
    assert config.queues[0].attributes == {"DelaySeconds": 3}
    assert (config.credentials[0].secret_key, config.credentials[0].actions) == ("S", ("Send*",))


def test_lists_replace_those_of_the_file(tmp_path: Path) -> None:
    config = loaded("[[queues]]\nname = 'a'\n[[queues]]\nname = 'b'\n", tmp_path, {"ENCOLA_QUEUES": '[{"name": "c"}]'})
    assert [queue.name for queue in config.queues] == ["c"]


def test_variables_that_an_orchestrator_makes_of_a_services_name_mean_nothing() -> None:
    variables = {
        "ENCOLA_PORT": "tcp://10.0.0.1:9324",
        "ENCOLA_SERVICE_HOST": "10.0.0.1",
        "ENCOLA_SERVICE_PORT": "9324",
        "ENCOLA_PORT_9324_TCP_ADDR": "10.0.0.1",
    }
    assert loaded(variables=variables) == Config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nprot = 1", "prot"),
        ("[sevrer]\nport = 1", "sevrer"),
        ("server = 3", "server"),
        ("[server]\nport = 'many'", "server.port"),
        ("[server]\nport = 65536", "server.port"),
        ("[server]\nport = -1", "server.port"),
        ("[server]\ntls_cert = 'a.pem'", "tls_key"),
        ("[server]\npublic_url = 'queues.example'", "public_url"),
        ("[server]\ngrace_seconds = -1", "grace_seconds"),
        ("[server]\ngrace_seconds = nan", "grace_seconds"),
        ("[store]\nkind = 'tape'", "store.kind"),
        ("[log]\nlevel = 'loud'", "log.level"),
        ("[limits]\nconnections_max = 0", "connections_max"),
        ("[limits]\nsweep_seconds = 0.0", "sweep_seconds"),
        ("[limits]\nbody_seconds_max = inf", "body_seconds_max"),
        ("[limits]\nidle_seconds_max = nan", "idle_seconds_max"),
        ("[limits]\nheaders_max = 1.5", "headers_max"),
        ("[[queues]]\nname = 'a'\nsize = 1", "size"),
        ("[[queues]]\nname = 'a'\naccount = '1'", "account"),
        ("[[queues]]\ntags = {}", "name"),
        ("[[credentials]]\naccess_key = 'A'\nsecret_key = ''", "secret_key"),
        ("[[credentials]]\naccess_key = ''\nsecret_key = 'S'", "access_key"),
        ("[[credentials]]\naccess_key = 'A'\nsecret_key = 'S'\naccount = '12'", "account"),
        ("[[credentials]]\naccess_key = 'A'\nsecret_key = 'S'\nqueues = []", "queues"),
        ("[[credentials]]\naccess_key = 'A'\nsecret_key = 'S'\n" * 2, "same access_key"),
        ("not toml", "encola.toml"),
        ("x = '\udcff'", "encola.toml"),
    ],
)
def test_what_cannot_be_is_refused_and_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "encola.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=said):
        load(file, {}, {})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ENCOLA_SERVER__PROT", "1", "prot"),
        ("ENCOLA_SEVRER__PORT", "1", "sevrer"),
        ("ENCOLA_DEVELOPMENT__RELAXED", "perhaps", "development.relaxed"),
        ("ENCOLA_QUEUES", "orders", "ENCOLA_QUEUES"),
        ("ENCOLA_QUEUES", '{"name": "a"}', "queues"),
        ("ENCOLA_QUEUES__NAME", "a", "queues"),
        ("ENCOLA_CREDENTIALS", '["A"]', "credentials"),
    ],
)
def test_a_variable_that_means_nothing_is_refused_and_named(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loaded(variables={name: value})


def test_a_list_and_a_field_of_it_among_the_variables_are_refused() -> None:
    for order in (1, -1):
        variables = [("ENCOLA_QUEUES", '[{"name": "a"}]'), ("ENCOLA_QUEUES__NAME", "b")][::order]
        with pytest.raises(ConfigError, match="queues"):
            loaded(variables=dict(variables))


def test_a_refusal_does_not_quote_secrets() -> None:
    secret = "very-secret"
    for credential in (
        {"access_key": "A", "secret_key": [secret]},
        {"access_key": "A b", "secret_key": secret},
        {"access_key": "A", "secret_key": secret, "account": "x"},
    ):
        with pytest.raises(ConfigError) as caught:
            loaded(variables={"ENCOLA_CREDENTIALS": json.dumps([credential])})
        assert secret not in str(caught.value)


def test_what_is_printed_hides_secrets_and_leaves_out_what_is_not_set() -> None:
    config = loaded(variables={"ENCOLA_CREDENTIALS": '[{"access_key": "A", "secret_key": "S"}]'})
    printed = plain(config)
    assert printed["credentials"][0]["secret_key"] == HIDDEN
    assert "tls_cert" not in printed["server"]
    assert "S" not in repr(config.credentials[0]).replace("Credential", "")


@pytest.mark.parametrize("name", ["ENCOLA_SERVER_PORT", "ENCOLA_CREDENTIAL", "ENCOLA_FOO", "ENCOLA_PORT"])
def test_a_variable_that_is_not_known_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        loaded(variables={name: "77"})


@pytest.mark.parametrize("text", ["server = 1", "[server]\nport = 'x'", "[server]\nport = 70000"])
def test_what_is_wrong_in_the_file_is_refused_whatever_covers_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "encola.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load(file, {"ENCOLA_SERVER__PORT": "2"}, {"server.port": 3})


def test_a_certificate_and_its_key_may_come_from_different_places(tmp_path: Path) -> None:
    config = loaded("[server]\ntls_cert = 'a.pem'\n", tmp_path, {"ENCOLA_SERVER__TLS_KEY": "b.pem"})
    assert (config.server.tls_cert, config.server.tls_key) == (Path("a.pem"), Path("b.pem"))


@pytest.mark.parametrize(
    "url", ["queue.example.com", "ftp://a", "https://", "https://a/b", "https://a?b", "https://a@b", "https://a:x"]
)
def test_a_public_url_is_an_origin(url: str) -> None:
    with pytest.raises(ConfigError, match="public_url"):
        loaded(variables={"ENCOLA_SERVER__PUBLIC_URL": url})


def test_lists_must_make_sense() -> None:
    with pytest.raises(ConfigError, match="two have the same name"):
        loaded(variables={"ENCOLA_QUEUES": '[{"name": "a"}, {"name": "a"}]'})
    with pytest.raises(ConfigError, match="no action is called Foo"):
        loaded(variables={"ENCOLA_CREDENTIALS": '[{"access_key": "A", "secret_key": "S", "actions": ["Foo"]}]'})
