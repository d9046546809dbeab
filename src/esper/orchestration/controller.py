"""The heuristic controller: when to open a race, and why, in words.

It stands behind the `Controller` port; a learned policy can take its place. It asks three
questions of the curve: is there something left to gain (headroom), does the model still get it by
itself (plateau), and does it memorise instead (gap)? Where and what to grow is left to the race.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from esper.contracts.errors import CheckpointError
from esper.contracts.operational import AdaptationDecision, GrowthObservation
from esper.contracts.ports import Controller, RemembersState
from esper.orchestration.growth_config import GrowthConfig


@dataclass(frozen=True)
class HeuristicController:
    """Decides by thresholds on the run's own curve; see `GrowthConfig`."""

    config: GrowthConfig

    def decide(self, observation: GrowthObservation) -> AdaptationDecision | None:
        """Open a race over all open slots, or do nothing."""
        config, o = self.config, observation
        if not self._may(o):
            return None
        if o.headroom is None or o.headroom < config.min_headroom:
            return None
        if o.growth_samples < config.min_evidence:
            return None
        gap = o.gap / abs(o.growth_loss) if o.gap is not None and o.growth_loss else 0.0
        reasons = []
        if o.plateau:
            assert o.improvement is not None
            reasons.append(f"the held-out loss has stopped falling ({o.improvement:+.1%} lately)")
        if gap > config.gap:
            reasons.append(f"the train loss is {gap:.0%} below the held-out loss: it memorises")
        if not reasons:
            return None
        return AdaptationDecision(
            step=o.step,
            strategy=config.strategy,
            confidence=min(1.0, o.headroom),
            reason=f"{o.headroom:.0%} of the starting loss is left, and {', and '.join(reasons)}",
        )

    def _may(self, o: GrowthObservation) -> bool:
        config = self.config
        if not config.first_check * o.total_steps <= o.step <= config.last_start * o.total_steps:
            return False
        if o.fossilized + o.live_seeds >= config.max_grafts or not o.open_slots:
            return False
        compute_left = None if o.budget is None else o.budget.compute_left
        if compute_left is not None and compute_left <= 0:
            return False
        since = None if o.last_race_step is None else o.step - o.last_race_step
        return since is None or since >= config.cooldown * o.total_steps


def controller_state(controller: Controller) -> dict[str, Any]:
    """Which controller a run has, and what it remembers; None where it remembers nothing."""
    state = controller.state_dict() if isinstance(controller, RemembersState) else None
    return {"type": type(controller).__name__, "state": state}


def restore_controller(controller: Controller, saved: dict[str, Any]) -> None:
    """Give a controller what another of its kind remembered.

    Raises:
        CheckpointError: it is of another kind, and one of them remembers something.
    """
    is_same = saved["type"] == type(controller).__name__ and saved["state"] is not None
    if isinstance(controller, RemembersState) and is_same:
        controller.load_state_dict(saved["state"])
    elif isinstance(controller, RemembersState) or saved["state"] is not None:
        raise CheckpointError(
            f"the run was saved with the controller {saved['type']}, this orchestrator has "
            f"{type(controller).__name__}: pass the controller that the run was started with"
        )
