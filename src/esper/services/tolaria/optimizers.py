"""The optimizers by name."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from esper.services.tolaria.run_plan import Plan
from esper.services.tolaria.training_config import OptimizerConfig


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
