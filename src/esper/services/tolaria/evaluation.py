"""Loss and metric of a model over some rows of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from esper.data.task import LossFn, Metric
from esper.orchestration.counterfactual import evaluating

_BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What an evaluation found, as means over the samples."""

    loss: float
    metric: float


def evaluate(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    loss_fn: LossFn,
    metric: Metric,
    *,
    batch_size: int = _BATCH,
) -> Figures:
    """Evaluate ``model`` on inputs and targets, in evaluation mode, its state untouched.

    Args:
        model: the model.
        data: inputs and targets, sample axis first, at least one sample, on any device.
        loss_fn: a mean over the batch.
        metric: what to report beside the loss.
        batch_size: samples at once; the loss is the same whatever it is.
    """
    device = next(model.parameters()).device
    loss = torch.zeros((), dtype=torch.float64, device=device)
    score = torch.zeros((), dtype=torch.float64, device=device)
    with evaluating(model):
        for x, y in zip(data[0].split(batch_size), data[1].split(batch_size), strict=True):
            target = y.to(device)
            output = model(x.to(device))
            loss += loss_fn(output, target).double() * len(y)
            score += metric.measure(output, target).double().sum()
    size = len(data[1])
    return Figures(loss=float(loss) / size, metric=float(score) / size)
