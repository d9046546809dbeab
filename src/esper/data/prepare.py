"""Pure functions that turn raw arrays into training tensors; statistics come from train only."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_SMALLEST_DEVIATION = 1e-6


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of a split in which each class has the same share of both parts.

    Args:
        labels: class indices, shape ``(N,)``.
        fraction: share of each class that goes to the second part, in (0, 1); at least one sample
            of each class that has two or more.
        seed: of the shuffle; same seed, same split.

    Returns:
        Sorted index tensors ``(kept, held_out)``.
    """
    generator = torch.Generator().manual_seed(seed)
    held: list[Tensor] = []
    for label in torch.unique(labels):
        members = (labels == label).nonzero().flatten()
        count = max(1, round(fraction * len(members))) if len(members) > 1 else 0
        order = torch.randperm(len(members), generator=generator)
        held.append(members[order[:count]])
    mask = torch.zeros(len(labels), dtype=torch.bool)
    mask[torch.cat(held)] = True
    return (~mask).nonzero().flatten(), mask.nonzero().flatten()


def standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Each feature to mean 0 and deviation 1 by the statistics of ``train`` alone.

    Args:
        train: float features ``(N, F)``.
        test: float features ``(M, F)``.

    Returns:
        Both as float32. A feature that is constant in ``train`` becomes 0 there.
    """
    mean = train.double().mean(dim=0)
    deviation = train.double().std(dim=0, unbiased=False)
    deviation = torch.where(deviation < _SMALLEST_DEVIATION, 1.0, deviation)
    return _scale(train, mean, deviation), _scale(test, mean, deviation)


def standardise_images(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Each channel to mean 0 and deviation 1 by the statistics of ``train`` alone.

    Args:
        train: ``uint8`` images ``(N, C, H, W)``.
        test: ``uint8`` images ``(M, C, H, W)``.

    Returns:
        Both as float32.
    """
    means, deviations = [], []
    for channel in train.unbind(dim=1):
        # A histogram gives exact statistics of bytes without a float copy of the pixels.
        counts = torch.bincount(channel.flatten(), minlength=256).double()
        values = torch.arange(256, dtype=torch.float64)
        mean = (counts * values).sum() / counts.sum()
        means.append(mean)
        deviations.append((counts * (values - mean) ** 2).sum().div(counts.sum()).sqrt())
    mean = torch.stack(means).reshape(-1, 1, 1).float()
    deviation = torch.stack(deviations).clamp_min(_SMALLEST_DEVIATION).reshape(-1, 1, 1).float()
    return (train.float() - mean) / deviation, (test.float() - mean) / deviation


def tensor(array: object) -> Tensor:
    """A tensor with its own memory from anything that numpy understands."""
    return torch.from_numpy(np.array(array))


def _scale(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    return ((x.double() - mean) / deviation).float()
