"""A probe: run a kernel once on made-up input to see that it fits a layer's geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from esper.contracts.enums import Layout
from esper.contracts.errors import KernelMismatchError

if TYPE_CHECKING:
    from esper.blueprints.geometry import Geometry

_BATCH = 2
_FREE_AXIS = 16
"""Size that an axis of any size has in the probe; long enough for a convolution's window."""


def check_kernel(kernel: nn.Module, geometry: Geometry, where: str) -> None:
    """Raise if `kernel` does not map the geometry's input shape to its output shape.

    Runs in eval mode without gradients; buffers, training flags and random state are as before.

    Raises:
        KernelMismatchError: The kernel raises on such input, or returns another shape.
    """
    like = next((p for p in kernel.parameters() if p.is_floating_point()), None)
    x = _input(geometry, like)
    try:
        out = _run_quietly(kernel, x)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise KernelMismatchError(
            f"the kernel for {where} fails on an input of shape {tuple(x.shape)}: {error}. Use a "
            f"kernel built for {geometry.layout} input of shape {geometry.input_shape}"
        ) from error
    expected = (_BATCH, *_sizes(geometry, x))
    found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
    if not isinstance(found, tuple) or not _fits(found, expected):
        raise KernelMismatchError(
            f"the kernel for {where} returns {found} for an input of shape {tuple(x.shape)}, where "
            f"{expected} is needed; use a kernel built for output shape {geometry.output_shape}"
        )


def _sizes(geometry: Geometry, x: Tensor) -> tuple[int | None, ...]:
    """Return the output's sizes: a sequence keeps its length, other open axes may be anything."""
    if geometry.layout not in {Layout.TOKENS, Layout.IDS}:
        return geometry.output_shape
    lengths = [*x.shape[1:], *[None] * len(geometry.output_shape)]
    return tuple(
        length if size is None else size
        for size, length in zip(geometry.output_shape, lengths, strict=False)
    )


def _fits(found: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(found) == len(expected) and all(
        want in {None, have} for have, want in zip(found, expected, strict=True)
    )


def _input(geometry: Geometry, like: Tensor | None) -> Tensor:
    device = None if like is None else like.device
    open_shape = geometry.example_shape or geometry.input_shape
    shape = (_BATCH, *(_FREE_AXIS if size is None else size for size in open_shape))
    if geometry.layout is Layout.IDS:
        return torch.zeros(shape, dtype=torch.long, device=device)
    return torch.zeros(shape, dtype=None if like is None else like.dtype, device=device)


def _run_quietly(kernel: nn.Module, x: Tensor) -> object:
    flags = [(module, module.training) for module in kernel.modules()]
    devices = [x.device] if x.device.type == "cuda" else []
    try:
        kernel.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            return kernel(x)
    finally:
        for module, training in flags:
            module.training = training
