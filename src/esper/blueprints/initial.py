"""Initial weights by name: what a `linear` or convolution starts from when not torch's default.

`zero` makes a residual kernel the identity at birth: the last layer's outgoing weights are zero
while its fan-in is live, so that the gradient flows from the first step. The spectral ones put
an analytic filter bank where training can refine it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from esper.utils.registry import Registry

Fill = Callable[[torch.Tensor], None]

FILLS: Registry[str, Fill] = Registry("weight initialisation")


@FILLS.register("zero")
def _zero(weight: torch.Tensor) -> None:
    weight.zero_()


@FILLS.register("xavier")
def _xavier(weight: torch.Tensor) -> None:
    nn.init.xavier_uniform_(weight)


@FILLS.register("dct")
def _dct(weight: torch.Tensor) -> None:
    """Orthonormal type-II cosine transform of the last axis; rows beyond it repeat from the low end."""
    rows, columns = weight.shape[0], weight[0].numel()
    order = torch.arange(rows, dtype=torch.float64).remainder(columns).unsqueeze(1)
    place = torch.arange(columns, dtype=torch.float64).unsqueeze(0)
    basis = torch.cos(math.pi / columns * (place + 0.5) * order) * math.sqrt(2 / columns)
    basis[order.squeeze(1) == 0] /= math.sqrt(2)
    weight.copy_(basis.reshape(weight.shape))


@FILLS.register("fourier")
def _fourier(weight: torch.Tensor) -> None:
    """Hann-windowed cosines (first half of the rows) and sines (second half), equally spaced."""
    rows, width = weight.shape[0], weight.shape[-1]
    pairs = max(1, rows // 2)
    place = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    window = torch.hann_window(width + 2, periodic=False, dtype=torch.float64)[1:-1]
    order = torch.arange(rows).remainder(pairs).to(torch.float64) + 0.5
    angle = math.pi * order.unsqueeze(1) / pairs * place
    waves = torch.where((torch.arange(rows) < pairs).unsqueeze(1), angle.cos(), angle.sin())
    waves = waves * window
    waves = waves / waves.norm(dim=1, keepdim=True).clamp_min(1e-6)
    weight.copy_(waves.unsqueeze(1).expand_as(weight) / math.sqrt(weight.shape[1]))


@FILLS.register("haar")
def _haar(weight: torch.Tensor) -> None:
    """Haar low and high pass for even and odd rows (one axis), or the four 2 by 2 ones (two)."""
    low = torch.tensor([1.0, 1.0], dtype=torch.float64) / math.sqrt(2)
    high = torch.tensor([1.0, -1.0], dtype=torch.float64) / math.sqrt(2)
    if weight.dim() == 3:
        bank = torch.stack([low, high])
    else:
        bank = torch.stack([torch.outer(a, b) for a in (low, high) for b in (low, high)])
    filters = bank[torch.arange(weight.shape[0]).remainder(len(bank))]
    weight.copy_(filters.unsqueeze(1).expand_as(weight))


def initialise(module: nn.Module, name: str) -> nn.Module:
    """Fill a module's `weight` by the named rule and its `bias` with zeros; return the module.

    "default" leaves what torch drew. On the meta device nothing is filled.
    """
    if name == "default":
        return module
    weight = module.get_parameter("weight")
    if weight.is_meta:
        return module
    with torch.no_grad():
        FILLS.lookup(name)(weight)
        for parameter_name, bias in module.named_parameters():
            if parameter_name == "bias":
                bias.zero_()
    return module
