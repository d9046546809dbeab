"""Metrics: each is documented, and each that rules and dashboards use exists."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from docs import pages
from esper.contracts.enums import AlertRule
from esper.services.nissa.nissa_metrics import ObserverMetrics
from esper.web.http_metrics import HttpMetrics

DEPLOY = pages.ROOT / "deploy"
RULES: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"))
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text("utf-8"))
GUIDE = (pages.ROOT / "docs" / "guides" / "observability.md").read_text("utf-8")
REFERENCE = (pages.ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
FOREIGN = {"up"}
"""What Prometheus itself provides."""


def existing() -> dict[str, set[str]]:
    """Every series that Esper's servers have, with its labels."""
    observer = ObserverMetrics()
    HttpMetrics("esper_nissa", observer.registry)
    registries = [observer.registry, HttpMetrics("esper_urza").registry]
    found: dict[str, set[str]] = {}
    for registry in registries:
        for collector in registry._collector_to_names:
            labels = set(collector._labelnames)  # type: ignore[attr-defined]
            for name in registry._collector_to_names[collector]:
                bucket = {"le"} if name.endswith("_bucket") else set()
                found[name] = labels | bucket
    return found


EXISTING = existing()


def series(expression: str) -> list[tuple[str, set[str]]]:
    """The metrics that an expression reads, each with the labels that it selects by."""
    found = re.findall(r"\b(esper_\w+|up)\b(?!\s*\()(?:\{([^}]*)\})?", expression)
    assert found, f"no metric in {expression!r}"
    return [(name, set(re.findall(r"(\w+)\s*[=!]~?\"", where))) for name, where in found]


def grouped(expression: str) -> set[str]:
    return {
        label.strip()
        for group in re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", expression)
        for label in group.split(",")
    }


def holds(expression: str) -> None:
    labels: set[str] = set()
    for name, selected in series(expression):
        if name in FOREIGN:
            continue
        assert name in EXISTING, f"no metric {name!r}"
        assert selected <= EXISTING[name], f"{name} has no label {selected - EXISTING[name]}"
        labels |= EXISTING[name]
    assert grouped(expression) <= labels | {"job", "instance"}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_prometheus_rule_reads_metrics_that_exist(alert: dict[str, Any]) -> None:
    holds(alert["expr"])
    page, _, section = alert["annotations"]["runbook"].partition(", section ")
    assert (pages.ROOT / page).is_file()
    if section and "{{" not in section:
        assert section in set(AlertRule)


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_each_panel_of_the_grafana_dashboard_reads_metrics_that_exist(
    panel: dict[str, Any],
) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        holds(target["expr"])


def test_a_metric_that_is_not_there_is_noticed() -> None:
    with pytest.raises(AssertionError, match="esper_run_los"):
        holds("max(esper_run_los)")
    with pytest.raises(AssertionError, match="no label"):
        holds('esper_run_step{layer="0"}')


def test_the_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
    cells = [
        (x, y)
        for p in places
        for x in range(p["x"], p["x"] + p["w"])
        for y in range(p["y"], p["y"] + p["h"])
    ]
    assert len(cells) == len(set(cells))


def test_nissas_metrics_are_in_the_reference_with_their_labels() -> None:
    section = REFERENCE.partition("## Nissa\n")[2].partition("\n## ")[0]
    documented = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `(esper_\w+)` \|([^|]*)\|", section, re.MULTILINE)
    }
    counted = {
        metric.name + ("_total" if metric.type == "counter" else ""): set(
            EXISTING[metric.name + ("_total" if metric.type == "counter" else "")]
            if metric.type != "histogram"
            else EXISTING[metric.name + "_count"]
        )
        for metric in ObserverMetrics().registry.collect()
    }
    assert documented == counted


def test_names_have_base_units_and_one_prefix() -> None:
    for name in EXISTING:
        assert name.startswith("esper_"), name
        assert not re.search(r"_(ms|us|milliseconds|kb|mb|percent)(_|$)", name), name
