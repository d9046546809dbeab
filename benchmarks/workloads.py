"""Models to train for a benchmark of time, each with one batch and a whole training step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 10


class Encoder(nn.Module):
    """A transformer encoder over vectors of 128, and a head on their mean."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(128, 4, 512, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 6)
        self.head = nn.Linear(128, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, sequence, 128) → (batch, classes)."""
        return self.head(self.encoder(x).mean(1))  # type: ignore[no-any-return]  # nn.Module call


def mlp(*widths: int) -> nn.Module:
    """Linear layers of these widths with ReLU between them."""
    layers: list[nn.Module] = []
    for i, (width, following) in enumerate(pairwise(widths)):
        layers += [nn.ReLU()] if i else []
        layers.append(nn.Linear(width, following))
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class Workload:
    """A model and the batch that it is trained on."""

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    block: int
    """Steps of a block: long against the clock, short against the machine's moods."""

    def batch(self, samples: int | None = None) -> tuple[Tensor, Tensor]:
        """Inputs and targets; content does not matter for time."""
        generator = torch.Generator().manual_seed(0)
        n = self.shape[0] if samples is None else samples
        x = torch.randn(n, *self.shape[1:], generator=generator)
        return x, torch.randint(CLASSES, (n,), generator=generator)


WORKLOADS = (
    Workload("MLP 40-100-100-10, batch 100", lambda: mlp(40, 100, 100, 10), (100, 40), 100),
    Workload("MLP 784-512-512-10, batch 128", lambda: mlp(784, 512, 512, 10), (128, 784), 20),
    Workload("6-layer encoder, 16 × 32 × 128", Encoder, (16, 32, 128), 4),
)


def twins(workload: Workload) -> tuple[nn.Module, nn.Module]:
    """Two models with the same weights."""
    torch.manual_seed(0)
    model = workload.make()
    return model, copy.deepcopy(model)


class Loop:
    """A training loop: forward, loss, backward, AdamW.

    Args:
        model: what is trained.
        run: what computes its output; a compiled version of it, or the model itself.
        batch: inputs and targets of every step.
    """

    def __init__(
        self,
        model: nn.Module,
        batch: tuple[Tensor, Tensor],
        run: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.model = model
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        self._run = model if run is None else run
        self._x, self._y = batch

    def step(self) -> Tensor:
        """One step; returns its loss."""
        loss = F.cross_entropy(self._run(self._x), self._y)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.optimizer.step()
        return loss
