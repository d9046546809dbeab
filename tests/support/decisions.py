"""A controller that a test tells what to do."""

from __future__ import annotations

from dataclasses import dataclass

from esper.contracts.enums import AdaptationStrategyName
from esper.contracts.operational import AdaptationDecision, GrowthObservation


@dataclass
class RaceAt:
    """Opens one race, at the first look from ``step`` on.

    Args:
        step: training step.
        layers: those that the race is about; all of them if empty.
        families: those that may compete; all of them if empty.
        strategy: how a winner comes in.
    """

    step: int
    layers: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    strategy: AdaptationStrategyName = AdaptationStrategyName.REPLACE

    def decide(self, observation: GrowthObservation) -> AdaptationDecision | None:
        if observation.races or observation.step < self.step:
            return None
        return AdaptationDecision(
            step=observation.step,
            strategy=self.strategy,
            layers=self.layers,
            families=self.families,
            reason="the test wants a race",
        )
