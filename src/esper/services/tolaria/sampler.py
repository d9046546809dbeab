"""Which samples a step trains on: a pure function of the seed and the step."""

from __future__ import annotations

import torch
from torch import Tensor


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
