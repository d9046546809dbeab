"""The axis that all of a run's decisions are drawn on: where a gain, an interval, a rent stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esper.contracts.growth import GrowthDecision


@dataclass(frozen=True)
class GainAxis:
    """A span of gains that all decisions share."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where a gain stands, in percent of the axis' width."""
        place = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(place, 0.0), 1.0), 3)

    @property
    def ticks(self) -> Sequence[float]:
        """Gains that the axis labels: quarters."""
        return [step / 4 for step in range(-8, 5) if self.low <= step / 4 <= self.high]


def gain_axis(decisions: Sequence[GrowthDecision]) -> GainAxis:
    """Return an axis that has room for every gain, with its interval, and for none at all."""
    bounds = [0.0]
    for decision in decisions:
        for one in (decision.evidence, decision.against_control):
            if one is not None:
                bounds += (one.ci_low, one.ci_high, one.gain)
    # A candidate that blew up would leave no room for the others: beyond -200 % is cut off.
    low, high = max(min(bounds), -2.0), min(max(bounds), 1.0)
    margin = 0.04 * max(high - low, 0.1)
    return GainAxis(low - margin, high + margin)
