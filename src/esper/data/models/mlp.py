"""A multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def mlp(
    inputs: int, hidden: Sequence[int], outputs: int, *, flatten: bool = False
) -> nn.Sequential:
    """Linear layers with ReLU between them.

    Args:
        inputs: features of a sample.
        hidden: width of each hidden layer, at least 1.
        outputs: features of the answer; no activation follows the last layer.
        flatten: begin with ``nn.Flatten``, for samples of more than one axis.
    """
    layers: list[nn.Module] = [nn.Flatten()] if flatten else []
    widths = [inputs, *hidden, outputs]
    for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
        if index:
            layers.append(nn.ReLU())
        layers.append(nn.Linear(fan_in, fan_out))
    return nn.Sequential(*layers)
