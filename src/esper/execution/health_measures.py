"""The figures that a health signal is made of, each a tensor without axes: no device is waited for.

Samples are strided, never random: measuring must not touch a generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

_ROWS = 64
_UNITS = 64
_FLAT = 1e-12
"""Variance below which a unit counts as constant."""
_RANK_SHARE = 0.1
"""Share of the full rank from which on a layer's rank is no concern."""
_UPDATES = (1e-5, 1e-4, 1e-1, 1.0)
"""Update ratio: useless below the first, fine from the second to the third, wild above the last."""


@dataclass
class ActivationSample:
    """What is kept of one output: figures over all of it, and at most 64 x 64 values."""

    variance: Tensor
    """Mean over units of the variance over batch and positions."""
    constant: Tensor
    """(units,) bool: the unit does not vary."""
    rows: Tensor
    """(rows, units) float32 sample, at most 64 of each: what a decomposition costs little of."""
    unit_axis: int
    heard: list[Tensor] = field(default_factory=list)
    """(units,) bool: the unit got a gradient. Empty where there was no backward pass."""

    @classmethod
    def take(cls, output: Tensor, unit_axis: int) -> ActivationSample:
        """Measure `output`, whose axis `unit_axis` counts units and whose others count samples."""
        table = _table(output, unit_axis).float()
        # Not `var`: over the first axis it takes ten times as long on the CPU.
        variance = (table - table.mean(dim=0)).square_().mean(dim=0)
        return cls(
            variance=variance.mean(),
            constant=variance <= _FLAT,
            # A copy: the layer that follows may work in place.
            rows=_every(_every(table, 0, _ROWS), 1, _UNITS).clone(),
            unit_axis=unit_axis,
        )

    def note_gradient(self, gradient: Tensor) -> None:
        """Tensor hook on the output: note which units get a gradient from any sample."""
        self.heard.append(_table(gradient.detach(), self.unit_axis).any(dim=0))

    def dead_ratio(self) -> Tensor:
        """Return the share of units that do not vary, or that nothing behind them listens to."""
        dead = self.constant
        for heard in self.heard:
            dead = dead | ~heard
        return dead.float().mean()


def singular_values(rows: Tensor) -> Tensor:
    """Return the singular values of the centred rows, (samples, units); not finite counts as 0."""
    centred = rows - rows.mean(dim=0)
    values: Tensor = torch.linalg.svdvals(torch.nan_to_num_(centred, 0.0, 0.0, 0.0))
    return values


def effective_rank(values: Sequence[float]) -> float:
    """Return exp(entropy) of the normalised singular values (Roy & Vetterli 2007, eq. 3).

    Args:
        values: The singular values, on the host: some 64 numbers cost less there than one kernel.

    Returns:
        From 1 (or 0 if all are 0) to their number.
    """
    total = sum(values)
    if total <= 0:
        return 0.0
    shares = [value / total for value in values if value > 0]
    return math.exp(-sum(share * math.log(share) for share in shares))


def gradient_snr(samples: Tensor) -> Tensor:
    """Return the norm of the mean gradient over the norm of its standard deviation.

    Args:
        samples: (steps, elements), at least two steps. Pure noise gives about 1 / sqrt(steps).
    """
    mean = samples.mean(dim=0)
    # The norm of the standard deviations, without a pass over the first axis for each element.
    spread = torch.linalg.vector_norm(samples - mean) / math.sqrt(len(samples) - 1)
    ratio: Tensor = torch.linalg.vector_norm(mean) / spread.clamp_min(1e-30)
    return ratio


def health_score(values: Mapping[str, float], *, full_rank: float | None) -> float | None:
    """Return the weakest of the measured parts, in [0, 1]; None if no part was measured.

    Parts: the share of live units; the effective rank against a tenth of the full one; the update
    ratio against what trains well, 1e-4 to 0.1.
    """
    if any(not math.isfinite(value) for value in values.values()):
        return 0.0
    parts: list[float] = []
    if "dead_neuron_ratio" in values:
        parts.append(1.0 - values["dead_neuron_ratio"])
    if "effective_rank" in values and full_rank:
        parts.append(values["effective_rank"] / max(1.0, _RANK_SHARE * full_rank))
    if "update_ratio" in values:
        parts.append(_in_band(values["update_ratio"]))
    return min(1.0, max(0.0, min(parts))) if parts else None


def strided_views(tensors: Iterable[Tensor], limit: int) -> list[Tensor]:
    """Return of each tensor at most `limit` elements, evenly spread over it; views, if it can be."""
    return [_every(t.detach().reshape(-1), 0, limit) for t in tensors]


def strided_sample(tensors: Iterable[Tensor], limit: int) -> Tensor:
    """Return those elements of all the tensors in one float32 copy."""
    return torch.cat(strided_views(tensors, limit)).float()


def _in_band(ratio: float) -> float:
    low, good, fine, wild = _UPDATES
    if ratio < good:
        return math.log(max(ratio, low) / low) / math.log(good / low)
    return 1.0 if ratio <= fine else math.log(wild / min(ratio, wild)) / math.log(wild / fine)


def _table(output: Tensor, unit_axis: int) -> Tensor:
    if output.dim() == 2 and unit_axis in {-1, 1}:
        return output
    return output.movedim(unit_axis, -1).reshape(-1, output.shape[unit_axis])


def _every(tensor: Tensor, axis: int, limit: int) -> Tensor:
    step = -(-tensor.shape[axis] // limit) or 1
    if step == 1:
        return tensor
    return tensor[::step] if axis == 0 else tensor[:, ::step]
