"""How a kernel comes in: the rise of alpha, and a learning rate warmed again.

Both are pure functions of progress in [0, 1].
"""

from __future__ import annotations

import math
from enum import StrEnum


class AlphaSchedule(StrEnum):
    """Shape of the rise of alpha over a graft."""

    LINEAR = "linear"
    COSINE = "cosine"
    SIGMOID = "sigmoid"


_STEEPNESS = 10.0


def alpha_at(progress: float, schedule: AlphaSchedule) -> float:
    """Alpha after ``progress`` of the graft; exactly 0 at 0 and exactly 1 at 1."""
    p = min(max(progress, 0.0), 1.0)
    if p in (0.0, 1.0):
        return p
    if schedule is AlphaSchedule.LINEAR:
        return p
    if schedule is AlphaSchedule.COSINE:
        return 0.5 * (1.0 - math.cos(math.pi * p))
    edge = 1.0 / (1.0 + math.exp(_STEEPNESS / 2))
    logistic = 1.0 / (1.0 + math.exp(-_STEEPNESS * (p - 0.5)))
    return min(max((logistic - edge) / (1.0 - 2.0 * edge), 0.0), 1.0)


def rewarm(progress: float, warmup: float) -> float:
    """Learning-rate factor of grafted parameters: linear warm-up, then a cosine to zero.

    Args:
        progress: position between the graft (0) and the end of training (1).
        warmup: share of that span spent rising, in [0, 1).
    """
    p = min(max(progress, 0.0), 1.0)
    if p < warmup:
        return p / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (p - warmup) / (1.0 - warmup)))
