"""When the heuristic controller opens a race, and when it leaves the model alone."""

from __future__ import annotations

from typing import Any

import pytest

from esper.contracts.errors import CheckpointError
from esper.contracts.operational import BudgetState, GrowthObservation
from esper.orchestration.controller import (
    HeuristicController,
    controller_state,
    restore_controller,
)
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


class Counting:
    """Remembers how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def decide(self, observation: GrowthObservation) -> None:
        self.asked += 1

    def state_dict(self) -> dict[str, Any]:
        return {"asked": self.asked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.asked = state["asked"]


def test_what_a_controller_remembers_is_saved_and_given_back() -> None:
    first, second = Counting(), Counting()
    first.decide(observation())
    restore_controller(second, controller_state(first))
    assert second.asked == 1


def test_a_controller_without_a_memory_needs_none() -> None:
    saved = controller_state(CONTROLLER)
    assert saved == {"type": "HeuristicController", "state": None}
    restore_controller(CONTROLLER, saved)


@pytest.mark.parametrize(("saved", "present"), [(Counting(), CONTROLLER), (CONTROLLER, Counting())])
def test_another_kind_of_controller_cannot_go_on_with_a_memory(saved: Any, present: Any) -> None:
    with pytest.raises(CheckpointError, match=r"pass the controller that the run was started with"):
        restore_controller(present, controller_state(saved))


def test_a_loss_below_zero_does_not_turn_the_gap_round() -> None:
    # A density's log-likelihood: the train loss is lower, that is, it memorises.
    assert CONTROLLER.decide(observation(growth_loss=-1.0, train_loss=-2.0, gap=1.0)) is not None
