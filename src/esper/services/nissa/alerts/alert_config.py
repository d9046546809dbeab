"""AlertConfig: from where on a figure is an alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from esper.utils.environment import settings_from
from esper.utils.ranges import POSITIVE, check_numbers

PREFIX: Final = "ESPER_ALERT_"
"""What the names of the thresholds' variables begin with."""


@dataclass(frozen=True, kw_only=True)
class AlertConfig:
    """Thresholds of the rules."""

    spike_window: int = 50
    """Points of the training curve that a new one is compared with; 5 of them are enough."""
    spike_deviations: float = 10.0
    """How many standard deviations (by the median absolute deviation) above their median a train
    loss is a spike."""
    spike_factor: float = 1.5
    """How many times their median it must be besides: a flat curve deviates by next to nothing."""
    plateau_evaluations: int = 30
    """Evaluations without progress, and without growth, that are a plateau."""
    plateau_improvement: float = 0.001
    """Relative fall of the growth loss that counts as progress."""
    dead_share: float = 0.9
    """Share of a layer's units that no longer vary, from where on the layer is as good as dead."""
    dead_measurements: int = 2
    """Health measurements in a row that must say so."""
    gradient_window: int = 20
    """Gradient norms of a layer that a new one is compared with; 3 of them are enough."""
    gradient_factor: float = 100.0
    """How many times their median a gradient norm has exploded."""
    race_factor: float = 2.0
    """How many times its planned length a race may go on without a mark before it counts as
    stalled."""
    race_seconds: float = 30.0
    """How long it must have been open beyond that, besides: what decides it may be on its way."""
    lost_intervals: float = 3.0
    """How many of its intervals a component may say nothing before it counts as lost."""
    lag_seconds: float = 60.0
    """How long a message may wait for a group of the bus, or lie unacknowledged with it."""
    miss_share: float = 0.9
    """Share of a kernel cache's loads that find nothing near, from where on it is no use."""
    miss_loads: int = 50
    """Loads between two looks at a cache that say something about it."""

    def __post_init__(self) -> None:
        check_numbers(self, "AlertConfig.", **{one.name: POSITIVE for one in fields(self)})

    @staticmethod
    def from_environment(environ: Mapping[str, str]) -> AlertConfig:
        """Read `ESPER_ALERT_<THRESHOLD>`.

        Raises:
            ConfigError: An unknown threshold, or one that is no number or not above 0.
        """
        return AlertConfig(**settings_from(environ, PREFIX, AlertConfig))
