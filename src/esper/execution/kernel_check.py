"""What a kernel's result must be: a finite floating-point tensor of the right shape and dtype."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from esper.execution.execution_stats import FailureKind

Shape = tuple[int | None, ...]
"""A shape in which None stands for an axis of any size."""


def is_finite(output: Tensor) -> bool:
    """Exact. One reduction in the usual case: a finite sum has only finite terms."""
    output = output.detach()
    if math.isfinite(output.sum().item()):
        return True
    # Either a bad element, or finite ones whose sum overflows.
    return bool(torch.isfinite(output).all())


def misfit(
    output: Any, x: Tensor, expected: Shape, dtype: torch.dtype | None
) -> tuple[FailureKind, str] | None:
    """What is wrong with the kind, shape or dtype of a result; None if nothing is."""
    if not isinstance(output, Tensor):
        return FailureKind.NOT_A_TENSOR, f"returned {type(output).__name__}, not a tensor"
    shape, wanted = output.shape, _wanted_dtype(x, dtype)
    if shape == expected and output.dtype == wanted:  # the usual case, kept cheap
        return None
    if len(shape) != len(expected) or any(
        want is not None and size != want for size, want in zip(shape, expected, strict=True)
    ):
        return FailureKind.WRONG_SHAPE, f"returned shape {tuple(shape)}, expected {expected}"
    if not output.is_floating_point():
        return FailureKind.WRONG_DTYPE, f"returned {output.dtype}, expected a floating dtype"
    if wanted is not None and output.dtype != wanted and not _autocasting(x):
        return FailureKind.WRONG_DTYPE, f"returned {output.dtype}, expected {wanted}"
    return None


def _wanted_dtype(x: Tensor, dtype: torch.dtype | None) -> torch.dtype | None:
    if dtype is not None:
        return dtype
    return x.dtype if x.is_floating_point() else None


def _autocasting(x: Tensor) -> bool:
    return torch.is_autocast_enabled(x.device.type)


def as_dtype(output: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Return the result in the stated dtype, if one is stated."""
    # Without a stated dtype autocast decides; casting to the input's would undo it.
    return output if dtype is None or output.dtype == dtype else output.to(dtype)
