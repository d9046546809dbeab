"""Which samples decide, and which a step trains on: pure functions of the seed and the step.

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


class EpochSampler:
    """Every epoch is a fresh permutation; a last batch that is not full is left out.

    There is no state to save: ``rows(step)`` depends on the arguments alone, so a resumed run
    sees the batches that the broken one would have seen.

    Args:
        rows: rows to draw from, int64 ``(N,)``, N >= ``batch_size``.
        batch_size: samples of a batch.
        seed: of the permutations.
    """

    def __init__(self, rows: Tensor, batch_size: int, seed: int) -> None:
        self._rows = rows
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self._order = rows

    @property
    def size(self) -> int:
        """Rows of an epoch, those that are left out included."""
        return len(self._rows)

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return len(self._rows) // self._batch_size

    def rows(self, step: int) -> Tensor:
        """Rows of the batch of ``step``, counted from 0, shape ``(batch_size,)``."""
        epoch, position = divmod(step, self.batches)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(_mix(self._seed, epoch))
            order = torch.randperm(len(self._rows), generator=generator)
            self._order, self._epoch = self._rows[order.to(self._rows.device)], epoch
        start = position * self._batch_size
        return self._order[start : start + self._batch_size]


def _mix(seed: int, epoch: int) -> int:
    # The multiplier of a 64-bit linear congruential generator (Knuth, MMIX) keeps the seeds of
    # neighbouring runs and epochs apart.
    return (seed * 6_364_136_223_846_793_005 + epoch + 1) % 2**63
