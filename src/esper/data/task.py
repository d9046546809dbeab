"""What a data set asks for: its task, and the loss and metric that the task is measured by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor
from torch.nn import functional

LossFn = Callable[[Tensor, Tensor], Tensor]


class Task(StrEnum):
    """Kinds of task."""

    CLASSIFICATION = "classification"
    """Logits ``(B, classes)`` against class indices ``(B,)``."""
    REGRESSION = "regression"
    """Values ``(B, ...)`` against values of the same shape."""
    LANGUAGE = "language"
    """Logits ``(B, S, vocabulary)`` against the next tokens ``(B, S)``."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that a person reads off a run.

    Calling it gives the mean over the samples of ``output`` as a tensor without axes.
    """

    name: str
    higher_is_better: bool
    measure: Callable[[Tensor, Tensor], Tensor]
    """``measure(output, target)`` -> one value per sample, shape ``(B,)``."""
    percent: bool = False
    """Shown as a percentage."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean of :attr:`measure` over the batch."""
        return self.measure(output, target).mean()


def sequence_cross_entropy(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of each position's next token.

    Args:
        output: logits ``(B, S, vocabulary)``.
        target: token ids ``(B, S)``.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for losses of shape ``(B, S)``.

    Returns:
        The loss in nats.
    """
    losses = functional.cross_entropy(output.flatten(0, -2), target.flatten(), reduction=reduction)
    return losses.reshape(target.shape) if reduction == "none" else losses


def mean_squared_error(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared error; ``output`` is reshaped to ``target``'s shape, never broadcast."""
    return functional.mse_loss(output.reshape(target.shape), target, reduction=reduction)


def _correct(output: Tensor, target: Tensor) -> Tensor:
    return (output.argmax(dim=-1) == target).float()


def _bits(output: Tensor, target: Tensor) -> Tensor:
    nats = sequence_cross_entropy(output.float(), target, reduction="none")
    return nats.flatten(1).mean(dim=1) / math.log(2.0)


def _squared_error(output: Tensor, target: Tensor) -> Tensor:
    error = mean_squared_error(output.float(), target, reduction="none")
    return error.reshape(error.shape[0], -1).mean(dim=1)


ACCURACY = Metric(name="accuracy", higher_is_better=True, measure=_correct, percent=True)
BITS_PER_CHARACTER = Metric(name="bits per character", higher_is_better=False, measure=_bits)
SQUARED_ERROR = Metric(name="mean squared error", higher_is_better=False, measure=_squared_error)

LOSSES: dict[Task, LossFn] = {
    Task.CLASSIFICATION: functional.cross_entropy,
    Task.REGRESSION: mean_squared_error,
    Task.LANGUAGE: sequence_cross_entropy,
}

METRICS: dict[Task, Metric] = {
    Task.CLASSIFICATION: ACCURACY,
    Task.REGRESSION: SQUARED_ERROR,
    Task.LANGUAGE: BITS_PER_CHARACTER,
}
