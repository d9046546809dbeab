"""Layers most of whose units do not vary any more."""

from __future__ import annotations

from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.run_rules import DeadUnits
from support.alert_lines import findings, health, step


def test_a_layer_is_found_when_two_measurements_in_a_row_say_so() -> None:
    shares = [0.2, 0.95, 0.3, 0.95, 0.97, 0.1]
    lines = [health(100 * n, "4", dead_neuron_ratio=share) for n, share in enumerate(shares)]
    said = findings(DeadUnits(AlertConfig()), lines)
    assert [bool(found.get("4")) for found in said] == [False] * 4 + [True, False]
    found = said[4]["4"]
    assert found is not None
    assert found == "97% of the units of layer 4 do not vary any more"
    assert said[5] == {"4": None}


def test_what_was_not_measured_says_nothing() -> None:
    rule = DeadUnits(AlertConfig(dead_measurements=1))
    assert findings(rule, [health(1, gradient_norm=1.0), step(1, 1.0)]) == [{}, {}]
