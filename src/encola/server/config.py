"""What can be configured: one struct a section, each field with its default.

    flags of the command line  >  environment  >  configuration file  >  defaults

An environment variable is called ``ENCOLA_<SECTION>__<FIELD>`` (two underscores: orchestrators make variables with one
out of a service's name). ``ENCOLA_CREDENTIALS``, ``ENCOLA_QUEUES`` and the other lists hold JSON. What is not known is
refused, in the file and in the environment, so that no misspelt setting is silently without effect.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from encola.dashboard.config import DashboardConfig
from encola.mappings.declared import DeclaredMapping
from encola.mappings.functions import DeclaredFunction, is_url
from encola.metrics.config import MetricsConfig
from encola.protocols.aws.credentials import Credential
from encola.protocols.cloudwatch.endpoint import ACTIONS as CLOUDWATCH_ACTIONS
from encola.protocols.http.limits import HttpLimits
from encola.protocols.jobs.endpoint import ACTIONS as JOB_ACTIONS
from encola.protocols.lambda_api.endpoint import ACTIONS as LAMBDA_ACTIONS
from encola.protocols.sqs.declared import DeclaredQueue
from encola.protocols.sqs.operations import OPERATIONS, PEEK
from encola.protocols.workers.endpoint import ACTIONS as WORKER_ACTIONS

PREFIX = "ENCOLA_"
LISTS = ("credentials", "queues", "functions", "mappings")
LIST_FIELDS = (
    ("push", "url_prefixes"),
    ("dashboard", "proxy_peers"),
    ("dashboard", "proxy_operators"),
)
OBJECT_FIELDS = (("metrics", "otlp_headers"),)
OF_COMMANDS = ("config", "endpoint")  # ENCOLA_CONFIG and ENCOLA_ENDPOINT stand for flags of the command line
ACTIONS = (*OPERATIONS, PEEK.name, *JOB_ACTIONS, *LAMBDA_ACTIONS, *WORKER_ACTIONS, *CLOUDWATCH_ACTIONS)

_ORCHESTRATED = re.compile(r"\w+_SERVICE_(HOST|PORT\w*)=.*|\w+_PORT(_\d+_\w+)?=(tcp|udp|sctp)://.*|\w+_PORT_\d+_\w+=.*")
"""What Kubernetes sets in every container for a service that is called encola, or encola-something."""
HIDDEN = "..."


class ConfigError(ValueError):
    """A configuration that cannot be; the text says where and why."""


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``public_url`` is the origin of queue URLs behind a proxy (None: the Host that each caller used).

    ``ready_file`` is written with the server's URL once it listens, for whoever starts it on port 0.
    """

    host: str = "127.0.0.1"
    port: int = 9324
    public_url: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    grace_seconds: float = 10.0
    ready_file: Path | None = None


class StoreConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``memory`` forgets everything at the end of the process: for tests."""

    kind: Literal["sqlite", "memory"] = "sqlite"
    data: Path = Path("encola-data")


class LogConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``auto`` is text on a terminal, else JSON. ``access`` logs one line a request, which costs time."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"
    access: bool = False


class PushConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``url_prefixes``: the Lambda API may name function URLs below these, besides the functions that are declared."""

    url_prefixes: tuple[str, ...] = ()


class DevelopmentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deviations from Amazon SQS that make a developer's life easier; all of them off by default.

    ``relaxed`` lifts the sixty-second rules of DeleteQueue and PurgeQueue; ``auto_create_queues`` creates a queue when
    it is first named.
    """

    relaxed: bool = False
    auto_create_queues: bool = False


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    server: ServerConfig = ServerConfig()
    store: StoreConfig = StoreConfig()
    log: LogConfig = LogConfig()
    limits: HttpLimits = HttpLimits()
    push: PushConfig = PushConfig()
    development: DevelopmentConfig = DevelopmentConfig()
    dashboard: DashboardConfig = DashboardConfig()
    metrics: MetricsConfig = MetricsConfig()
    credentials: tuple[Credential, ...] = ()
    queues: tuple[DeclaredQueue, ...] = ()
    functions: tuple[DeclaredFunction, ...] = ()
    mappings: tuple[DeclaredMapping, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.server.port <= 65535:
            raise ValueError("server.port must be between 0 and 65535")
        if self.server.public_url is not None and not _is_origin(self.server.public_url):
            raise ValueError("server.public_url must be an origin, as https://queue.example.com")
        if not 0 <= self.server.grace_seconds < math.inf:
            raise ValueError("server.grace_seconds must be 0 or more, and not infinite")
        keys = [one.access_key for one in self.credentials]
        if len(set(keys)) != len(keys):
            raise ValueError("credentials: two have the same access_key")
        for one in self.credentials:
            for pattern in one.actions:
                if not one.may_mean(pattern, ACTIONS):
                    raise ValueError(f"credentials: no action is called {pattern}")
        addresses = [(one.account, one.name) for one in self.queues]
        if len(set(addresses)) != len(addresses):
            raise ValueError("queues: two have the same name")
        names = [(one.account, one.name) for one in self.functions]
        if len(set(names)) != len(names):
            raise ValueError("functions: two have the same name")
        pairs = [(one.account, one.queue, one.function) for one in self.mappings]
        if len(set(pairs)) != len(pairs):
            raise ValueError("mappings: two have the same queue and function")
        if not all(is_url(prefix) for prefix in self.push.url_prefixes):
            raise ValueError("push.url_prefixes must be URLs, as http://127.0.0.1:9000/")


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """The configuration in force. ``flags`` is ``{"section.field": value}``, None for a flag that was not given.

    Raises ConfigError.
    """
    given: dict[str, Any] = {}
    for path, value in flags.items():
        if value is not None:
            section, _, field = path.partition(".")
            given.setdefault(section, {})[field] = value
    values: dict[str, Any] = {}
    config = Config()
    for layer in (_from_file(file) if file else {}, _from_environment(environment), given):
        _merge(values, layer)
        config = _convert(values)  # each time: what is wrong below must not be hidden by what is right above
    if (config.server.tls_cert is None) is not (config.server.tls_key is None):
        raise ConfigError("server.tls_cert and server.tls_key go together")
    return config


def _convert(values: dict[str, Any]) -> Config:
    try:
        return msgspec.convert(values, Config, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from None


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        rebuilt = f"{parts.scheme}://{parts.netloc}"
        return bool(parts.scheme in ("http", "https") and parts.hostname and "@" not in url and parts.port != 0) and (
            url.rstrip("/") == rebuilt
        )
    except ValueError:
        return False


def _path(kind: type, value: Any) -> Any:
    if kind is not Path or not isinstance(value, str | Path):
        raise ValueError(f"expected {kind.__name__}")
    return Path(value)


def _from_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in environment.items():
        if not name.startswith(PREFIX):
            continue
        section, separator, field = name.removeprefix(PREFIX).lower().partition("__")
        if section in LISTS and separator:
            raise ConfigError(f"{name}: {PREFIX}{section.upper()} holds all {section} as a JSON list")
        if section in LISTS:
            values[section] = _decoded(name, text)
        elif separator:
            values.setdefault(section, {})[field] = _value(name, text, section, field)
        elif section not in OF_COMMANDS and not _ORCHESTRATED.fullmatch(f"{name}={text}"):
            raise ConfigError(
                f"{name} is not known: variables are called {PREFIX}<SECTION>__<FIELD>, with two underscores"
            )
    return values


def _value(name: str, text: str, section: str, field: str) -> Any:
    if (section, field) in LIST_FIELDS:
        return _decoded(name, text)
    return _decoded(name, text, "object") if (section, field) in OBJECT_FIELDS else text


def _decoded(name: str, text: str, kind: str = "list") -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise ConfigError(f"{name} must hold a JSON {kind}") from None


def _merge(base: dict[str, Any], more: Mapping[str, Any]) -> None:
    for section, fields in more.items():
        if isinstance(fields, Mapping) and isinstance(base.get(section), dict):
            base[section].update(fields)
        else:
            base[section] = fields


def plain(config: Config) -> dict[str, Any]:
    """The configuration as tables and lists, without secrets and what is not set."""
    values = msgspec.to_builtins(config, enc_hook=str)
    for credential in values["credentials"]:
        credential["secret_key"] = HIDDEN
    for function in values["functions"]:
        for field in ("headers", "environment"):
            function[field] = dict.fromkeys(function[field], HIDDEN)
    values["metrics"]["otlp_headers"] = dict.fromkeys(values["metrics"]["otlp_headers"], HIDDEN)
    return {section: _without_none(value) for section, value in values.items()}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_none(one) for one in value]
    return value
