from __future__ import annotations

import pytest

from esper.contracts.enums import ComponentStatus
from esper.contracts.errors import ConfigError
from esper.contracts.operational import HealthSignal
from esper.execution.health_monitor import HealthAlert, HealthMonitor, HealthThresholds, breaches


def _signal(**values: object) -> HealthSignal:
    return HealthSignal(layer_id=0, layer_name="fc", step=3, **values)


def test_unmeasured_layer_is_unknown_never_healthy() -> None:
    monitor = HealthMonitor()
    assert monitor.status() is ComponentStatus.UNKNOWN
    assert monitor.observe([_signal()]) == []
    assert monitor.status("fc") is ComponentStatus.UNKNOWN


def test_breach_degrades_and_patience_makes_it_unhealthy() -> None:
    alerts: list[HealthAlert] = []
    monitor = HealthMonitor(HealthThresholds(patience=2), on_alert=alerts.append)
    monitor.observe([_signal(dead_neuron_ratio=0.1)])
    assert monitor.status("fc") is ComponentStatus.HEALTHY
    bad = _signal(dead_neuron_ratio=0.9)
    assert monitor.observe([bad])[0].status is ComponentStatus.DEGRADED
    assert monitor.observe([bad])[0].status is ComponentStatus.UNHEALTHY
    assert monitor.observe([bad]) == []
    assert monitor.status() is ComponentStatus.UNHEALTHY
    assert alerts[0].breaches == ("dead_neuron_ratio is 0.9, above 0.5",)
    monitor.observe([_signal(dead_neuron_ratio=0.1)])
    assert monitor.status("fc") is ComponentStatus.HEALTHY


def test_non_finite_measurement_is_unhealthy_at_once() -> None:
    monitor = HealthMonitor()
    (alert,) = monitor.observe([_signal(gradient_norm=float("nan"))])
    assert alert.status is ComponentStatus.UNHEALTHY
    assert alert.breaches == ("a measurement was NaN or infinite",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("effective_rank", 1.0),
        ("gradient_norm", 0.0),
        ("gradient_norm", 1e6),
        ("update_ratio", 0.0),
        ("update_ratio", 0.9),
    ],
)
def test_each_threshold_is_checked(field: str, value: float) -> None:
    assert breaches(_signal(**{field: value}), HealthThresholds())[0].startswith(field)


def test_switched_off_check_finds_nothing() -> None:
    thresholds = HealthThresholds(max_dead_ratio=None)
    assert breaches(_signal(dead_neuron_ratio=1.0), thresholds) == ()


def test_forgotten_layer_is_unknown_again() -> None:
    monitor = HealthMonitor()
    monitor.observe([_signal(dead_neuron_ratio=0.9)])
    monitor.forget("fc")
    assert monitor.status("fc") is ComponentStatus.UNKNOWN


def test_patience_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="patience is 0"):
        HealthThresholds(patience=0)
