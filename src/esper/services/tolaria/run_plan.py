"""The run in numbers: what the config leaves open, filled in from the data set's recipe."""

from __future__ import annotations

from dataclasses import dataclass

from esper.contracts.errors import ConfigError
from esper.data.bundle import DataBundle
from esper.services.tolaria.training_config import TolariaConfig

_EVALUATIONS = 20


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Resolved numbers of a run."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    eval_every: int


def make_plan(config: TolariaConfig, bundle: DataBundle, train_size: int) -> Plan:
    """Resolve the numbers of a run over ``train_size`` training samples.

    Raises:
        ConfigError: the batch cannot be cut into ``accumulation`` pieces, or is larger than the
            training split.
    """
    recipe, optimizer = bundle.recipe, config.optimizer
    batch_size = config.batch_size or recipe.batch_size
    if batch_size > train_size:
        raise ConfigError(
            f"batch_size {batch_size} is larger than the training split of {train_size} samples"
        )
    if batch_size % config.accumulation:
        raise ConfigError(
            f"batch_size {batch_size} cannot be cut into accumulation={config.accumulation} equal "
            "pieces: choose a multiple"
        )
    steps = config.steps
    if steps is None and config.epochs is None:
        steps = recipe.steps
    if steps is None:
        epochs = config.epochs or recipe.epochs or 1
        steps = epochs * (train_size // batch_size)
    lr, decay = optimizer.lr, optimizer.weight_decay
    return Plan(
        steps=steps,
        batch_size=batch_size,
        learning_rate=recipe.learning_rate if lr is None else lr,
        weight_decay=recipe.weight_decay if decay is None else decay,
        eval_every=config.eval_every or max(1, steps // _EVALUATIONS),
    )
