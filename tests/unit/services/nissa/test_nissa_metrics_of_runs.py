"""Gauges of the runs under way."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry

from esper.contracts.records import parse_record
from esper.services.nissa.nissa_metrics import RunMetrics
from support import logged_runs
from support.alert_lines import evaluation, event, race_decided, step


def _shown(lines: list[logged_runs.Line]) -> tuple[RunMetrics, CollectorRegistry]:
    registry = CollectorRegistry()
    metrics = RunMetrics(registry)
    for line in lines:
        metrics.show("r", parse_record(line))
    return metrics, registry


def test_a_run_under_way_shows_where_it_is() -> None:
    _, registry = _shown(logged_runs.lines()[:-2])

    def value(name: str) -> float | None:
        return registry.get_sample_value(f"esper_run_{name}", {"run": "r"})

    assert value("step") == 20
    assert value("planned_steps") == 30
    assert value("train_loss") == 0.5
    assert value("growth_loss") == 0.75
    assert value("compute_ratio") == 2.0
    assert value("live_seeds") == 1
    assert value("parameters") == 120
    assert registry.get_sample_value("esper_runs_live") == 1


def test_a_run_that_is_forgotten_takes_its_gauges_away() -> None:
    metrics, registry = _shown(logged_runs.lines())
    metrics.forget("r")
    assert registry.get_sample_value("esper_run_step", {"run": "r"}) is None
    assert registry.get_sample_value("esper_runs_live") == 0


def test_a_loss_that_is_no_number_is_shown_as_none() -> None:
    metrics, registry = _shown([])
    metrics.show("r", step(1, None))
    metrics.show("r", evaluation(1, None))
    for name in ("train_loss", "growth_loss"):
        value = registry.get_sample_value(f"esper_run_{name}", {"run": "r"})
        assert value is not None
        assert math.isnan(value)


@pytest.mark.parametrize(
    ("record", "name", "labels"),
    [
        (race_decided(9), "esper_races_decided_total", {"outcome": "no_winner"}),
        (event("RolledBack", 9, to_step=5, reason="NaN"), "esper_rollbacks_total", {}),
        (
            event("CommandRefused", 9, command_id="c", command="freeze", reason="it races"),
            "esper_commands_total",
            {"outcome": "refused"},
        ),
        (
            event("SeedCulled", 9, layer_name="0", reason="no gain"),
            "esper_adaptations_total",
            {"outcome": "culled"},
        ),
    ],
)
def test_what_happens_is_counted(record: object, name: str, labels: dict[str, str]) -> None:
    registry = CollectorRegistry()
    RunMetrics(registry).count(record)  # type: ignore[arg-type]  # one of the union, see above
    assert registry.get_sample_value(name, labels) == 1
