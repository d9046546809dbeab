"""The three-way split: train, growth, test.

The growth split is carved out of the training data and is the only data that decisions may see;
the test split is measured once, at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from esper.contracts.errors import ConfigError
from esper.data.bundle import DataBundle
from esper.data.prepare import stratified_split
from esper.data.task import Task


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows of a bundle's training tensors."""

    train: Tensor
    """Rows to learn from, ascending, int64 ``(N,)``."""
    growth: Tensor
    """Rows held out for decisions, shuffled, int64 ``(M,)``."""


def carve(bundle: DataBundle, fraction: float, seed: int) -> Split:
    """Hold ``fraction`` of the training data out.

    Classes keep their shares. Samples that overlap (windows of one sequence) are held out by
    position instead: the last part, in windows that share nothing with each other or with what
    is learned from.

    Args:
        bundle: the data.
        fraction: in (0, 0.5].
        seed: of the choice; same seed, same split.

    Raises:
        ConfigError: nothing would be left in one of the parts.
    """
    size = len(bundle.train)
    if bundle.overlap > 1:
        train, growth = _by_position(size, fraction, bundle.overlap)
    elif bundle.task is Task.CLASSIFICATION:
        train, growth = stratified_split(bundle.train.tensors[1], fraction, seed)
    else:
        order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
        cut = size - round(fraction * size)
        train, growth = order[:cut].sort().values, order[cut:]
    if not len(train) or not len(growth):
        raise ConfigError(
            f"growth_fraction {fraction} of {size} training samples leaves {len(train)} to learn "
            f"from and {len(growth)} to decide on: use more data or another fraction"
        )
    # Whoever takes only the first of them must get a fair sample.
    shuffle = torch.randperm(len(growth), generator=torch.Generator().manual_seed(seed + 1))
    return Split(train=train, growth=growth[shuffle])


def _by_position(size: int, fraction: float, overlap: int) -> tuple[Tensor, Tensor]:
    cut = size - round(fraction * size)
    return torch.arange(max(cut - overlap + 1, 0)), torch.arange(cut, size, overlap)
