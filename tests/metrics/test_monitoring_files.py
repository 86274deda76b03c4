"""The dashboard and the alert rules speak of metrics that are there, and every metric is explained and shown."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tilores_core.metrics import FAMILIES
from tilores_core.metrics.catalogue import BY_NAME

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "tilores.json"
PAGE = ROOT / "docs" / "monitoring.md"

_SELECTED = re.compile(r"\b(tilores_[a-z_]+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"([^\"]*)\"")
# Given by Prometheus, or by a histogram.
_ALWAYS = {"job", "instance", "le"}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Where it stands, and a query."""
    for rule in rules():
        yield f"rule {rule['alert']}", rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"]
    for query in re.findall(r"`([^`\n]*tilores_[^`\n]*\([^`\n]*)`", PAGE.read_text()):
        yield "docs/monitoring.md", query


def unknown(name: str, labels: str) -> str | None:
    """What is wrong with a selected series."""
    family = BY_NAME.get(name)
    plain, _, suffix = name.rpartition("_")
    if family is None and suffix in ("bucket", "sum", "count"):
        family = BY_NAME.get(plain)
        if family is not None and family.kind != "histogram":
            family = None
    elif family is not None and family.kind == "histogram":
        return f"{name} is a histogram: _bucket, _sum or _count"
    if family is None:
        return f"there is no {name}"
    strange = {label for label, _ in _LABEL.findall(labels)} - set(family.labels) - _ALWAYS
    return f"{name} has no label {sorted(strange)}" if strange else None


@pytest.mark.parametrize(("where", "query"), [*expressions()], ids=lambda text: text[:60])
def test_a_query_asks_for_what_is_counted(where: str, query: str) -> None:
    selected = _SELECTED.findall(query)
    assert selected or "up{" in query, f"{where} asks for nothing of ours"
    assert [problem for name, labels in selected if (problem := unknown(name, labels))] == []
    for grouped in re.findall(r"\bby \(([^)]*)\)", query):
        known = {label for name, _ in selected for label in _family_labels(name)} | _ALWAYS
        assert {label.strip() for label in grouped.split(",")} <= known, query
    assert query.count("(") == query.count(")")
    # A counter is only of use as a rate, or as a share.
    for name, _ in selected:
        if name.endswith("_total") and "/" not in query:
            assert re.search(rf"(rate|increase)\({name}", query), query


def _family_labels(name: str) -> tuple[str, ...]:
    family = BY_NAME.get(name) or BY_NAME.get(name.rpartition("_")[0])
    return family.labels if family is not None else ()


def test_a_misspelt_name_would_be_found() -> None:
    assert unknown("tilores_request_total", "")
    assert unknown("tilores_request_duration_seconds", "")
    assert unknown("tilores_requests_total_count", "")
    assert unknown("tilores_requests_total", 'tier="l1"')
    assert unknown("tilores_request_duration_seconds_bucket", 'cache="l1",le="0.1"') is None


def test_what_a_text_fills_in_is_a_label_of_its_query() -> None:
    for rule in rules():
        named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        kept = {
            label.strip() for group in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for label in group.split(",")
        }
        assert named <= kept | ({"instance", "job"} if "by (" not in rule["expr"] else set()), rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
    for panel in panels():
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            groups = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            kept = {label.strip() for group in groups for label in group.split(",")}
            assert named <= kept, panel["title"]


def test_every_metric_is_explained_and_nearly_every_one_shown() -> None:
    text = PAGE.read_text()
    assert [family.name for family in FAMILIES if f"| `{family.name}` |" not in text] == []
    asked = " ".join(query for _, query in expressions())
    unseen = {family.name for family in FAMILIES if not re.search(rf"\b{family.name}(_bucket)?\b", asked)}
    assert unseen <= {
        "tilores_build_info",  # the dashboard's list of jobs comes from it
        "tilores_cache_damaged_total",
        "tilores_cache_entries",
        "tilores_cache_expirations_total",
        "tilores_cache_invalidations_total",
        "tilores_cache_skipped_total",
        "tilores_cache_stores_total",
        "tilores_cache_breaker_opened_total",
        "tilores_grounding_answers_total",
        "tilores_model_attempt_seconds",
        "tilores_model_breaker_opened_total",
        "tilores_model_hedges_total",
        "tilores_prewarm_hits_total",
        "tilores_prewarm_leading",
        "tilores_process_memory_bytes",
    }


def test_quality_alerts_and_evaluations_have_a_panel_for_each_metric() -> None:
    shown = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    wanted = [family.name for family in FAMILIES if re.match("tilores_(quality|alert|evaluation)", family.name)]
    assert len(wanted) >= 13
    assert [name for name in wanted if name not in shown] == []


def test_the_dashboard_is_one_that_grafana_loads() -> None:
    board = json.loads(DASHBOARD.read_text())
    assert board["title"]
    assert board["uid"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"], panel["title"]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["job"]["query"] == "label_values(tilores_build_info, job)"


def test_promtool_takes_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; names and labels are checked by the tests above")
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
