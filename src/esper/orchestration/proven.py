"""Proven kernels: kernels with trained weights that enter races beside fresh blueprints.

What is in a kernel file says nothing about the model at hand, so each kernel is fitted here:
shapes, mode and element type by what its graph states; that it does not look at later positions,
and that it takes every id, by trying it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from esper.blueprints.cost import cost
from esper.blueprints.geometry import BEHIND, Geometry
from esper.blueprints.library.catalog import CONTROL, Candidate
from esper.contracts.enums import KernelMode, Layout
from esper.contracts.errors import BlueprintError
from esper.execution.artifact import KernelArtifact

_PROBE_LENGTH = 8
"""Positions that a sequence of any length is tried with."""


def fitting(
    kernels: Sequence[KernelArtifact], geometry: Geometry, modes: Collection[KernelMode]
) -> list[KernelArtifact]:
    """The kernels that may stand in a layer of this geometry, in the order in which they came."""
    return [k for k in kernels if k.metadata.mode in modes and fits(k, geometry)]


def fits(kernel: KernelArtifact, geometry: Geometry) -> bool:
    """Whether a kernel can take the place: the same shapes and element type, and nothing later."""
    read, returned = kernel.ir.input_spec, kernel.ir.output_spec
    if kernel.metadata.dtype != "float32" or family_and_size(kernel)[0] == CONTROL:
        return False
    if geometry.host == BEHIND and kernel.metadata.mode is KernelMode.REPLACING:
        return False  # there is nothing to replace
    if (read.shape, returned.shape) != (geometry.input_shape, geometry.output_shape):
        return False
    if read.is_float is (geometry.layout is Layout.IDS) or not returned.is_float:
        return False
    return not (geometry.causal or geometry.layout is Layout.IDS) or _behaves(kernel, geometry)


def family_and_size(kernel: KernelArtifact) -> tuple[str, str]:
    """What its blueprint's name says: `conv1d/medium`; any other name is a family of its own."""
    family, _, size = kernel.metadata.blueprint.partition("/")
    return family, size


def as_candidate(kernel: KernelArtifact, geometry: Geometry) -> Candidate:
    """The kernel as the library would offer it for a layer that it fits."""
    family, size = family_and_size(kernel)
    return Candidate(
        family=family,
        size=size,
        mode=kernel.metadata.mode,
        ir=kernel.ir,
        cost=cost(kernel.ir, geometry.cost_shape),
    )


def _behaves(kernel: KernelArtifact, geometry: Geometry) -> bool:
    """Try it: every id is known, and in a causal place no output depends on a later position."""
    open_axes = [_PROBE_LENGTH if size is None else size for size in geometry.input_shape]
    x = _probe(geometry, geometry.example_shape or open_axes)
    axis = 2 if geometry.layout is Layout.CHANNELS_1D else 1
    try:
        module = kernel.to("cpu").build().eval()
        with torch.no_grad():
            answer = module(x)
            return not geometry.causal or _keeps_order(module, x, answer, axis)
    except (BlueprintError, RuntimeError, IndexError):  # it cannot take such an input
        return False


def _probe(geometry: Geometry, sizes: Sequence[int]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if geometry.layout is not Layout.IDS:
        return torch.randn(2, *sizes, generator=generator)
    ids = torch.randint(geometry.vocabulary or 1, (2, *sizes), generator=generator)
    ids.view(-1)[-1] = (geometry.vocabulary or 1) - 1
    return ids


def _keeps_order(module: nn.Module, x: Tensor, answer: Tensor, axis: int) -> bool:
    """Whether the first half of a sequence is answered alike whatever comes after it."""
    half = x.shape[axis] // 2
    past, future = x.split([half, x.shape[axis] - half], dim=axis)
    other = module(torch.cat([past, future.flip(0)], dim=axis))  # the other sample's future
    now, then = answer.narrow(axis, 0, half), other.narrow(axis, 0, half)
    return bool(torch.allclose(now, then, rtol=1e-4, atol=1e-5))
