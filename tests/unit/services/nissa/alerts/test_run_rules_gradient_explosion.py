"""Gradients that grow far above their recent values."""

from __future__ import annotations

from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.run_rules import GradientExplosion
from support.alert_lines import findings, health


def test_a_gradient_a_hundred_times_its_recent_norm_is_found_layer_by_layer() -> None:
    norms = [2.6, 0.7, 1.9, 1.2, 950.0, 1.1]
    lines = [health(200 * n, "2", gradient_norm=norm) for n, norm in enumerate(norms)]
    said = findings(GradientExplosion(AlertConfig()), lines)
    found = said[4]["2"]
    assert found is not None
    assert "layer 2" in found
    assert said[3] == said[5] == {"2": None}


def test_another_layers_gradients_are_not_compared() -> None:
    lines = [health(n, "2", gradient_norm=0.001) for n in range(5)]
    assert (
        findings(GradientExplosion(AlertConfig()), [*lines, health(6, "4", gradient_norm=9.0)])[-1]
        == {}
    )


def test_a_layer_that_begins_to_learn_has_not_exploded() -> None:
    lines = [health(n, gradient_norm=0.0) for n in range(5)]
    said = findings(GradientExplosion(AlertConfig()), [*lines, health(6, gradient_norm=5e-5)])
    assert said[-1] == {"0": None}
