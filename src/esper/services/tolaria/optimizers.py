"""The optimizers by name, and the course of their learning rate: a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from esper.services.tolaria.run_plan import Plan
from esper.services.tolaria.training_config import OptimizerConfig, ScheduleConfig


def make_optimizer(
    parameters: Iterable[nn.Parameter], config: OptimizerConfig, plan: Plan
) -> torch.optim.Optimizer:
    """Build the optimizer that the config names, with the rates of the plan."""
    lr, decay = plan.learning_rate, plan.weight_decay
    betas, eps, momentum = config.betas, config.eps, config.momentum
    match config.name:
        case "sgd":
            return torch.optim.SGD(
                parameters, lr, momentum, weight_decay=decay, nesterov=config.nesterov
            )
        case "adam":
            return torch.optim.Adam(parameters, lr, betas, eps, decay)
        case "adamw":
            return torch.optim.AdamW(parameters, lr, betas, eps, decay)
        case "rmsprop":
            return torch.optim.RMSprop(
                parameters, lr, eps=eps, weight_decay=decay, momentum=momentum
            )


_ONECYCLE_RISE = 0.3  # Smith & Topin 2018, with torch's defaults
_ONECYCLE_START = 1 / 25
_ONECYCLE_END = 1e-5 * _ONECYCLE_START


def factor(step: int, total: int, config: ScheduleConfig) -> float:
    """Factor of the peak learning rate that step ``step`` (from 0) of ``total`` trains with."""
    warmup = 0 if config.name == "onecycle" else config.warmup
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min((step - warmup) / max(1, total - warmup), 1.0)
    match config.name:
        case "none":
            return 1.0
        case "cosine":
            return _between(1.0, config.final, progress)
        case "linear":
            return 1 + (config.final - 1) * progress
        case "onecycle" if progress < _ONECYCLE_RISE:
            return _between(_ONECYCLE_START, 1.0, progress / _ONECYCLE_RISE)
        case "onecycle":
            return _between(1.0, _ONECYCLE_END, (progress - _ONECYCLE_RISE) / (1 - _ONECYCLE_RISE))
        case "step":
            # Rounded: a third of 30 steps is to drop at step 10, whatever 10 / 30 is in binary.
            return config.drop ** math.floor(round(progress / config.every, 9))


def _between(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def make_scheduler(
    optimizer: torch.optim.Optimizer, total: int, config: ScheduleConfig
) -> LambdaLR:
    """A scheduler to be stepped once after each optimizer step."""
    return LambdaLR(optimizer, lambda step: factor(step, total, config))
