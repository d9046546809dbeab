"""Kernels with trained weights, for races that other runs' kernels enter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from esper.blueprints.build import build
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.catalog import candidate
from esper.contracts.enums import KernelMode
from esper.execution.artifact import KernelArtifact, pack, unpack


def proven(
    geometry: Geometry,
    family: str = "glu",
    size: str = "small",
    *,
    mode: KernelMode = KernelMode.REPLACING,
    seed: int = 0,
    name: str | None = None,
) -> KernelArtifact:
    """A kernel file of the library's family for a layer, read back."""
    chosen = candidate(geometry, family, size, mode)
    module = build(chosen.ir, seed=seed)
    return unpack(pack(module, chosen.ir, mode, blueprint=name or chosen.label))


def trained(
    geometry: Geometry,
    x: Tensor,
    y: Tensor,
    *,
    family: str = "conv1d",
    size: str = "small",
    steps: int = 150,
) -> KernelArtifact:
    """A kernel that has learned a classification behind a head of its own."""
    chosen = candidate(geometry, family, size, KernelMode.REPLACING)
    module = build(chosen.ir, seed=1)
    torch.manual_seed(1)
    width = int(chosen.ir.output_spec.shape[-1] or 1)
    net = nn.Sequential(module, nn.ReLU(), nn.Linear(width, int(y.max()) + 1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
    for step in range(steps):
        rows = torch.arange(step * 64, step * 64 + 64) % len(y)
        loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
        optimizer.zero_grad()
        torch.autograd.backward([loss])
        optimizer.step()
    return unpack(pack(module, chosen.ir, KernelMode.REPLACING, blueprint=chosen.label))
