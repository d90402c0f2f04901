"""docs/metrics.md: its tables of metrics, intervals and alerts are those of the code."""

import re

import yaml

from encola.engine.history import RESOLUTIONS
from encola.engine.metrics import FRONT_MAX
from encola.engine.queue import DAY, HOUR, MINUTE
from encola.metrics.definitions import QUEUE as DEFINITIONS
from encola.metrics.families import HISTOGRAMS, QUEUE, SERVER
from encola.metrics.prometheus import QUEUES_MAX, families
from encola.metrics.sampler import LOOK_PAUSES
from encola.protocols.prometheus.endpoint import ACTION, PATH, PATTERNS_MAX
from encola.stores.sqlite.history import BYTES_MAX, FILE_NAME, SET_ASIDE

from .files import ROOT
from .markdown import plain, prose, section, table

PAGE = ROOT / "docs" / "metrics.md"
ALERTS = ROOT / "deploy" / "monitoring" / "alerts.yml"
OF_TEXT = ["encola_build_info", "encola_queues_left_out"]
"""The metrics that come with the text, and are not sampled."""


def rows(text: str) -> list[list[str]]:
    return [[plain(cell) for cell in row] for row in table(text)]


def test_every_metric_of_a_queue_has_its_row() -> None:
    told = rows(section(PAGE, "Of a queue"))
    assert told == [[one.name, one.cloudwatch, one.help, one.unit] for one in QUEUE]
    known = {one.name for one in DEFINITIONS}
    assert [row[1] for row in told if row[1] and row[1] not in known] == []


def test_every_metric_of_the_server_has_its_row() -> None:
    of_server, histograms = section(PAGE, "Of the server").split("Histograms,")
    told = rows(of_server)
    assert told[:-2] == [[one.name, one.help, one.unit] for one in SERVER]
    assert [row[0] for row in told[-2:]] == OF_TEXT
    assert rows(histograms) == [[one.name, one.help, one.unit] for one in HISTOGRAMS]
    assert {one.name for one in (*QUEUE, *SERVER, *HISTOGRAMS)} | set(OF_TEXT) == set(families())


def test_the_intervals_of_the_history_are_those_of_the_code() -> None:
    told = {row[0].replace(" ", ""): row[1] for row in table(section(PAGE, "The history"))}
    units = {"minutes": MINUTE, "hours": HOUR, "days": DAY}
    kept = {name: int(text.split()[0]) * units[text.split()[1]] for name, text in told.items()}
    assert kept == {one.name: one.kept for one in RESOLUTIONS}


def test_the_numbers_and_names_of_the_page_are_those_of_the_code() -> None:
    text = " ".join(prose(PAGE).split())
    assert f"at most {QUEUES_MAX:,} queues" in text
    assert f"at the {FRONT_MAX} that became it first" in text
    assert f"stands for {LOOK_PAUSES} times as long as it took" in text
    assert f"at most {BYTES_MAX // 1024**2} MiB" in text
    assert f"up to {PATTERNS_MAX} times" in text
    assert all(f"`{name}`" in text for name in (ACTION, FILE_NAME, SET_ASIDE, f"GET {PATH}"))


def test_the_alerts_and_their_severities_are_those_of_the_file() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]]
    told = rows(section(PAGE, "Grafana and alerts"))
    assert [row[:2] for row in told] == [[rule["alert"], rule["labels"]["severity"]] for rule in rules]


def test_an_alert_waits_as_long_as_the_page_says() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]]
    waits = {rule["alert"]: rule.get("for", "0m") for rule in rules}
    for name, _, when in rows(section(PAGE, "Grafana and alerts")):
        found = re.search(r"for (?:(\d+) minutes|an? (minute|hour))$", when)
        told = {"minute": "1m", "hour": "1h", None: f"{found[1]}m"}[found[2]] if found else None
        assert told in (None, waits[name]), name
