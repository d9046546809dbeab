from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from esper.contracts.operational import (
    AdaptationDecision,
    BudgetState,
    GrowthObservation,
    HealthSignal,
)


def test_a_measurement_that_was_not_taken_is_none_and_never_healthy() -> None:
    signal = HealthSignal(layer_id=0)
    assert signal.health_score is None
    assert signal.dead_neuron_ratio is None
    assert signal.activation_variance is None
    assert signal.execution_latency is None


@given(st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_measurement_that_is_not_finite_is_none_and_marked(value: float) -> None:
    signal = HealthSignal(layer_id=0, gradient_norm=value, effective_rank=3.0)
    assert signal.gradient_norm is None
    assert signal.effective_rank == 3.0
    assert signal.finite is False
    assert HealthSignal.model_validate_json(signal.model_dump_json()) == signal


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dead_neuron_ratio", 1.5),
        ("dead_neuron_ratio", -0.1),
        ("health_score", 2.0),
        ("execution_latency", -1.0),
        ("layer_id", -1),
        ("seed_id", -1),
        ("unknown", 1),
    ],
)
def test_a_value_out_of_its_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        HealthSignal.model_validate({"layer_id": 0, field: value})


def test_a_signal_cannot_be_changed() -> None:
    signal = HealthSignal(layer_id=0)
    with pytest.raises(ValidationError, match="frozen"):
        signal.layer_id = 1  # type: ignore[misc]


def test_an_observation_survives_json() -> None:
    observation = GrowthObservation(
        step=10,
        total_steps=100,
        train_loss=1.0,
        plateau=True,
        signals=(HealthSignal(layer_id=0, layer_name="body.0"),),
        budget=BudgetState(parameters=5, flops=10, compute_left=2.0),
    )
    assert GrowthObservation.model_validate_json(observation.model_dump_json()) == observation


def test_a_decision_must_say_why() -> None:
    with pytest.raises(ValidationError, match="reason"):
        AdaptationDecision(step=1)  # type: ignore[call-arg]
