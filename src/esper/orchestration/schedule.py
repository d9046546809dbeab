"""How a kernel comes in: the rise of alpha, and a learning rate warmed again.

Both are pure functions of progress in [0, 1]. The rates' peaks are read off the loop's optimizer.
"""

from __future__ import annotations

import math
from enum import StrEnum

import torch

_ADAM_LIKE = (torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam)
_DEFAULT_LR = 1e-3


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


def leading_group(optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """The first parameter group that learns, by position, and the rate that its schedule peaks at.

    A group may stand at 0: it is frozen, or its loop raises the rate by hand from there. Where all
    do, the peak is not known yet, and the optimizer's own default takes its place.
    """
    for index, group in enumerate(optimizer.param_groups):
        peak = float(group.get("max_lr", group.get("initial_lr", group["lr"])))
        if peak > 0.0:
            return index, peak
    return 0, float(optimizer.defaults.get("lr") or _DEFAULT_LR)


def kernel_lr(optimizer: torch.optim.Optimizer) -> float:
    """Peak learning rate of kernels in the shadow, where the configuration leaves it open."""
    is_adam = isinstance(optimizer, _ADAM_LIKE)
    return 2 * (leading_group(optimizer)[1] if is_adam else _DEFAULT_LR)
