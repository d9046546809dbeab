"""Geometry: the result has the shape that the graph foretells, whatever the batch and lengths."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from esper.execution.kernel_check import misfit
from esper.services.tezzeret.checks.subject import CheckFailedError, Size, Subject

_BATCHES: Final = (1, 2, 7)


def geometry(subject: Subject) -> str:
    """Shape and dtype hold in both modes, for several batch sizes and every open axis."""
    kernel, tried = subject.fresh(), 0
    for size in subject.sizes:
        for batch in _BATCHES:
            x = subject.sample(batch, size)
            tried += _fits(subject, kernel.eval(), x, size)
            # Statistics of a batch do not exist for one sample of one place.
            if batch > 1 or not subject.mixes_samples:
                tried += _fits(subject, kernel.train(), x, size)
    return f"{tried} calls, sizes {', '.join(map(str, subject.sizes))}, batches {_BATCHES}"


def _fits(subject: Subject, kernel: nn.Module, x: Tensor, size: Size) -> int:
    expected = (len(x), *subject.returned(size).shape)
    with torch.no_grad():
        out = kernel(x)
    fault = misfit(out, x, expected, None)
    if fault is not None:
        raise CheckFailedError(f"for an input of shape {tuple(x.shape)} the kernel {fault[1]}")
    return 1
