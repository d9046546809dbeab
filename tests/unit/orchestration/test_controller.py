"""When the heuristic controller opens a race, and when it leaves the model alone."""

from __future__ import annotations

from typing import Any

import pytest

from esper.contracts.operational import BudgetState, GrowthObservation
from esper.orchestration.controller import HeuristicController
from esper.orchestration.growth_config import GrowthConfig


def observation(**changes: Any) -> GrowthObservation:
    values: dict[str, Any] = {
        "step": 200,
        "total_steps": 1000,
        "train_loss": 0.2,
        "growth_loss": 1.0,
        "gap": 0.8,
        "improvement": 0.5,
        "headroom": 0.5,
        "growth_samples": 400,
        "plateau": False,
        "open_slots": ("0",),
    }
    return GrowthObservation(**{**values, **changes})


CONTROLLER = HeuristicController(GrowthConfig())


def test_a_model_that_memorises_is_given_a_race_and_the_reason_says_so() -> None:
    decision = CONTROLLER.decide(observation())
    assert decision is not None
    assert "80% below the held-out loss: it memorises" in decision.reason
    assert "50% of the starting loss is left" in decision.reason


def test_a_plateau_is_reason_enough() -> None:
    decision = CONTROLLER.decide(observation(gap=0.0, plateau=True, improvement=0.01))
    assert decision is not None
    assert "stopped falling (+1.0% lately)" in decision.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"gap": 0.0},
        {"headroom": 0.01},
        {"headroom": None},
        {"growth_samples": 40},
        {"step": 50},
        {"step": 900},
        {"open_slots": ()},
        {"fossilized": 2},
        {"fossilized": 1, "live_seeds": 1},
        {"last_race_step": 150},
        {"budget": BudgetState(parameters=10, flops=10, compute_left=0.0)},
    ],
    ids=",".join,
)
def test_it_leaves_the_model_alone(changes: dict[str, Any]) -> None:
    assert CONTROLLER.decide(observation(**changes)) is None


def test_the_same_observation_gives_the_same_decision() -> None:
    assert CONTROLLER.decide(observation()) == CONTROLLER.decide(observation())
