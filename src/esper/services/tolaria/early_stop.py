"""When a run ends early: a pure record of growth losses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from esper.services.tolaria.training_config import EarlyStopConfig


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """The best growth loss so far, and how many evaluations have not improved on it."""

    best: float = math.inf
    since: int = 0

    def after(self, loss: float, config: EarlyStopConfig) -> EarlyStop:
        """The record after one more evaluation; a loss that is not finite is no improvement."""
        if loss < self.best - config.min_delta:
            return replace(self, best=loss, since=0)
        return replace(self, since=self.since + 1)

    def is_due(self, config: EarlyStopConfig) -> bool:
        """Whether patience has run out."""
        return 0 < config.patience <= self.since
