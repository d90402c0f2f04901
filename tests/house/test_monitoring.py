"""deploy/monitoring: rules and dashboard ask for what the server tells, and Prometheus' own tool finds them right."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from encola.broker.broker import Broker
from encola.broker.clock import Clock
from encola.engine.queue import Address, Settings
from encola.metrics.families import Facts
from encola.metrics.prometheus import Prometheus, Scope, families
from encola.metrics.sampler import Sampler
from encola.stores.history_memory import NoHistory
from encola.stores.memory import MemoryStore

from .files import ROOT
from .markdown import anchors

FOLDER = ROOT / "deploy" / "monitoring"
WORDS = {
    "and", "or", "unless", "on", "ignoring", "by", "without", "bool", "offset", "sum", "min", "max", "rate",
    "increase", "changes", "delta", "absent", "topk", "histogram_quantile", "predict_linear", "label_values", "Inf",
}  # fmt: skip
BESIDES = {"up"}  # Prometheus' own
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def names_in(expression: str) -> set[str]:
    """The metrics that an expression of PromQL names."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", expression)
    bare = re.sub(r"\b(on|by|ignoring|without)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"label_values\((.*),[^,]*\)", r"\1", bare)
    found = re.findall(r"[A-Za-z_:][A-Za-z0-9_:]*", re.sub(r"\b\d[\d.e+]*\b", " ", bare))
    return set(found) - WORDS


def told() -> set[str]:
    names = set(families()) | BESIDES
    histograms = [name for name, kind in families().items() if kind == "histogram"]
    return names | {f"{name}{end}" for name in histograms for end in ("_bucket", "_sum", "_count")}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    return loaded


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    board = dashboard()
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def test_the_names_in_an_expression_are_found() -> None:
    expression = 'sum by (le) (rate(a_bucket{b="c"}[5m])) > 1e9 and on (d) e_total == 0.5 or topk(3, f - g) < +Inf'
    assert names_in(expression) == {"a_bucket", "e_total", "f", "g"}
    assert names_in('label_values(a{b="c"}, queue)') == {"a"}


def test_every_expression_asks_for_metrics_that_the_server_tells() -> None:
    wrong = {where: names_in(expression) - told() for where, expression in expressions()}
    assert {where: names for where, names in wrong.items() if names} == {}
    assert all(names_in(expression) for _, expression in expressions())


def test_every_metric_of_queues_and_of_the_server_is_shown_or_watched() -> None:
    shown = set().union(*(names_in(expression) for _, expression in expressions()))
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} | shown
    assert set(families()) - bare == {"encola_build_info"}


def test_every_alert_says_how_bad_it_is_and_where_it_is_told_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, rule["alert"]
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert anchor in anchors(ROOT / page), rule["alert"]
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_panels_of_the_dashboard_do_not_overlap_and_have_their_own_ids() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


def test_panels_ask_the_chosen_data_source_and_variables_that_there_are() -> None:
    board = dashboard()
    known = {variable["name"] for variable in board["templating"]["list"]} | {"__rate_interval", "__all"}
    text = json.dumps(board)
    assert set(re.findall(r"\$\{?(\w+)", text)) <= known
    assert all(p["datasource"]["uid"] == "${datasource}" for p in board["panels"] if p["type"] != "row")


def run(*arguments: str, directory: Path = FOLDER, text: bytes = b"") -> str:
    done = subprocess.run(["promtool", *arguments], cwd=directory, input=text, capture_output=True, timeout=60)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return (done.stdout + done.stderr).decode()


@promtool
def test_promtool_finds_the_rules_right() -> None:
    assert f"{len(rules())} rules found" in run("check", "rules", "alerts.yml")


@promtool
def test_promtool_raises_each_alert_when_it_should_and_only_then() -> None:
    run("test", "rules", "alerts.test.yml")
    stories = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())["tests"]
    cases = [case for story in stories for case in story["alert_rule_test"]]
    alerts = {rule["alert"] for rule in rules()}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts


@promtool
async def test_promtool_finds_nothing_to_say_of_what_the_server_tells() -> None:
    store = MemoryStore()
    broker = Broker(store, Clock())
    await broker.open()
    await broker.create(Address("111122223333", "work.fifo"), ordered=True, settings=Settings(), tags={})
    sampler = Sampler(broker, store, NoHistory())
    await sampler.tick()
    text = await Prometheus(broker, sampler, lambda: Facts("0.1.0", free_bytes=5)).render(Scope())
    await broker.close()
    assert run("check", "metrics", text=text) == ""
