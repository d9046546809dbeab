"""The one place where a kernel's output joins its host's."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from esper.contracts.enums import KernelMode
from esper.contracts.errors import AlphaError


def blend(base: Tensor, kernel_out: Tensor, alpha: Tensor, mode: KernelMode) -> Tensor:
    """Return the host's output with the kernel's blended in.

    Args:
        base: Output so far (the host's, or an earlier kernel's), any shape, floating dtype.
        kernel_out: The kernel's output, the same shape; cast to the dtype of `base`.
        alpha: Blending coefficient in [0, 1], a tensor without axes, of any floating dtype. It is
            a tensor so that a compiled graph takes it as an input and a new value recompiles
            nothing.
        mode: REPLACING gives `base + alpha * (kernel_out - base)`, bit-exactly `base` at 0 and
            `kernel_out` at 1 (`torch.lerp` computes from the nearer end); RESIDUAL gives
            `base + alpha * kernel_out`.

    Returns:
        A tensor of the shape and dtype of `base`.
    """
    kernel_out = kernel_out.to(base.dtype)
    weight = alpha.to(base.dtype)
    if mode is KernelMode.REPLACING:
        return torch.lerp(base, kernel_out, weight)
    return base + weight * kernel_out


def checked_alpha(alpha: float, what: str) -> float:
    """Return `alpha` as a float if it lies in [0, 1].

    Args:
        alpha: The blending coefficient.
        what: What it is for, named in the error ("seed 0 of layer 'fc1'").

    Raises:
        AlphaError: `alpha` is not a number, not finite, or outside [0, 1].
    """
    try:
        value = float(alpha)
    except (TypeError, ValueError):
        value = math.nan
    # `not (a <= b)` also refuses NaN.
    if not 0.0 <= value <= 1.0:
        raise AlphaError(
            f"alpha of {what} is {alpha!r}; give a number from 0.0 (host only) to 1.0 (kernel only)"
        )
    return value
