"""Nested tensors, as `nn.TransformerEncoder` makes of a padded batch: padded for kernels and back.

`nn.TransformerEncoder` in eval mode drops the padding and hands its layers a nested tensor. Kernels
take dense tensors, so the batch is padded again (with zeros) around them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def as_padded(x: Tensor) -> tuple[Tensor, list[int] | None]:
    """Return a dense tensor, and the lengths of its samples if `x` was nested."""
    if not x.is_nested:
        return x, None
    return torch.nested.to_padded_tensor(x, 0.0), [part.shape[0] for part in x.unbind()]


def as_nested(x: Tensor, lengths: list[int] | None) -> Tensor:
    """Return `x`, (B, S, ...), cut to `lengths` as a nested tensor; unchanged if they are None."""
    if lengths is None:
        return x
    parts = [row[:length] for row, length in zip(x.unbind(), lengths, strict=True)]
    return torch.nested.as_nested_tensor(parts)
