"""The optimizers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from esper.services.tolaria.run_plan import Plan
from esper.services.tolaria.training_config import OptimizerConfig
from esper.utils.registry import Registry

Parameters = Iterable[nn.Parameter]
Builder = Callable[[Parameters, OptimizerConfig, Plan], torch.optim.Optimizer]

OPTIMIZERS: Registry[str, Builder] = Registry("optimizer")


def make_optimizer(
    parameters: Parameters, config: OptimizerConfig, plan: Plan
) -> torch.optim.Optimizer:
    """Build the optimizer that the config names.

    Raises:
        RegistryError: there is none of that name.
    """
    return OPTIMIZERS.lookup(config.name)(parameters, config, plan)


@OPTIMIZERS.register("sgd")
def _sgd(parameters: Parameters, config: OptimizerConfig, plan: Plan) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        parameters,
        lr=plan.learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=plan.weight_decay,
    )


@OPTIMIZERS.register("adam")
def _adam(parameters: Parameters, config: OptimizerConfig, plan: Plan) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        parameters,
        lr=plan.learning_rate,
        betas=config.betas,
        eps=config.eps,
        weight_decay=plan.weight_decay,
    )


@OPTIMIZERS.register("adamw")
def _adamw(parameters: Parameters, config: OptimizerConfig, plan: Plan) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        parameters,
        lr=plan.learning_rate,
        betas=config.betas,
        eps=config.eps,
        weight_decay=plan.weight_decay,
    )


@OPTIMIZERS.register("rmsprop")
def _rmsprop(parameters: Parameters, config: OptimizerConfig, plan: Plan) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(
        parameters,
        lr=plan.learning_rate,
        momentum=config.momentum,
        eps=config.eps,
        weight_decay=plan.weight_decay,
    )
