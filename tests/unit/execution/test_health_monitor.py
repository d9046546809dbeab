from __future__ import annotations

import pytest

from esper.contracts.enums import ComponentStatus
from esper.contracts.errors import ConfigError
from esper.contracts.operational import HealthSignal
from esper.execution.health_monitor import HealthMonitor, HealthThresholds, breaches


def _signal(**values: object) -> HealthSignal:
    return HealthSignal(layer_id=0, layer_name="fc", step=3, **values)


def test_unmeasured_layer_is_unknown_never_healthy() -> None:
    monitor = HealthMonitor()
    assert monitor.status() is ComponentStatus.UNKNOWN
    assert monitor.observe([_signal()]) == []
    assert monitor.status("fc") is ComponentStatus.UNKNOWN


def test_breach_degrades_and_patience_makes_it_unhealthy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    monitor = HealthMonitor(HealthThresholds(patience=2))
    monitor.observe([_signal(dead_neuron_ratio=0.1)])
    assert monitor.status("fc") is ComponentStatus.HEALTHY
    bad = _signal(dead_neuron_ratio=0.9)
    (alert,) = monitor.observe([bad])
    assert alert.status is ComponentStatus.DEGRADED
    assert alert.breaches == ("dead_neuron_ratio is 0.9, above 0.5",)
    assert caplog.text == ""
    assert monitor.observe([bad])[0].status is ComponentStatus.UNHEALTHY
    assert "layer 'fc' is unhealthy: dead_neuron_ratio is 0.9, above 0.5" in caplog.text
    assert monitor.observe([bad]) == []
    assert monitor.status() is ComponentStatus.UNHEALTHY
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
        ("gradient_norm", 0.0),
        ("gradient_norm", 1e6),
        ("update_ratio", 0.9),
    ],
)
def test_each_threshold_is_checked(field: str, value: float) -> None:
    assert breaches(_signal(**{field: value}), HealthThresholds())[0].startswith(field)


def test_switched_off_check_finds_nothing() -> None:
    thresholds = HealthThresholds(max_dead_ratio=None)
    assert breaches(_signal(dead_neuron_ratio=1.0, effective_rank=1.0), thresholds) == ()
    switched_on = HealthThresholds(min_effective_rank=1.5)
    assert breaches(_signal(effective_rank=1.0), switched_on)[0].startswith("effective_rank")


def test_patience_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="patience is 0"):
        HealthThresholds(patience=0)
