"""What a user may name as ``package.module:factory``."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from esper.data.bundle import DataBundle, Recipe
from esper.data.task import Task

NOT_A_FACTORY = 3


def line(size: int = 400) -> DataBundle:
    """A regression that a linear layer solves."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size, 4, generator=generator)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
    return DataBundle(
        name="line",
        train=TensorDataset(x, y),
        test=TensorDataset(x[:50], y[:50]),
        task=Task.REGRESSION,
        model=lambda: nn.Linear(4, 1),
        recipe=Recipe(steps=60, batch_size=20, learning_rate=0.05),
        description="four numbers, one answer",
        source="made here",
    )


def local_loss() -> DataBundle:
    """A loss that no other process can find by its name."""
    return replace(line(), loss=lambda output, target: (output - target).abs().mean())


def no_bundle() -> int:
    return 3


def perceptron(bundle: DataBundle, width: int = 8) -> nn.Module:
    return nn.Sequential(nn.Linear(bundle.example.shape[1], width), nn.ReLU(), nn.Linear(width, 1))


def dropout_net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(30, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2)
    )


class _Explodes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(30, 2)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        logits: Tensor = self.layer(x)
        return logits * float("nan") if self.calls > 12 else logits


def explodes() -> nn.Module:
    return _Explodes()
